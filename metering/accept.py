"""The accept window: how late an event may come and how far ahead it may be dated."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from metering.models import QuarantinedEvent

Reason = QuarantinedEvent.Reason


def accept_bounds(now: datetime) -> tuple[datetime, datetime]:
    """The earliest and the latest `occurred_at` that may be taken at `now`; both belong to the window."""
    return now - settings.EVENT_LATE_MAX, now + settings.EVENT_AHEAD_MAX


def accept_window(occurred_at: datetime, now: datetime) -> str | None:
    """Why an event of `occurred_at` may not be taken at `now` (`too_late`, `in_future`); None when it may."""
    earliest, latest = accept_bounds(now)
    if occurred_at < earliest:
        return Reason.TOO_LATE.value
    if occurred_at > latest:
        return Reason.IN_FUTURE.value
    return None
