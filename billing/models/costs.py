"""What became known of costs after their events were recorded, which stay as they are."""

from __future__ import annotations

import pghistory
from django.db import models
from django.db.models import F, Q

from core.fields import AmountField
from core.ids import PublicId, hot_id
from core.triggers import append_only, frozen_row


class CostEntry(models.Model):
    """All that is known of one event's cost from this row on: the latest row of an event holds. Append-only.

    `costs` are its parts, as on an event; their source is `later`, or `bill` for the share of a vendor's
    bill.
    `cost` is their total in the payer's currency, null where no exchange rate says. `change` and `costed` are
    what the row moved in the margin buckets. Moves margins, never a price.
    """

    public_id = PublicId("cost")

    class Source(models.TextChoices):
        LATER = "later"
        BILL = "bill"

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    event_id = models.UUIDField()
    event_recorded_at = models.DateTimeField()
    source = models.CharField(max_length=5, choices=Source)
    costs = models.JSONField()
    cost = AmountField(null=True)
    change = AmountField()
    costed = models.SmallIntegerField()
    bill_id = models.BigIntegerField(null=True)
    reason = models.TextField(blank=True, default="")
    recorded_at = models.DateTimeField()
    created_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        triggers = [append_only()]
        indexes = [models.Index(fields=["customer_id", "event_id", "-id"], name="cost_entry_event")]
        constraints = [
            models.CheckConstraint(condition=Q(costed__gte=-1, costed__lte=1), name="costed_once"),
            models.CheckConstraint(
                condition=Q(source="bill", bill_id__isnull=False) | Q(source="later", bill_id=None),
                name="share_names_its_bill",
            ),
        ]

    @property
    def event_public_id(self) -> str:
        """The event's."""
        return hot_id("evt", self.customer_id, self.event_id)


@pghistory.track()
class VendorBill(models.Model):
    """What a vendor asked for a month (by its UTC days), in all or for one `model`.

    `total` null: nothing is known of it any more, which takes the bill before it back. Of the total,
    `not_usage` was for no customer's call; at most `max_uplift` of what was booked is spread over the calls
    (null: all of the difference). `booked`, `spread`, `calls` and `left_out` (calls whose cost cannot be
    brought into the bill's currency) are those of the preview, and of the application when it is done.
    """

    public_id = PublicId("vb")

    class Status(models.TextChoices):
        PREVIEWED = "previewed"
        APPLYING = "applying"
        APPLIED = "applied"
        SUPERSEDED = "superseded"

    vendor = models.CharField(max_length=100)
    month = models.DateField()
    model = models.CharField(max_length=200, blank=True, default="")
    currency = models.CharField(max_length=3)
    total = AmountField(null=True)
    not_usage = AmountField(default=0)
    max_uplift = AmountField(null=True)
    reference = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=10, choices=Status, default=Status.PREVIEWED)
    booked = AmountField(default=0)
    spread = AmountField(default=0)
    calls = models.BigIntegerField(default=0)
    left_out = models.BigIntegerField(default=0)
    supersedes = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="superseded_by"
    )
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200, blank=True, default="")
    applied_at = models.DateTimeField(null=True)
    applied_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        triggers = [frozen_row("bill_kept", once="OLD.status <> 'previewed'")]
        constraints = [
            models.UniqueConstraint(
                fields=["vendor", "month", "model"],
                condition=Q(status__in=["applying", "applied"], total__isnull=False),
                name="one_standing_bill",
            ),
            models.CheckConstraint(
                condition=Q(total=None, not_usage=0) | Q(total__gte=F("not_usage")),
                name="bill_covers_its_rest",
            ),
            models.CheckConstraint(
                condition=Q(not_usage__gte=0) & (Q(max_uplift=None) | Q(max_uplift__gte=0)),
                name="bill_not_negative",
            ),
            models.CheckConstraint(condition=Q(month__day=1), name="bill_of_a_month"),
        ]


class VendorBillShare(models.Model):
    """A payer's part of a bill, in the bill's currency: what was booked for its calls, and what is added.

    Applied once, in a transaction of its own under the payer's lock; `spread` is what could be added then.
    """

    bill = models.ForeignKey(VendorBill, models.CASCADE, related_name="shares")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    calls = models.BigIntegerField()
    booked = AmountField()
    amount = AmountField()
    spread = AmountField(default=0)
    applied_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["bill", "billing_entity_id"], name="one_share_per_payer")
        ]
        indexes = [models.Index(fields=["bill"], condition=Q(applied_at=None), name="bill_share_waiting")]
