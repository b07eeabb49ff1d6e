"""The accept window: how late an event may come and how far ahead it may be dated."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from metering.models import QuarantinedEvent

Reason = QuarantinedEvent.Reason


def accept_window(occurred_at: datetime, now: datetime) -> str | None:
    """Why an event of `occurred_at` may not be taken at `now` (`too_late`, `in_future`); None when it may.

    Both bounds belong to the window: `EVENT_LATE_MAX` ago is still taken, `EVENT_AHEAD_MAX` ahead too.
    """
    if occurred_at < now - settings.EVENT_LATE_MAX:
        return Reason.TOO_LATE.value
    if occurred_at > now + settings.EVENT_AHEAD_MAX:
        return Reason.IN_FUTURE.value
    return None
