from __future__ import annotations

from django.db import models

from core.fields import AmountField


class MarginBucket(models.Model):
    """Revenue and cost of one hour of a payer, workspace and event name, in the payer's currency.

    Kept in the charge's transaction; every dashboard reads it, so no dashboard's cost grows with
    events. `costed` counts events whose cost is known: costed / events is the cost coverage.
    `unmatched`: no meter hears them; `unpriced`: metered, but no component prices them.
    Base fees stand under the name `base_fee` with no workspace (0) and no events.
    """

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "hour", "workspace_id", "event")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    hour = models.DateTimeField()
    workspace_id = models.BigIntegerField()
    event = models.TextField()
    events = models.BigIntegerField(default=0)
    costed = models.BigIntegerField(default=0)
    unmatched = models.BigIntegerField(default=0)
    unpriced = models.BigIntegerField(default=0)
    revenue = AmountField(default=0)
    cost = AmountField(default=0)

    class Meta:
        indexes = [models.Index(fields=["hour"], name="margin_hour")]
