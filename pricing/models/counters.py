from __future__ import annotations

from django.db import models

from core.fields import AmountField, QuantityField


class Counter(models.Model):
    """The state of F for one component and group in one segment (RATING.md section 3).

    `dimensions` is the canonical JSON array of the group's values; `*` is the component's own row
    when it has groups: its `amount` is the sum of the groups' F before discount and maximum. `amount` of a
    group is the model's exact price, which has up to 30 decimals before F is rounded.
    """

    TOTAL = "*"

    pk = models.CompositePrimaryKey("customer_id", "segment_id", "component_id", "dimensions")
    customer_id = models.BigIntegerField()
    segment_id = models.BigIntegerField()
    component_id = models.BigIntegerField()
    dimensions = models.TextField()
    quantity = QuantityField(default=0)
    transactions = models.BigIntegerField(default=0)
    volume = AmountField(default=0)
    amount = models.DecimalField(max_digits=80, decimal_places=30, default=0)
