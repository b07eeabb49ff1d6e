"""What is known of scheduled tasks: their runs, who asked for one, messages nobody could work off."""

from __future__ import annotations

from typing import Any

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Q

from core.ids import PublicId
from core.triggers import frozen_columns


@pghistory.track()
class JobRequest(models.Model):
    """Somebody asked for a job to be run now. The next run of the job that begins takes it."""

    job = models.CharField(max_length=200)
    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=200)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "job request"
        constraints = [
            models.UniqueConstraint(
                fields=["job"], condition=Q(taken_at__isnull=True), name="one_waiting_request_a_job"
            )
        ]


class JobRun(models.Model):
    """One run of a task: by beat, by `run_due`, because somebody asked, or for a message of its own.

    `due_at` is when it was sent or asked for; the instants are the machine's, whatever a test clock says.
    `as_if_at` is the instant that the task took for now, where that was another. A finished run stays.
    """

    public_id = PublicId("run")

    class Status(models.TextChoices):
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        LOST = "lost"

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", "Schedule"
        COMMAND = "command", "run_due"
        REQUEST = "request", "Run now"
        MESSAGE = "message", "Message"

    job = models.CharField(max_length=200)
    trigger = models.CharField(max_length=10, choices=Trigger)
    status = models.CharField(max_length=10, choices=Status)
    request = models.ForeignKey(JobRequest, models.PROTECT, null=True, related_name="runs")
    message_id = models.CharField(max_length=64, blank=True, default="")
    process = models.CharField(max_length=200)
    due_at = models.DateTimeField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    as_if_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        verbose_name = "job run"
        constraints = [
            models.UniqueConstraint(
                fields=["job"],
                condition=Q(status="running") & ~Q(trigger="message"),
                name="one_run_of_a_job_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status="running", finished_at__isnull=True)
                | (~Q(status="running") & Q(finished_at__isnull=False)),
                name="job_run_ends_once",
            ),
        ]
        indexes = [
            models.Index(fields=["job", "-id"], name="job_runs"),
            models.Index(fields=["job", "-id"], name="job_runs_good", condition=Q(status="succeeded")),
            models.Index(fields=["message_id"], name="job_run_message", condition=~Q(message_id="")),
            models.Index(fields=["finished_at"], name="job_runs_by_end"),
        ]
        triggers = [
            frozen_columns(
                "job_run_stays",
                "job",
                "trigger",
                "status",
                "started_at",
                "finished_at",
                "error",
                once="OLD.status <> 'running'",
            )
        ]

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.finished_at is None else (self.finished_at - self.started_at).total_seconds()

    @property
    def waited(self) -> float:
        """How many seconds passed from when it was due to its start."""
        return max(0.0, (self.started_at - self.due_at).total_seconds())


@pghistory.track(exclude=["body", "headers", "arguments"])
class ParkedMessage(models.Model):
    """A message of the queue that could not be worked off, put aside with what was wrong with it.

    Staff sends it again or drops it. `body` is what came, byte for byte, where it was never understood;
    `arguments` what it meant where it was.
    """

    public_id = PublicId("pmsg")

    class Reason(models.TextChoices):
        RAISED = "raised", "Failed again and again"
        CRASHED = "crashed", "Its worker died, again and again"
        UNKNOWN_TASK = "unknown_task", "No such task"
        UNREADABLE = "unreadable", "Cannot be read"

    class Status(models.TextChoices):
        PARKED = "parked"
        SENT_AGAIN = "sent_again"
        DROPPED = "dropped"

    message_id = models.CharField(max_length=64)
    task = models.CharField(max_length=200, blank=True, default="")
    reason = models.CharField(max_length=16, choices=Reason)
    error = models.CharField(max_length=500)
    attempts = models.PositiveIntegerField(default=1)
    arguments: Any = models.JSONField(null=True)
    body = models.BinaryField(null=True)
    content_type = models.CharField(max_length=100, blank=True, default="")
    content_encoding = models.CharField(max_length=100, blank=True, default="")
    headers: Any = models.JSONField(default=dict)
    parked_at = models.DateTimeField()
    status = models.CharField(max_length=12, choices=Status, default=Status.PARKED)
    resolved_at = models.DateTimeField(null=True)
    resolved_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        verbose_name = "parked message"
        constraints = [
            models.UniqueConstraint(
                fields=["message_id"], condition=Q(status="parked"), name="a_message_is_parked_once"
            ),
            models.CheckConstraint(
                condition=Q(status="parked", resolved_at__isnull=True)
                | (~Q(status="parked") & Q(resolved_at__isnull=False)),
                name="parked_message_resolved",
            ),
        ]
        indexes = [models.Index(fields=["-id"], name="messages_parked", condition=Q(status="parked"))]
        triggers = [
            pgtrigger.Protect(
                name="parked_message_stays",
                operation=pgtrigger.Delete,
            ),
            frozen_columns(
                "parked_message_is_resolved_once", "status", "resolved_at", once="OLD.status <> 'parked'"
            ),
        ]


class Heartbeat(models.Model):
    """One process that says every few seconds that it lives; by the machine's time, as runs are."""

    class Kind(models.TextChoices):
        BEAT = "beat"
        WORKER = "worker"

    name = models.CharField(primary_key=True, max_length=200)
    kind = models.CharField(max_length=10, choices=Kind)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
