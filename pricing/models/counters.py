from __future__ import annotations

from django.db import models

from core.fields import AmountField, QuantityField


class Counter(models.Model):
    """The state of F for one component and group in one segment (RATING.md section 3).

    `dimensions` is the canonical JSON array of the group's values; `*` is the component's own row
    when it has groups: its `amount` is the sum of the groups before discount and maximum.
    """

    TOTAL = "*"

    pk = models.CompositePrimaryKey("customer_id", "segment_id", "component_id", "dimensions")
    customer_id = models.BigIntegerField()
    segment_id = models.BigIntegerField()
    component_id = models.BigIntegerField()
    dimensions = models.TextField()
    quantity = QuantityField(default=0)
    transactions = models.BigIntegerField(default=0)
    volume = QuantityField(default=0)
    amount = AmountField(default=0)
