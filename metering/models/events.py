"""Hot tables: partitioned by month of recorded_at (events), written by `metering.store` only.

No foreign key points at them or from them; their tables are made by hand in the migration.
"""

from __future__ import annotations

from django.db import models

from core.fields import AmountField
from core.ids import hot_id


class UsageEvent(models.Model):
    """One thing that happened. Append-only.

    `seq` is the payer's running number, shared with the charge and the transfers of the same call.
    `cost` is what the vendors take for it, in the payer's currency: null = not known (or not
    convertible), 0 = known to be nothing; `costs` lists the parts as they came or were computed.
    `given` says which optional fields the caller sent (bits of `metering.payload.GIVEN`), so that a
    replay is compared with what was sent, not with what was derived.
    """

    pk = models.CompositePrimaryKey("customer_id", "id", "recorded_at")
    customer_id = models.BigIntegerField()
    id = models.UUIDField()
    recorded_at = models.DateTimeField()
    seq = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    workspace_id = models.BigIntegerField(null=True)
    api_key_id = models.BigIntegerField(null=True)
    idempotency_key = models.TextField()
    name = models.TextField()
    occurred_at = models.DateTimeField()
    properties = models.JSONField()
    costs = models.JSONField(null=True)
    cost = AmountField(null=True)
    user = models.TextField(null=True)
    trace = models.TextField(null=True)
    source = models.TextField()
    given = models.SmallIntegerField()
    unmatched = models.BooleanField()
    unpriced = models.BooleanField()

    class Meta:
        indexes = [
            models.Index(fields=["customer_id", "billing_entity_id", "seq"], name="event_seq"),
            models.Index(fields=["recorded_at"], name="event_passed", condition=models.Q(source="fail_open")),
            models.Index(
                fields=["customer_id", "trace"], name="event_trace", condition=models.Q(trace__isnull=False)
            ),
            models.Index(
                fields=["customer_id", "user"], name="event_user", condition=models.Q(user__isnull=False)
            ),
        ]

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return hot_id("evt", self.customer_id, self.id)


class IdempotencyKey(models.Model):
    """A key that counted, for ever: one per customer, whatever became of payers and partitions."""

    pk = models.CompositePrimaryKey("customer_id", "key")
    customer_id = models.BigIntegerField()
    key = models.TextField()
    payload_hash = models.BinaryField()
    event_id = models.UUIDField()
    recorded_at = models.DateTimeField()
