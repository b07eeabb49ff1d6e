from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.ids import PublicId, hot_id


class Charge(models.Model):
    """The priced record of one event ("Usage charge" in pages). Append-only, partitioned by month.

    Shares `id` and `seq` with its event, unless it was made later for a stored event (`ReRating`).
    `lines` is the answer's list of component lines, `funding` who paid: a list of
    `{"component", "segment", "account", "amount", "grant"}`. `settled_after`, `held_after` and
    `available_after` are the balance answered.
    """

    pk = models.CompositePrimaryKey("customer_id", "id", "recorded_at")
    customer_id = models.BigIntegerField()
    id = models.UUIDField()
    recorded_at = models.DateTimeField()
    seq = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    workspace_id = models.BigIntegerField(null=True)
    event_id = models.UUIDField()
    event_recorded_at = models.DateTimeField()
    occurred_at = models.DateTimeField()
    amount = AmountField()
    currency = models.TextField()
    lines = models.JSONField()
    funding = models.JSONField()
    settled_after = AmountField()
    held_after = AmountField()
    available_after = AmountField()

    class Meta:
        indexes = [models.Index(fields=["customer_id", "billing_entity_id", "seq"], name="charge_seq")]

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return hot_id("ch", self.customer_id, self.id)


class ReRating(models.Model):
    """An event that nothing priced when it came, and the charge that staff's choice made of it later.

    Once per event: the key of this table sees to it.
    """

    pk = models.CompositePrimaryKey("customer_id", "event_id")
    customer_id = models.BigIntegerField()
    event_id = models.UUIDField()
    charge_id = models.UUIDField()
    recorded_at = models.DateTimeField()


class Denial(models.Model):
    """A refused charge: who, why, at which level, and what it would have cost. Consumes no key.

    `limit`, `used` and `resets_at` are those of the level that refused; `retryable`: whether the same call
    may go through later.
    """

    public_id = PublicId("den")

    class Reason(models.TextChoices):
        SUSPENDED = "suspended"
        NO_SUBSCRIPTION = "no_subscription"
        ENTITLEMENT = "entitlement"
        SPEND_LIMIT = "spend_limit"
        INSUFFICIENT_FUNDS = "insufficient_funds"
        MARGIN_FLOOR = "margin_floor"

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    workspace_id = models.BigIntegerField(null=True)
    api_key_id = models.BigIntegerField(null=True)
    denied_at = models.DateTimeField()
    occurred_at = models.DateTimeField()
    idempotency_key = models.TextField()
    event = models.TextField()
    reason = models.CharField(max_length=20, choices=Reason)
    level = models.CharField(max_length=20)
    level_id = models.TextField()
    expected_amount = AmountField()
    available = AmountField()
    limit = AmountField(null=True)
    used = AmountField(null=True)
    resets_at = models.DateTimeField(null=True)
    retryable = models.BooleanField(default=True)

    class Meta:
        indexes = [
            models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="denial_payer"),
            models.Index(fields=["denied_at"], name="denial_time"),
            models.Index(fields=["customer_id", "denied_at"], name="denial_customer"),
        ]


class Overspend(models.Model):
    """Usage charged below the allowed floor, with its cause: bounded, stated and reported."""

    class Cause(models.TextChoices):
        REPORTED = "reported"
        OVERDRAFT = "overdraft"
        LATE_CAPTURE = "late_capture"
        LEASE = "lease"

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "seq")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    charge_id = models.UUIDField()
    amount = AmountField()
    cause = models.CharField(max_length=12, choices=Cause)
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(amount__gt=0), name="overspend_positive")]
        indexes = [models.Index(fields=["recorded_at"], name="overspend_time")]
