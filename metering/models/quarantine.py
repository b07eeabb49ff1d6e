from __future__ import annotations

from django.db import models

from core.ids import PublicId


class QuarantinedEvent(models.Model):
    """A well-formed event that could not be taken: nothing accepted is lost.

    It waits until staff release it (it is then charged under its normal key) or write it off.
    """

    public_id = PublicId("qe")

    class Reason(models.TextChoices):
        UNKNOWN_KEY = "unknown_key"
        UNKNOWN_WORKSPACE = "unknown_workspace"
        UNKNOWN_PAYER = "unknown_payer"
        KEY_REVOKED = "key_revoked"
        NO_PAYER = "no_payer"
        MISMATCH = "mismatch"
        CLOSED = "closed"
        TOO_LATE = "too_late"
        IN_FUTURE = "in_future"

    class Status(models.TextChoices):
        WAITING = "waiting"
        RELEASED = "released"
        WRITTEN_OFF = "written_off"

    idempotency_key = models.TextField()
    payload_hash = models.BinaryField()
    payload = models.JSONField()
    reason = models.CharField(max_length=20, choices=Reason)
    message = models.TextField()
    status = models.CharField(max_length=12, choices=Status, default=Status.WAITING)
    customer_id = models.BigIntegerField(null=True)
    integration_key_id = models.BigIntegerField(null=True)
    event_id = models.UUIDField(null=True)
    received_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["idempotency_key", "payload_hash"],
                condition=models.Q(status="waiting"),
                name="quarantined_once",
            )
        ]
        indexes = [models.Index(fields=["status", "-received_at"], name="quarantine_waiting")]
