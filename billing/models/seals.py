"""Seals: what a payer's events, charges and transfers were when sealed (docs/algorithms/seals.md)."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q

from core.ids import PublicId
from core.triggers import append_only


class Seal(models.Model):
    """A payer's rows of the numbers `from_seq` to `to_seq`, hashed, after the seal before it.

    `entries` are the hashes of the rows, each with its kind, number and position (`billing.seals.canonical`);
    `head` is the hash of them all, of the seal's terms and of `previous_head`. A key makes a payer's seals
    one chain: the first begins at 1, each next one where the one before it ended, with its head.
    """

    public_id = PublicId("seal")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    from_seq = models.BigIntegerField()
    to_seq = models.BigIntegerField()
    rows = models.IntegerField()
    previous_head = models.BinaryField()
    head = models.BinaryField()
    entries = models.BinaryField()
    sealed_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.UniqueConstraint(
                fields=["customer_id", "billing_entity_id", "from_seq"], name="sealed_once"
            ),
            models.UniqueConstraint(
                fields=["customer_id", "billing_entity_id", "to_seq", "head"], name="seal_head"
            ),
            models.CheckConstraint(
                condition=Q(from_seq__gte=1, to_seq__gte=F("from_seq"), rows__gte=0), name="seal_range"
            ),
        ]


class SealSalts(models.Model):
    """The salts of a seal's events, sixteen bytes each, in the order of their entries.

    Erasing a person's data makes those of its events zeros, and nothing else ever changes.
    """

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "to_seq")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    to_seq = models.BigIntegerField()
    salts = models.BinaryField()

    class Meta:
        triggers = [
            pgtrigger.Protect(name="salts_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="salts_stay_in_place",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "ROW(OLD.customer_id, OLD.billing_entity_id, OLD.to_seq, octet_length(OLD.salts))"
                    " IS DISTINCT FROM"
                    " ROW(NEW.customer_id, NEW.billing_entity_id, NEW.to_seq, octet_length(NEW.salts))"
                ),
            ),
        ]
