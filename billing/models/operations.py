"""Money moved by people, not by usage: each row names the ledger transaction (`seq`) it made."""

from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.ids import PublicId
from core.triggers import append_only


class TopUp(models.Model):
    """Value paid in: it makes a paid grant."""

    public_id = PublicId("top")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    amount = AmountField()
    price = AmountField(null=True)
    price_currency = models.CharField(max_length=3, blank=True, default="")
    grant_id = models.BigIntegerField()
    reference = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta:
        triggers = [append_only()]
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="top_up_positive")]
        indexes = [models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="top_up_payer")]


class Adjustment(models.Model):
    """A correction by staff: positive puts value into the wallet, negative takes it out.

    A positive one may lower what the payer owes instead.
    """

    public_id = PublicId("adj")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    amount = AmountField()
    reason = models.TextField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.CheckConstraint(condition=~models.Q(amount=0), name="adjustment_not_zero"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="adjustment_has_reason"),
        ]
        indexes = [models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="adjustment_payer")]
