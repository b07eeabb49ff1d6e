"""What must go out after a commit: a row written in the transaction that causes it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.ids import PublicId
from core.triggers import frozen_columns, frozen_row

MESSAGE = ("kind", "key", "customer_id", "payload", "created_at")


class OutboxMessage(models.Model):
    """A message to a customer, to be delivered once; `key` names its cause, so that it is written once.

    Without a customer it is for the operator's own staff: what it says is nobody else's business.

    Only `delivered_at` ever changes.
    """

    public_id = PublicId("msg")
    kind = models.CharField(max_length=40)
    key = models.CharField(max_length=200, unique=True)
    customer_id = models.BigIntegerField(null=True)
    payload = models.JSONField()
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        triggers = [
            frozen_columns("message_stays", *MESSAGE, once="OLD.id IS NOT NULL"),
            frozen_row("message_kept", once="OLD.id IS NOT NULL"),
        ]
        indexes = [
            models.Index(fields=["id"], name="outbox_waiting", condition=Q(delivered_at__isnull=True)),
            models.Index(fields=["customer_id", "-id"], name="outbox_customer"),
        ]
