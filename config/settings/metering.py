"""When an event is taken: how late it may come, how far ahead of our clock it may say it was, and how long a
billing period waits for late ones before it closes."""

from __future__ import annotations

from datetime import timedelta

from config.environment import env

EVENT_LATE_MAX: timedelta = timedelta(days=env.int("TOLLGATE_EVENT_LATE_DAYS", 35))
EVENT_AHEAD_MAX: timedelta = timedelta(hours=env.int("TOLLGATE_EVENT_AHEAD_HOURS", 24))
PERIOD_GRACE: timedelta = timedelta(hours=env.int("TOLLGATE_PERIOD_GRACE_HOURS", 24))
