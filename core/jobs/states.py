"""How each job does: its last run, when the next is due, how late it is, and what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core import clock
from core.jobs.catalogue import Job, jobs
from core.models import JobRequest, JobRun
from core.sql_jobs import prune_runs, read_states

SLACK: Final = timedelta(seconds=60)
"""So much later than due a run may begin before it is called overdue."""
GOOD_KEPT: Final = timedelta(days=1)
KEPT: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class JobState:
    """One job as it stands at `now`. `failures`: in a row, since it last went well."""

    job: Job
    last: JobRun | None
    good_at: datetime | None
    failures: int
    request: JobRequest | None
    now: datetime

    @property
    def is_running(self) -> bool:
        """Whether a run has begun and not ended."""
        return self.last is not None and self.last.status == JobRun.Status.RUNNING

    @property
    def next_at(self) -> datetime:
        """When it is due: at once if somebody asked or it never ran."""
        if self.request is not None:
            return self.request.asked_at
        return self.now if self.last is None else self.last.started_at + self.job.every

    @property
    def lag(self) -> timedelta:
        """For how long it should have run and did not; zero while it runs."""
        if self.is_running or self.last is None:
            return timedelta(0)
        return max(timedelta(0), self.now - self.next_at)

    @property
    def lag_seconds(self) -> float:
        """The lag."""
        return self.lag.total_seconds()

    @property
    def is_overdue(self) -> bool:
        """Whether it is later than beat and a busy worker make it."""
        return self.lag > SLACK

    @property
    def status(self) -> str:
        """The word of its badge."""
        if self.last is None:
            return "never_ran"
        return "overdue" if self.is_overdue and not self.failures else self.last.status

    @property
    def error(self) -> str:
        """What its last run failed with, if it failed."""
        return self.last.error if self.last is not None and self.failures else ""


def job_states(wanted: Sequence[Job] | None = None) -> list[JobState]:
    """The state of these jobs, or of all; three statements however many there are."""
    now, chosen = clock.system_now(), jobs() if wanted is None else wanted
    rows = read_states([job.name for job in chosen])
    runs = JobRun.objects.select_related("request").in_bulk([row.last_id for row in rows if row.last_id])
    waiting = {request.job: request for request in JobRequest.objects.filter(taken_at=None)}
    return [
        JobState(job, runs.get(row.last_id or 0), row.good_at, row.failures, waiting.get(job.name), now)
        for job, row in zip(chosen, rows, strict=True)
    ]


def prune_job_runs() -> int:
    """Forget the good runs of yesterday and before, and the others after a month; how many went."""
    now = clock.system_now()
    return prune_runs(now - GOOD_KEPT, now - KEPT)
