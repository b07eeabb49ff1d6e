from __future__ import annotations

from typing import Any

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models

from core.ids import PublicId
from core.triggers import bump_global, frozen_columns, frozen_row

DEFINITION = ("key", "event", "aggregation", "property_path", "filter", "group_by", "carry_over")


@pghistory.track()
class Meter(models.Model):
    """Turns events into a quantity (billable metric).

    Frozen (`frozen_at`) once a published plan version names it or an event was counted: a trigger
    then refuses every change of what it counts. A change is a new meter.
    """

    public_id = PublicId("mtr")

    class Aggregation(models.TextChoices):
        COUNT = "count"
        SUM = "sum"
        MIN = "min"
        MAX = "max"
        AVG = "avg"
        LATEST = "latest"
        UNIQUE = "unique"
        WEIGHTED_SUM = "weighted_sum"

    class LatePolicy(models.TextChoices):
        DELTA_LINE = "delta_line"
        NOTE = "note"
        ABSORB = "absorb"

    key = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200)
    event = models.CharField(max_length=200)
    aggregation = models.CharField(max_length=12, choices=Aggregation)
    property_path = models.CharField(max_length=200, null=True, blank=True)
    filter = models.JSONField(default=list, blank=True)
    group_by = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    unit = models.CharField(max_length=40, blank=True, default="")
    carry_over = models.BooleanField(default=False)
    late_policy = models.CharField(max_length=12, choices=LatePolicy, default=LatePolicy.DELTA_LINE)
    created_at = models.DateTimeField()
    frozen_at = models.DateTimeField(null=True, blank=True, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [
            bump_global("name", "unit", "late_policy", "archived_at", *DEFINITION),
            frozen_columns("frozen_definition", *DEFINITION, "frozen_at", once="OLD.frozen_at IS NOT NULL"),
            frozen_row("frozen_stays", once="OLD.frozen_at IS NOT NULL"),
        ]
        indexes = [models.Index(fields=["event"], name="meter_event")]

    def __str__(self) -> str:
        return self.key

    def definition(self) -> dict[str, Any]:
        """The meter as `manage.py aggregate` and plan files write it."""
        return {
            "event": self.event,
            "aggregation": self.aggregation,
            "property": self.property_path,
            "filter": self.filter,
            "group_by": self.group_by,
            "carry_over": self.carry_over,
        }
