from __future__ import annotations

import pghistory
import pgtrigger
from django.db import models

from accounts.models import Customer
from core.fields import AmountField
from core.ids import PublicId
from core.triggers import append_only, frozen_columns, frozen_row
from pricing.models.subscriptions import Subscription

WORTH = ("key", "percent", "amount", "currency", "periods", "components", "plans", "created_at")


@pghistory.track()
class Coupon(models.Model):
    """A discount that subscriptions redeem: `percent` of what it applies to, or `amount` of it a period.

    It holds for `periods` billing periods (null = all). `components` and `plans` are keys; empty = all.
    `redemptions` is the number of its `CouponRedemption` rows, counted by their trigger; it never exceeds
    `max_redemptions`. What it is worth is frozen once it was redeemed.
    """

    public_id = PublicId("cpn")
    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    percent = AmountField(null=True, blank=True)
    amount = AmountField(null=True, blank=True)
    currency = models.CharField(max_length=12, blank=True, default="")
    periods = models.PositiveSmallIntegerField(null=True, blank=True)
    max_redemptions = models.PositiveIntegerField(null=True, blank=True)
    redemptions = models.PositiveIntegerField(default=0)
    redeem_before = models.DateTimeField(null=True, blank=True)
    components = models.JSONField(default=list, blank=True)
    plans = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [
            frozen_columns("redeemed_worth", *WORTH, once="OLD.redemptions > 0"),
            frozen_row("redeemed_kept", once="OLD.redemptions > 0"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    percent__isnull=False, percent__gt=0, percent__lte=100, amount=None, currency=""
                )
                | (models.Q(percent=None, amount__isnull=False, amount__gt=0) & ~models.Q(currency="")),
                name="coupon_percent_or_amount",
            ),
            models.CheckConstraint(
                condition=models.Q(max_redemptions=None)
                | models.Q(redemptions__lte=models.F("max_redemptions")),
                name="coupon_redemptions_within_limit",
            ),
        ]

    def __str__(self) -> str:
        return self.key


@pghistory.track()
class CouponRedemption(models.Model):
    """A subscription has redeemed a coupon, once and for good."""

    public_id = PublicId("red")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    coupon = models.ForeignKey(Coupon, models.PROTECT, related_name="redeemed")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="coupons")
    redeemed_at = models.DateTimeField()

    class Meta:
        triggers = [
            append_only(),
            pgtrigger.Trigger(
                name="count_redemptions",
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                func=(
                    "UPDATE pricing_coupon SET redemptions = redemptions + 1 WHERE id = NEW.coupon_id;"
                    " RETURN NULL;"
                ),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["coupon", "subscription"], name="coupon_once_per_subscription"),
        ]
