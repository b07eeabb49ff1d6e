"""The hours by which usage, revenue and cost are counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


def hour_start(instant: datetime, time_zone: str) -> str:
    """The start, as UTC text, of the payer's local hour that an instant falls in.

    Only zones off by parts of an hour (Kolkata, Kathmandu) differ from hours of UTC.
    """
    return _hour_of_quarter(
        instant.replace(minute=instant.minute // 15 * 15, second=0, microsecond=0), time_zone
    )


@lru_cache(maxsize=20_000)
def instant_and_hour(instant: datetime, time_zone: str) -> tuple[str, str]:
    """An instant and its `hour_start` as texts. Events that came together without an instant share theirs."""
    return instant.isoformat(), hour_start(instant, time_zone)


@lru_cache(maxsize=20_000)
def _hour_of_quarter(quarter: datetime, time_zone: str) -> str:
    offset = quarter.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta()
    shift = timedelta(seconds=offset.total_seconds() % 3600)
    return ((quarter + shift).replace(minute=0) - shift).isoformat()
