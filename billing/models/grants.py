from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from core.fields import AmountField
from core.ids import PublicId


class CreditGrant(models.Model):
    """A block of prepaid value in a wallet (credit block).

    Burns by priority number (lower first), then earlier expiry, then promotional before paid, then
    age. `components` limits it to component keys (empty = all). `remaining` is written only under
    the payer's lock. `booked_at` is when its value entered the wallet (its `effective_at`, or when
    the payer was next touched after it); `covered` is what went at once to an overdraft that it
    met then: remaining = amount - covered - what usage burnt - what expired. `cost_basis` is what one
    unit was paid for, in money. `is_open` = something remains: the index is on it, so that burning a part
    of a grant leaves the index alone.
    """

    public_id = PublicId("grt")

    class Kind(models.TextChoices):
        PAID = "paid"
        PROMOTIONAL = "promotional"

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(max_length=200, blank=True, default="")
    amount = AmountField()
    remaining = AmountField()
    covered = AmountField(default=0)
    priority = models.SmallIntegerField(default=50)
    components = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    cost_basis = AmountField(null=True)
    effective_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    is_open = models.BooleanField(default=True)
    booked_at = models.DateTimeField(null=True)
    expired_at = models.DateTimeField(null=True)
    voided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="grant_positive"),
            models.CheckConstraint(
                condition=models.Q(remaining__gte=0) & models.Q(remaining__lte=models.F("amount")),
                name="grant_remaining_within_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(is_open=models.Q(remaining__gt=0)), name="grant_open_while_remaining"
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("effective_at")), name="grant_expires_after_start"
            ),
        ]
        indexes = [
            models.Index(
                fields=["customer_id", "billing_entity_id"],
                name="grant_open",
                condition=models.Q(is_open=True),
            )
        ]
