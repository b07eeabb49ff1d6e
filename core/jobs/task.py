"""How the worker works a message off. Called directly, as tests and `run_due` do, a task is only itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from celery import Task
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request

from core.errors import NotFound, TollgateError
from core.instants import parse_instant
from core.jobs.catalogue import Job, find_job
from core.jobs.parking import Reason, attempts_of, park
from core.jobs.running import Status, Trigger, give_up, recorded, run_job, start
from core.models import JobRun, ParkedMessage
from core.redaction import error_sentence

ATTEMPTS_MAX: Final = 4
"""So often a message is tried, with a pause that grows; then it is parked."""
PAUSE_SECONDS: Final = 5
DUE_AT: Final = "due_at"
"""The header in which beat says when the run was due."""


class ParkingRequest(Request):
    """A message on its way through the worker; one whose body no child can read is parked."""

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Called for what the task raised (`return_ok`), and for what went wrong around it."""
        error = exc_info.exception
        error = getattr(error, "exc", error)
        expected = (WorkerLostError, TimeLimitExceeded, Retry, Ignore, Reject, SystemExit, KeyboardInterrupt)
        if not return_ok and isinstance(error, Exception) and not isinstance(error, expected):
            park_unread(self.message, error_sentence(error), task=self.name, message_id=self.id)
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)


class JobTask(Task):  # type: ignore[type-arg]
    """The base of every task. A job is run as one; any other message is tried again, then parked."""

    abstract = True
    Request = "core.jobs.task:ParkingRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, or work off the message that asks for it."""
        if self.request.called_directly:
            return self.run(*args, **kwargs)
        return work_off(self, args, kwargs)


def work_off(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Do what a message asks for. What the task raises ends in the database, not here."""
    message_id = str(task.request.id or "")
    attempts = attempts_of(message_id)
    if attempts >= ATTEMPTS_MAX:
        bad = JobRun.objects.filter(message_id=message_id).exclude(status=Status.SUCCEEDED).latest("pk")
        sentence = bad.error or "Its worker died, again and again."
        _park(Reason.CRASHED, sentence, task, args, kwargs, attempts)
        return
    job = _job_of(task.name) if not args and not kwargs else None
    if job is not None:
        run_job(job, Trigger.SCHEDULE, due_at=_due_at(task.request.get(DUE_AT)), message_id=message_id)
        return
    for unfinished in JobRun.objects.filter(message_id=message_id, status=Status.RUNNING):
        give_up(unfinished)
    run = start(task.name, Trigger.MESSAGE, due_at=None, message_id=message_id)
    with recorded(run):
        task.run(*args, **kwargs)
    if run.status == Status.FAILED:
        _try_again(task, args, kwargs, run, attempts + 1)


def park_unread(message: Any, error: str, *, task: str = "", message_id: str = "") -> None:
    """Put aside a message that was never understood, as it came."""
    body = message.body
    headers = message.headers if isinstance(message.headers, Mapping) else {}
    park(
        Reason.UNREADABLE,
        error,
        task=task or str(headers.get("task", "")),
        message_id=message_id or str(headers.get("id", "")),
        body=body if isinstance(body, bytes) else str(body).encode(errors="replace"),
        content_type=str(message.content_type or ""),
        content_encoding=str(message.content_encoding or ""),
        headers=headers,
    )


def _try_again(task: Any, args: Sequence[Any], kwargs: Mapping[str, Any], run: JobRun, attempts: int) -> None:
    if attempts >= ATTEMPTS_MAX:
        _park(Reason.RAISED, run.error, task, args, kwargs, attempts)
        return
    raise task.retry(countdown=PAUSE_SECONDS * 2 ** (attempts - 1), max_retries=None, throw=False)


def _park(
    reason: ParkedMessage.Reason,
    error: str,
    task: Any,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    attempts: int,
) -> None:
    park(
        reason,
        error,
        task=task.name,
        message_id=str(task.request.id or ""),
        attempts=attempts,
        arguments={"args": list(args), "kwargs": dict(kwargs)},
        headers=task.request.headers or {},
    )


def _job_of(name: str) -> Job | None:
    try:
        return find_job(name)
    except NotFound:
        return None


def _due_at(header: object) -> datetime | None:
    try:
        return parse_instant(header)
    except TollgateError:
        return None
