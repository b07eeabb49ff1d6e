"""Due tasks of the ground floor. A task only calls; what it does stands elsewhere."""

from __future__ import annotations

from celery import shared_task
from django.contrib.sessions.backends.db import SessionStore

from core import clock
from core.partitions import ensure_partitions


@shared_task
def make_partitions() -> None:
    """Make the hot tables' partitions of this month and the next ones."""
    ensure_partitions(clock.now())


@shared_task
def clear_sessions() -> None:
    """Remove the sessions that have expired."""
    SessionStore.clear_expired()
