"""Holds: what is reserved for calls whose size is not known yet."""

from __future__ import annotations

from datetime import datetime

import pgtrigger
from django.db import models
from django.db.models import F, Q

from core.fields import AmountField
from core.ids import hot_id
from core.triggers import frozen_columns, frozen_row

TERMS = (
    "billing_entity_id",
    "workspace_id",
    "api_key_id",
    "kind",
    "idempotency_key",
    "event",
    "amount",
    "currency",
    "occurred_at",
    "authorized_at",
    "expires_in",
    "reserved",
    "metered",
    "available_after",
    "settled_after",
    "held_after",
)
"""What was agreed: it never changes."""
PAYLOAD_STAYS = """
    IF EXISTS (
        SELECT FROM billing_erasedrecord x
        WHERE x.customer_id = OLD.customer_id AND x.record_id = OLD.id
            AND ((OLD.payload - ARRAY(SELECT path FROM jsonb_object_keys(x.parts) AS path))
                #- '{properties}')::text = (NEW.payload #- '{properties}')::text
            AND (COALESCE(OLD.payload->'properties', '{}') - ARRAY(
                SELECT substr(path, 12) FROM jsonb_object_keys(x.parts) AS path
                WHERE path LIKE 'properties.%'))::text = COALESCE(NEW.payload->'properties', '{}')::text)
    THEN RETURN NEW; END IF;
    RAISE EXCEPTION 'rows of % are append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';"""
"""What was sent stays too, but for what was erased of it."""


class Authorization(models.Model):
    """A hold: authorized, then captured, voided or expired.

    `held` is what it reserves now; the `held` of the payer's wallet row is the sum of these. `payload` is
    what was sent, with who calls by the rows' ids: what a replay is compared with; `available_after`,
    `settled_after` and `held_after` are the balance answered. `expires_in` (seconds) is the term of the
    first answer, `expires_at` the instant that counts. `event_id` is the event that captured it, and
    `captured_amount` the price of its charge: null where nothing priced the event. `refused_key`: of a
    capture that was refused after expiry; usage that is reported under it is this call's. `counted_in`: the
    limits' counters that the hold is in. A capture after expiry makes an expired hold a captured one.

    `reserved`: of grants that are limited to components, what the hold counts on, `{grant: amount}`.
    `metered`: what of the expected price is of each meter, `{meter: amount}`; empty where it was named.
    `capped_at`: of a capture with `over: cap`, the most that its event may ever cost the payer.

    A lease is a hold for many calls: `captured_amount` is what was reported against it, also after its time,
    and `voided` means returned.
    """

    class Kind(models.TextChoices):
        AUTHORIZATION = "authorization"
        LEASE = "lease"

    class Status(models.TextChoices):
        AUTHORIZED = "authorized"
        CAPTURED = "captured"
        VOIDED = "voided"
        EXPIRED = "expired"

    pk = models.CompositePrimaryKey("customer_id", "id")
    customer_id = models.BigIntegerField()
    id = models.UUIDField()
    billing_entity_id = models.BigIntegerField()
    workspace_id = models.BigIntegerField(null=True)
    api_key_id = models.BigIntegerField(null=True)
    kind = models.TextField(choices=Kind)
    idempotency_key = models.TextField()
    event = models.TextField()
    payload = models.JSONField()
    amount = AmountField()
    currency = models.TextField()
    occurred_at = models.DateTimeField()
    authorized_at = models.DateTimeField()
    expires_in = models.IntegerField()
    expires_at = models.DateTimeField()
    status = models.TextField(choices=Status)
    held = AmountField()
    settled_at = models.DateTimeField(null=True)
    event_id = models.UUIDField(null=True)
    event_recorded_at = models.DateTimeField(null=True)
    captured_amount = AmountField(null=True)
    reserved = models.JSONField(default=dict)
    metered = models.JSONField(default=dict)
    capped_at = AmountField(null=True)
    refused_key = models.TextField(null=True)
    counted_in = models.JSONField(default=list)
    available_after = AmountField()
    settled_after = AmountField()
    held_after = AmountField()

    class Meta:
        triggers = [
            frozen_columns("terms_stay", *TERMS, once="OLD.id IS NOT NULL"),
            frozen_columns(
                "settled_stays", "status", "settled_at", once="OLD.status IN ('captured', 'voided')"
            ),
            frozen_columns(
                "expired_stays", "status", once="OLD.status = 'expired' AND NEW.status <> 'captured'"
            ),
            frozen_columns(
                "captured_once", "event_id", "captured_amount", "capped_at", once="OLD.event_id IS NOT NULL"
            ),
            pgtrigger.Trigger(
                name="payload_stays",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.payload::text IS DISTINCT FROM NEW.payload::text"),
                func=PAYLOAD_STAYS,
            ),
            frozen_row("authorization_kept", once="OLD.id IS NOT NULL"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0, held__lte=F("amount")), name="hold_in_bounds"),
            models.CheckConstraint(
                condition=Q(status="authorized") | Q(held=0), name="settled_holds_nothing"
            ),
            models.CheckConstraint(
                condition=Q(status="authorized", settled_at=None)
                | (~Q(status="authorized") & Q(settled_at__isnull=False)),
                name="hold_settled_at",
            ),
            models.CheckConstraint(
                condition=Q(event_id=None) | Q(status="captured", kind="authorization"),
                name="captured_by_an_event",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["authorized", "captured", "voided", "expired"]), name="hold_status"
            ),
        ]
        indexes = [
            models.Index(
                fields=["customer_id", "billing_entity_id", "expires_at"],
                name="hold_open",
                condition=Q(status="authorized"),
            ),
            models.Index(fields=["expires_at"], name="hold_due", condition=Q(status="authorized")),
            models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="hold_payer"),
            models.Index(fields=["-id"], name="hold_latest"),
            models.Index(
                fields=["customer_id", "refused_key"],
                name="hold_refused",
                condition=Q(refused_key__isnull=False),
            ),
            models.Index(
                fields=["customer_id", "event_id"], name="hold_event", condition=Q(event_id__isnull=False)
            ),
        ]

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return hot_id("lease" if self.kind == self.Kind.LEASE else "auth", self.customer_id, self.id)

    @property
    def charge_public_id(self) -> str | None:
        """The id of the charge that captured it; null where there is none."""
        if self.event_id is None or self.captured_amount is None:
            return None
        return hot_id("ch", self.customer_id, self.event_id)

    def status_at(self, now: datetime) -> str:
        """Its status at `now`: it expires on time, whether or not that has been written down."""
        is_over = self.status == self.Status.AUTHORIZED and self.expires_at <= now
        return self.Status.EXPIRED.value if is_over else self.status
