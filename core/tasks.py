"""Due tasks of the ground floor. A task only calls; what it does stands elsewhere."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from core import clock
from core.jobs.beating import forget_the_dead
from core.jobs.states import prune_job_runs
from core.partitions import ensure_partitions


@shared_task
def make_partitions() -> None:
    """Make the monthly partitions of events and charges ahead of time."""
    ensure_partitions(clock.now())


@shared_task
def clear_sessions() -> None:
    """Remove the sessions that have expired."""
    SessionStore.clear_expired()


@shared_task
def prune_jobs() -> None:
    """Forget runs and processes that nobody asks about any more."""
    prune_job_runs()
    forget_the_dead()
