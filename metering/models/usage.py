from __future__ import annotations

from django.db import models

from core.fields import QuantityField


class UsageBucket(models.Model):
    """A meter's quantity in one hour of a payer, workspace and combination of dimensions.

    Kept in the charge's transaction. `dimensions` is the canonical JSON array of the meter's
    group_by values. `quantity` adds up for count, sum, unique and avg (with `events` as divisor),
    and is the extreme for min and max; latest and weighted_sum read events.
    """

    pk = models.CompositePrimaryKey(
        "customer_id", "billing_entity_id", "meter_id", "hour", "workspace_id", "dimensions"
    )
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    meter_id = models.BigIntegerField()
    hour = models.DateTimeField()
    workspace_id = models.BigIntegerField()
    dimensions = models.TextField()
    quantity = QuantityField()
    events = models.BigIntegerField()


class UniqueValue(models.Model):
    """How often a value of a `unique` meter stands in one scope (a segment, or a local month when
    nothing prices the meter): the first occurrence counts 1, a reversal of the last takes it back."""

    pk = models.CompositePrimaryKey(
        "customer_id", "billing_entity_id", "meter_id", "scope_start", "dimensions", "value_hash"
    )
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    meter_id = models.BigIntegerField()
    scope_start = models.DateTimeField()
    dimensions = models.TextField()
    value_hash = models.BinaryField()
    occurrences = models.BigIntegerField()
