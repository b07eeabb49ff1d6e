"""Somebody asks for a run now: a row, which the job's next run takes. The message only makes it soon."""

from __future__ import annotations

import structlog
from django.db import IntegrityError, transaction

from core import clock
from core.jobs.catalogue import Job
from core.models import JobRequest

log = structlog.get_logger(__name__)


def request_run(job: Job, by: str) -> JobRequest:
    """Ask for a run of the job. Asked for already and not begun: that request.

    Without Redis beat finds the request in the database; without beat a worker gets the message; without
    either, the next `run_due` takes it.
    """
    try:
        with transaction.atomic():
            made = JobRequest.objects.create(job=job.name, asked_at=clock.system_now(), asked_by=by)
    except IntegrityError:
        return JobRequest.objects.filter(job=job.name, taken_at=None).latest("pk")
    transaction.on_commit(lambda: _send(job))
    return made


def _send(job: Job) -> None:
    try:
        job.task.apply_async(retry=False, expires=job.every.total_seconds())
    except Exception as error:  # the queue is away: the row is what counts
        log.warning("job_not_sent", job=job.name, error=type(error).__name__)
