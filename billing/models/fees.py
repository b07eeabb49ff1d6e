from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.triggers import append_only


class BookedFee(models.Model):
    """A base fee as it was booked: `amount` > 0, or < 0 for what went back when something changed.

    What is booked of one fee for the time from `covers_start` on is the sum of its rows; the last one says
    up to where (`covers_end`). `seq` is the ledger transaction, `funding` who paid or was paid back: a
    list of `{"account", "amount", "grant"}`.
    """

    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    subscription_id = models.BigIntegerField()
    period_id = models.BigIntegerField()
    key = models.CharField(max_length=100)
    timing = models.CharField(max_length=12)
    covers_start = models.DateTimeField()
    covers_end = models.DateTimeField()
    due_at = models.DateTimeField()
    amount = AmountField()
    funding = models.JSONField()
    seq = models.BigIntegerField()
    recorded_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.CheckConstraint(condition=~models.Q(amount=0), name="booked_fee_not_zero"),
            models.CheckConstraint(
                condition=models.Q(covers_end__gt=models.F("covers_start")),
                name="booked_fee_covers_something",
            ),
            models.UniqueConstraint(
                fields=["customer_id", "billing_entity_id", "seq"], name="one_booked_fee_per_number"
            ),
        ]
        indexes = [models.Index(fields=["period_id"], name="booked_fee_period")]
