"""How far the gateways' access logs have been settled, and what in them could not be."""

from __future__ import annotations

from typing import Final

from django.db import models
from django.db.models import Q

from core.ids import PublicId
from core.triggers import frozen_columns

COUNTS: Final = (
    "lines",
    "captured",
    "events",
    "passed",
    "voided",
    "free",
    "stopped",
    "known",
    "quarantined",
    "unread",
)


class AccessLog(models.Model):
    """One log file, known by its content (`identity`), read up to `offset` (bytes, unpacked).

    Of its `lines`: `captured` a hold, became `events`, `passed` while nobody decided (events, too), `voided`
    the hold of a call that failed, failed and were `free`, were `stopped` at the gateway, were `known`
    already, wait in quarantine, or are `unread`: they could not be settled yet. `last_line` is the digest of
    the last line that was read, which began at `last_line_at`; `modified_ns` is the file's time then.
    """

    public_id = PublicId("log")
    identity = models.CharField(max_length=64, unique=True)
    path = models.TextField()
    offset = models.BigIntegerField(default=0)
    last_line_at = models.BigIntegerField(null=True)
    last_line = models.CharField(max_length=64, blank=True, default="")
    modified_ns = models.BigIntegerField(default=0)
    first_read_at = models.DateTimeField()
    last_read_at = models.DateTimeField()
    lines = models.BigIntegerField(default=0)
    captured = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    passed = models.BigIntegerField(default=0)
    voided = models.BigIntegerField(default=0)
    free = models.BigIntegerField(default=0)
    stopped = models.BigIntegerField(default=0)
    known = models.BigIntegerField(default=0)
    quarantined = models.BigIntegerField(default=0)
    unread = models.BigIntegerField(default=0)

    class Meta:
        triggers = [
            frozen_columns("log_stays_itself", "identity", "first_read_at", once="OLD.id IS NOT NULL"),
        ]
        constraints = [models.CheckConstraint(condition=Q(offset__gte=0), name="log_offset")]
        indexes = [models.Index(fields=["path", "-modified_ns"], name="log_path")]


class UnreadLine(models.Model):
    """A line that tells of no call that could be settled; kept without the caller's key.

    `caller` is that key's fingerprint, `free_from` the status from which on calls cost nothing, so that it
    can be tried again (`billing.access_log.retrying`), last at `tried_at`. Once it is settled, `outcome` says
    what became of it, in the words of the log's counts.
    """

    log = models.ForeignKey(AccessLog, on_delete=models.PROTECT, related_name="unread_lines")
    offset = models.BigIntegerField()
    text = models.TextField()
    problem = models.TextField()
    read_at = models.DateTimeField()
    caller = models.CharField(max_length=64, blank=True, default="")
    free_from = models.PositiveSmallIntegerField(default=500)
    tried_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)
    settled_by = models.CharField(max_length=200, blank=True, default="")
    outcome = models.CharField(max_length=16, blank=True, default="")

    class Meta:
        triggers = [
            frozen_columns(
                "line_stays", "log_id", "offset", "text", "caller", "read_at", once="OLD.id IS NOT NULL"
            ),
            frozen_columns("line_settled_once", "settled_at", "outcome", once="OLD.settled_at IS NOT NULL"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["log", "offset"], name="unread_once"),
            models.CheckConstraint(
                condition=Q(settled_at=None, outcome="") | Q(settled_at__isnull=False) & ~Q(outcome=""),
                name="settled_line_has_outcome",
            ),
        ]
        indexes = [
            models.Index(fields=["-read_at"], name="unread_time"),
            models.Index(fields=["id"], name="unread_waiting", condition=Q(settled_at=None)),
        ]
