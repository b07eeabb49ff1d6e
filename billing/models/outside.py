"""What others counted and paid: the other side of reconciliation. Newer statements supersede older ones."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.fields import AmountField
from core.ids import PublicId
from core.triggers import append_only, frozen_columns, frozen_row

_ONCE = "OLD.id IS NOT NULL"


class GatewayCount(models.Model):
    """How many calls of a key a gateway (`source`) let through in one hour, by its own count.

    `event` narrows it to calls of that name; empty: all the key's calls. The hour is complete once
    `counted_until` is not before its end; only then it is compared. What a newer count supersedes stays.
    """

    public_id = PublicId("gc")
    customer_id = models.BigIntegerField()
    api_key_id = models.BigIntegerField()
    hour = models.DateTimeField()
    event = models.CharField(max_length=200, blank=True, default="")
    source = models.CharField(max_length=100)
    calls = models.BigIntegerField()
    counted_until = models.DateTimeField()
    loaded_at = models.DateTimeField()
    loaded_by = models.CharField(max_length=200, blank=True, default="")
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        triggers = [
            frozen_columns(
                "count_stays",
                "customer_id",
                "api_key_id",
                "hour",
                "event",
                "source",
                "calls",
                "counted_until",
                "loaded_at",
                "loaded_by",
                once=_ONCE,
            ),
            frozen_columns("count_superseded_once", "superseded_at", once="OLD.superseded_at IS NOT NULL"),
            frozen_row("count_kept", once=_ONCE),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(calls__gte=0), name="gateway_count_not_negative"),
            models.CheckConstraint(
                condition=Q(hour__minute=0, hour__second=0),
                name="gateway_count_of_an_hour",
            ),
            models.UniqueConstraint(
                fields=["customer_id", "api_key_id", "hour", "event", "source"],
                condition=Q(superseded_at=None),
                name="one_standing_count",
            ),
        ]
        indexes = [
            models.Index(fields=["-hour", "-id"], name="gateway_count_hour"),
            models.Index(fields=["customer_id", "hour"], name="gateway_count_customer"),
        ]


class PaymentStatement(models.Model):
    """A provider's list: all that happened at `provider` in [covers_from, covers_until). Append-only."""

    public_id = PublicId("pst")
    provider = models.CharField(max_length=40)
    name = models.CharField(max_length=200, blank=True, default="")
    covers_from = models.DateTimeField()
    covers_until = models.DateTimeField()
    rows = models.IntegerField()
    added = models.IntegerField()
    superseded = models.IntegerField()
    loaded_at = models.DateTimeField()
    loaded_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.CheckConstraint(
                condition=Q(covers_until__gt=F("covers_from")), name="payment_statement_covers"
            )
        ]
        indexes = [models.Index(fields=["provider", "covers_from"], name="payment_statement_provider")]


class ProviderPayment(models.Model):
    """One thing that a payment provider says happened: a payment, a refund or a payout, `amount` > 0.

    `external_id` is the provider's, `reference` what stands beside it there (an order, a payer). The payer,
    where the list names one. What a newer list says otherwise, or leaves out of its range, is superseded.
    """

    public_id = PublicId("pp")
    ONLY_OPERATORS = True

    class Kind(models.TextChoices):
        PAYMENT = "payment"
        REFUND = "refund"
        PAYOUT = "payout"

    statement = models.ForeignKey(PaymentStatement, models.PROTECT, related_name="payments")
    provider = models.CharField(max_length=40)
    external_id = models.CharField(max_length=150)
    kind = models.CharField(max_length=8, choices=Kind)
    amount = AmountField()
    currency = models.CharField(max_length=12)
    happened_at = models.DateTimeField()
    reference = models.CharField(max_length=200, blank=True, default="")
    customer_id = models.BigIntegerField(null=True)
    billing_entity_id = models.BigIntegerField(null=True)
    superseded_at = models.DateTimeField(null=True)

    class Meta:
        triggers = [
            frozen_columns(
                "payment_stays",
                "provider",
                "external_id",
                "kind",
                "amount",
                "currency",
                "happened_at",
                "reference",
                "customer_id",
                "billing_entity_id",
                once=_ONCE,
            ),
            frozen_columns("payment_superseded_once", "superseded_at", once="OLD.superseded_at IS NOT NULL"),
            frozen_row("payment_kept", once=_ONCE),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="provider_payment_positive"),
            models.UniqueConstraint(
                fields=["provider", "external_id"],
                condition=Q(superseded_at=None),
                name="one_standing_payment",
            ),
        ]
        indexes = [models.Index(fields=["-happened_at", "-id"], name="provider_payment_time")]

    @property
    def mark(self) -> str:
        """How a top-up or an adjustment names it: `stripe:pi_1`."""
        return f"{self.provider}:{self.external_id}"
