from __future__ import annotations

from django.db import models


class IdempotentRequest(models.Model):
    """The first answer to a creating or money-moving request, kept under its Idempotency-Key.

    Written in the transaction of what the request did; a replay gets `response`, another payload
    under the same key is a conflict. `operation` is the namespace, e.g. `top_up`.
    """

    pk = models.CompositePrimaryKey("operation", "key")
    operation = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    payload = models.JSONField()
    status = models.SmallIntegerField(null=True)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField()
