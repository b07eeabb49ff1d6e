"""What was taken back of what was charged: new rows beside the old ones, which stay as they are."""

from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.ids import PublicId, hot_id
from core.triggers import append_only


class Reversal(models.Model):
    """An event's charges, taken back by a charge of its own (`charge_id`), whose lines say what of them.

    `event`: the event is to count for nothing, once and for ever. `rerating`: it is charged again at what
    covers it now; `replaced_by` is that charge, null where nothing prices it any more.
    """

    public_id = PublicId("rev")

    class Cause(models.TextChoices):
        EVENT = "event"
        RERATING = "rerating"

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    cause = models.CharField(max_length=10, choices=Cause)
    event_id = models.UUIDField()
    event_recorded_at = models.DateTimeField()
    charge_id = models.UUIDField()
    seq = models.BigIntegerField()
    amount = AmountField()
    currency = models.CharField(max_length=12)
    replaced_by = models.UUIDField(null=True)
    reason = models.TextField()
    created_by = models.CharField(max_length=200, blank=True, default="")
    recorded_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.UniqueConstraint(
                fields=["customer_id", "event_id"],
                condition=models.Q(cause="event"),
                name="event_reversed_once",
            ),
            models.UniqueConstraint(fields=["customer_id", "charge_id"], name="one_reversal_per_charge"),
            models.CheckConstraint(condition=~models.Q(reason=""), name="reversal_has_reason"),
            models.CheckConstraint(
                condition=models.Q(cause="rerating") | models.Q(replaced_by=None),
                name="reversed_event_is_not_charged_again",
            ),
        ]
        indexes = [
            models.Index(fields=["customer_id", "event_id"], name="reversal_event"),
            models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="reversal_payer"),
        ]

    @property
    def event_public_id(self) -> str:
        """The event's."""
        return hot_id("evt", self.customer_id, self.event_id)

    @property
    def charge_public_id(self) -> str:
        """The charge's that took back."""
        return hot_id("ch", self.customer_id, self.charge_id)

    @property
    def replaced_by_public_id(self) -> str | None:
        """The id of the charge that was made instead."""
        return None if self.replaced_by is None else hot_id("ch", self.customer_id, self.replaced_by)


class ReversedCharge(models.Model):
    """A charge that was taken back, and by which: the key of this table makes it once at most."""

    pk = models.CompositePrimaryKey("customer_id", "charge_id")
    customer_id = models.BigIntegerField()
    charge_id = models.UUIDField()
    reversal = models.ForeignKey(Reversal, models.PROTECT, related_name="reversed_charges")

    class Meta:
        triggers = [append_only()]

    @property
    def charge_public_id(self) -> str:
        """The charge's that was taken back."""
        return hot_id("ch", self.customer_id, self.charge_id)
