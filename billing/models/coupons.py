from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.triggers import append_only


class CouponCredit(models.Model):
    """What the coupons of a subscription took off one line of a period, given back when the period closed.

    The line is a fee's (no segment) or a component's in a segment. `seq` is the ledger transaction, `funding`
    who got it: a list of `{"account", "amount", "grant"}` with negative amounts. Once per line and period;
    `event_id` names the late or reversed event after which the line came to `line_amount`: such a row is the
    difference, below 0 where the coupons now take less.
    """

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    subscription_id = models.BigIntegerField()
    period_id = models.BigIntegerField()
    segment_id = models.BigIntegerField(null=True)
    key = models.CharField(max_length=100)
    event_id = models.UUIDField(null=True)
    line_amount = AmountField()
    amount = AmountField()
    currency = models.CharField(max_length=12)
    funding = models.JSONField()
    seq = models.BigIntegerField()
    recorded_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.UniqueConstraint(
                fields=["period_id", "key", "segment_id"],
                condition=models.Q(event_id=None),
                nulls_distinct=False,
                name="coupons_once_per_line",
            ),
            models.UniqueConstraint(
                fields=["customer_id", "billing_entity_id", "seq"], name="one_coupon_credit_per_number"
            ),
            models.CheckConstraint(
                condition=(models.Q(amount__gt=0) | models.Q(amount__lt=0, event_id__isnull=False))
                & (models.Q(amount__lte=models.F("line_amount")) | models.Q(event_id__isnull=False)),
                name="coupon_within_line",
            ),
        ]
