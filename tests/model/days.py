"""The model's calendar: local days and months of a time zone, as instants; docs/algorithms/cycles.md."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Span = tuple[datetime, datetime]
"""From the first instant to the one after the last."""


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins. No zone that is played moves its clocks at midnight."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_of(at: datetime, zone: ZoneInfo) -> Span:
    """The local day of an instant: 23 to 25 hours."""
    day = at.astimezone(zone).date()
    return midnight(day, zone), midnight(day + timedelta(days=1), zone)


def month_of(at: datetime, zone: ZoneInfo) -> Span:
    """The local calendar month of an instant."""
    first = at.astimezone(zone).date().replace(day=1)
    return midnight(first, zone), midnight((first + timedelta(days=32)).replace(day=1), zone)
