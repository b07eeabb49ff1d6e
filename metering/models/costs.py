from __future__ import annotations

import pghistory
from django.db import models

from core.fields import AmountField
from core.triggers import bump_global


@pghistory.track()
class CostRate(models.Model):
    """What a vendor takes per unit of an event's property, in `[starts_at, ends_at)`.

    `property_path` null = per event. `filter` holds conditions as on a meter.
    """

    vendor = models.CharField(max_length=100)
    event = models.CharField(max_length=200)
    property_path = models.CharField(max_length=200, null=True, blank=True)
    filter = models.JSONField(default=list, blank=True)
    unit_cost = AmountField()
    currency = models.CharField(max_length=3)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [bump_global()]
        constraints = [
            models.CheckConstraint(condition=models.Q(unit_cost__gte=0), name="cost_rate_not_negative"),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="cost_rate_ends_after_start"
            ),
        ]


@pghistory.track()
class ExchangeRate(models.Model):
    """From `starts_at` on, one unit of `base` is worth `rate` units of `quote`. For costs and
    reports, never for a price."""

    base = models.CharField(max_length=12)
    quote = models.CharField(max_length=12)
    rate = AmountField()
    starts_at = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        triggers = [bump_global()]
        constraints = [
            models.CheckConstraint(condition=models.Q(rate__gt=0), name="exchange_rate_positive"),
            models.UniqueConstraint(
                fields=["base", "quote", "starts_at"], name="one_exchange_rate_at_a_time"
            ),
        ]
