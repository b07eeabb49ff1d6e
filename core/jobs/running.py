"""Runs a job: never two at once, its beginning and its end in the database, whoever starts it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import IntegrityError, transaction
from structlog.contextvars import bound_contextvars

from core import clock
from core.jobs.catalogue import Job
from core.models import JobRequest, JobRun
from core.redaction import error_sentence
from core.sql_locks import session_lock

log = structlog.get_logger(__name__)

Status, Trigger = JobRun.Status, JobRun.Trigger
ENDED_EARLY: Final = "The process that ran it ended before it was done."
OTHER_CLOCK: Final = timedelta(seconds=2)
"""From this difference on, a task's own now is worth a note."""


def own_name() -> str:
    """This process as people find it: `host:pid`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_job(
    job: Job,
    trigger: JobRun.Trigger,
    *,
    due_at: datetime | None = None,
    message_id: str = "",
    patience: float = 0.0,
) -> JobRun | None:
    """Run the job here and now; how it went, or None when it runs elsewhere.

    With `patience` another run is waited for, so many seconds. What the task raises is logged and stands in
    the run, and is not raised. A request that waits for a run of this job is taken by this one.
    """
    with session_lock(f"job:{job.name}", patience) as is_held:
        if not is_held:
            return None
        try:
            run = _begin(job, trigger, due_at, message_id)
        except IntegrityError:  # the database knows of another run, which has lost its lock
            return None
        work: Callable[[], object] = getattr(job.task, "run", job.task)
        with recorded(run):
            work()
        return run


@contextmanager
def recorded(run: JobRun) -> Iterator[None]:
    """Write down how the block ends; what it raises is logged and swallowed."""
    with bound_contextvars(job=run.job, run=run.public_id):
        try:
            yield
        except Exception as error:
            run.error = error_sentence(error)
            log.exception("job_failed", trigger=run.trigger)
            finish(run, Status.FAILED)
        else:
            finish(run, Status.SUCCEEDED)
            log.debug("job_done", trigger=run.trigger, seconds=run.seconds)


def finish(run: JobRun, status: JobRun.Status) -> None:
    """The run is over; one that was given up as lost meanwhile stays lost."""
    run.status, run.finished_at = status, max(clock.system_now(), run.started_at)
    unfinished = JobRun.objects.filter(pk=run.pk, status=Status.RUNNING)
    if not unfinished.update(status=status, finished_at=run.finished_at, error=run.error):
        log.warning("job_run_was_given_up", run=run.public_id, status=status.value)


def start(job: str, trigger: JobRun.Trigger, *, due_at: datetime | None, message_id: str) -> JobRun:
    """A new run that begins now."""
    now, own = clock.system_now(), clock.now()
    return JobRun.objects.create(
        job=job,
        trigger=trigger,
        status=Status.RUNNING,
        message_id=message_id,
        process=own_name(),
        due_at=due_at or now,
        started_at=now,
        as_if_at=own if abs(own - now) > OTHER_CLOCK else None,
    )


def give_up(unfinished: JobRun) -> None:
    """Whoever ran it is gone."""
    unfinished.error = ENDED_EARLY
    finish(unfinished, Status.LOST)


def _begin(job: Job, trigger: JobRun.Trigger, due_at: datetime | None, message_id: str) -> JobRun:
    """The run's row, under the job's lock: whatever else is called running has died."""
    with transaction.atomic():
        running = JobRun.objects.filter(job=job.name, status=Status.RUNNING)
        for unfinished in running.exclude(trigger=Trigger.MESSAGE):
            give_up(unfinished)
        run = start(job.name, trigger, due_at=due_at, message_id=message_id)
        request = JobRequest.objects.select_for_update().filter(job=job.name, taken_at=None).first()
        if request is not None:
            request.taken_at = run.started_at
            request.save(update_fields=["taken_at"])
            run.request, run.trigger, run.due_at = request, Trigger.REQUEST, request.asked_at
            run.save(update_fields=["request", "trigger", "due_at"])
        return run
