"""Beat: sends what is due by what the database knows, so that a message that was lost is sent again.

A job is due when its interval has passed since its last run began, or when somebody asked for a run. What
was sent and did not begin, for whatever reason, is sent again when its message has expired: no copy of it
can pile up. Beat keeps nothing of its own; a second beat by mistake only sends twice what runs once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from celery.beat import Scheduler

from core import clock
from core.instants import instant_text
from core.jobs.beating import EVERY, note_alive
from core.jobs.catalogue import Job, jobs
from core.jobs.task import DUE_AT
from core.models import Heartbeat, JobRequest
from core.sql_jobs import last_starts, let_go

log = structlog.get_logger(__name__)

SENT_AGAIN_AFTER: Final = timedelta(minutes=2)
"""At the latest: a job with a shorter interval, after that."""
ASKED_AGAIN_AFTER: Final = timedelta(seconds=5)
SHORTEST_SLEEP: Final = 0.1
LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


class DatabaseScheduler(Scheduler):
    """What Celery's beat runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.sent: dict[str, datetime] = {}
        self.started: Mapping[str, datetime | None] = {}
        self.begun_at = clock.system_now()
        self.told_at = LONG_AGO
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """There is nothing to set up: jobs are in the settings, their runs in the database."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; the seconds until it should be looked at again."""
        now = clock.system_now()
        if now - self.told_at >= EVERY:
            note_alive(Heartbeat.Kind.BEAT, self.begun_at)
            self.told_at = now
        asked = self._look()
        all_jobs = jobs()
        for job in all_jobs:
            if self._due_at(job, asked) <= now:
                self._send(job, max(self._due_at(job, asked), self.begun_at), now)
        nearest = min((self._due_at(job, ()) for job in all_jobs), default=now + EVERY)
        return min(max((nearest - clock.system_now()).total_seconds(), SHORTEST_SLEEP), EVERY.total_seconds())

    def _look(self) -> Sequence[str]:
        """Read when jobs last began; gives the jobs that somebody asked for. Without a database: the last."""
        try:
            self.started = last_starts([job.name for job in jobs()])
            return list(JobRequest.objects.filter(taken_at=None).values_list("job", flat=True))
        except Exception as error:  # beat goes on, by what it sent itself
            log.warning("beat_without_database", error=type(error).__name__)
            return ()
        finally:
            let_go()

    def _due_at(self, job: Job, asked: Sequence[str]) -> datetime:
        return due_at(job, self.started.get(job.name), self.sent.get(job.name), job.name in asked)

    def _send(self, job: Job, due: datetime, now: datetime) -> None:
        try:
            self.app.send_task(
                job.name,
                producer=self.producer,
                expires=min(job.every, SENT_AGAIN_AFTER).total_seconds(),
                headers={DUE_AT: instant_text(due)},
            )
        except Exception as error:  # the queue is away: it stays due
            log.error("job_not_sent", job=job.name, error=type(error).__name__)
        self.sent[job.name] = now


def due_at(job: Job, started: datetime | None, sent: datetime | None, is_asked_for: bool) -> datetime:
    """When a message has to go out, given when the job last began and when its last message went out."""
    regular = LONG_AGO if started is None else started + job.every
    if sent is None or (started is not None and started >= sent):
        return LONG_AGO if is_asked_for else regular
    if is_asked_for:
        return sent + ASKED_AGAIN_AFTER
    return max(regular, sent + min(job.every, SENT_AGAIN_AFTER))
