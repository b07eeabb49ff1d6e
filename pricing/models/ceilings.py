from __future__ import annotations

import pghistory
from django.db import models
from django.db.models import Q

from accounts.models import Customer
from core.fields import QuantityField
from core.ids import PublicId
from core.triggers import bump_customer
from metering.models import Meter
from pricing.models.plans import PlanVersion
from pricing.models.rollouts import RolloutMember
from pricing.models.subscriptions import BillingPeriod, Subscription


@pghistory.track()
class UsageCeiling(models.Model):
    """The most that a subscription may use of a meter in each period while it is on `version`.

    Set when a price change introduces overage that nobody has acknowledged (`old_ceiling`), or because the
    customer chose a limit (`chosen`). `used_before` is what the period of the move had used before it.
    Until `lifted_at` charges beyond it are refused; what is reported is not.
    """

    public_id = PublicId("cei")

    class Reason(models.TextChoices):
        OLD_CEILING = "old_ceiling"
        CHOSEN = "chosen"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="usage_ceilings")
    version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="+")
    member = models.ForeignKey(RolloutMember, models.PROTECT, related_name="ceilings")
    limit = QuantityField()
    period = models.ForeignKey(BillingPeriod, models.SET_NULL, null=True, related_name="+")
    used_before = QuantityField(default=0)
    reason = models.CharField(max_length=12, choices=Reason)
    created_at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        triggers = [bump_customer()]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "meter"],
                condition=Q(lifted_at__isnull=True),
                name="one_ceiling_per_meter",
            ),
            models.CheckConstraint(
                condition=Q(limit__gte=0) & Q(used_before__gte=0), name="ceiling_not_negative"
            ),
        ]
