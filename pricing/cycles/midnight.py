"""The instant at which a local day begins."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which `day` begins on the clocks of `zone`.

    Where clocks jump over midnight the day begins with the jump; where they strike midnight twice it begins
    with the first stroke. (PEP 495 resolves fold=0 so in both cases.)
    """
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The calendar day that the clocks of `zone` show at `instant` (aware)."""
    return instant.astimezone(zone).date()
