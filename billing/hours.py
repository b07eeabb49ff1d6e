"""The hours by which usage, revenue and cost are counted."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


def hour_start(instant: datetime, time_zone: str) -> str:
    """The start, as UTC text, of the payer's local hour that an instant falls in.

    Only zones off by parts of an hour (Kolkata, Kathmandu) differ from hours of UTC.
    """
    return instant_and_hour(instant, time_zone)[1]


def instant_and_hour(instant: datetime, time_zone: str) -> tuple[str, str]:
    """An instant and its `hour_start` as texts.

    The hour is looked up by pieces of the text: another instant to look up by would cost more than the text.
    """
    text = instant.isoformat()
    return text, _hour_of_quarter(text[:13], instant.minute // 15, text[-6:], time_zone)


@lru_cache(maxsize=20_000)
def _hour_of_quarter(hour: str, number: int, offset: str, time_zone: str) -> str:
    quarter = datetime.fromisoformat(f"{hour}:{number * 15:02}:00{offset}")
    local = quarter.astimezone(ZoneInfo(time_zone)).utcoffset() or timedelta()
    shift = timedelta(seconds=local.total_seconds() % 3600)
    return ((quarter + shift).replace(minute=0) - shift).isoformat()
