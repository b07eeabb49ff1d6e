from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.ids import PublicId, hot_id
from core.triggers import append_only


class ClosingLine(models.Model):
    """What the close of a period booked for a component or, as a commitment, for the period (no segment).

    `usage` of meters that settle at the close, `zero_usage` fees, `minimum`s, the `commitment`. `cause`:
    `close`, or `late` for what changed with an event (`event_id`) that came after it. `detail` is what the
    amount came from, `funding` who paid: a list of `{"account", "amount", "grant"}`. `seq` is its ledger
    transaction; null when nothing was to be paid.
    """

    public_id = PublicId("cl")

    class Kind(models.TextChoices):
        USAGE = "usage"
        ZERO_USAGE = "zero_usage"
        MINIMUM = "minimum"
        COMMITMENT = "commitment"

    class Cause(models.TextChoices):
        CLOSE = "close"
        LATE = "late"

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    subscription_id = models.BigIntegerField()
    period_id = models.BigIntegerField()
    segment_id = models.BigIntegerField(null=True)
    component_id = models.BigIntegerField(null=True)
    version_id = models.BigIntegerField()
    key = models.CharField(max_length=100)
    kind = models.CharField(max_length=12, choices=Kind)
    cause = models.CharField(max_length=8, choices=Cause)
    late_policy = models.CharField(max_length=12, blank=True, default="")
    event_id = models.UUIDField(null=True)
    amount = AmountField()
    currency = models.CharField(max_length=12)
    detail = models.JSONField()
    funding = models.JSONField()
    seq = models.BigIntegerField(null=True)
    recorded_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.UniqueConstraint(
                fields=["period_id", "kind", "segment_id", "component_id"],
                condition=models.Q(cause="close"),
                nulls_distinct=False,
                name="closed_once",
            ),
            models.UniqueConstraint(
                fields=["customer_id", "billing_entity_id", "seq"],
                condition=models.Q(seq__isnull=False),
                name="one_closing_line_per_number",
            ),
            models.CheckConstraint(
                condition=models.Q(seq=None, amount=0) | (models.Q(seq__isnull=False) & ~models.Q(amount=0)),
                name="closing_line_booked_unless_zero",
            ),
            models.CheckConstraint(
                condition=models.Q(cause="late") | models.Q(amount__gte=0), name="close_gives_nothing_back"
            ),
        ]
        indexes = [
            models.Index(fields=["period_id"], name="closing_line_period"),
            models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="closing_line_payer"),
        ]

    @property
    def event_public_id(self) -> str | None:
        """The late event's."""
        return None if self.event_id is None else hot_id("evt", self.customer_id, self.event_id)


class CreditRelease(models.Model):
    """A recurring credit that was given for one of its periods; the constraint makes it once.

    `rolled_over` is what of the period before stayed, and is part of the grant beside `amount`.
    """

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    subscription_id = models.BigIntegerField()
    version_id = models.BigIntegerField()
    key = models.CharField(max_length=100)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    amount = AmountField()
    rolled_over = AmountField()
    rollover = AmountField()
    grant_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    recorded_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription_id", "key", "starts_at"], name="credit_released_once"
            ),
            models.CheckConstraint(
                condition=models.Q(rolled_over__gte=0) & models.Q(rolled_over__lte=models.F("rollover")),
                name="rolled_over_within_terms",
            ),
        ]
