"""Windows of time and their periods: hours, days, weeks and months on a payer's clock. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from core.errors import InvalidRequest

PERIODS_MAX: Final = 2400
_HOUR: Final = timedelta(hours=1)
_FIRST: Final = datetime(1970, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(2200, 1, 1, tzinfo=UTC)


class Granularity(StrEnum):
    """How long one point of a series is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


_LONGEST: Final = {
    Granularity.HOUR: _HOUR,
    Granularity.DAY: timedelta(days=1),
    Granularity.WEEK: timedelta(days=7),
    Granularity.MONTH: timedelta(days=31),
}
_STEP: Final = {
    Granularity.DAY: relativedelta(days=1),
    Granularity.WEEK: relativedelta(weeks=1),
    Granularity.MONTH: relativedelta(months=1),
}


@dataclass(frozen=True, slots=True)
class Window:
    """`[start, end)` on whole hours of `zone`, cut into periods of `granularity`. Instants are in UTC."""

    start: datetime
    end: datetime
    granularity: Granularity
    zone: ZoneInfo

    def period_start(self, instant: datetime) -> datetime:
        """When the local period that `instant` falls in began, not before the window."""
        return max(self.start, _floor(instant, self.granularity, self.zone))

    def period_end(self, start: datetime) -> datetime:
        """When the period that `start` falls in ends, not after the window."""
        if self.granularity is Granularity.HOUR:
            return min(self.end, start + _HOUR)
        following = _local_floor(start, self.granularity, self.zone) + _STEP[self.granularity]
        return min(self.end, following.replace(tzinfo=self.zone).astimezone(UTC))

    def periods(self) -> Iterator[tuple[datetime, datetime]]:
        """All periods in order; the first and the last are cut to the window."""
        start = self.start
        while start < self.end:
            end = self.period_end(start)
            yield start, end
            start = end


def make_window(
    start: datetime | None, end: datetime | None, granularity: Granularity, zone: ZoneInfo, now: datetime
) -> Window:
    """The window from `start` (None: when the local month of `end` began) to `end` (None: this hour's end).

    Both are widened to whole local hours, because usage is kept by the hour. Raises InvalidRequest for an
    empty window or one of more than 2,400 periods.
    """
    for param, instant in (("from", start), ("to", end)):
        if instant is not None and not _FIRST <= instant < _LAST:
            raise InvalidRequest("invalid_instant", "Ask for years from 1970 to 2199.", param)
    # The present hour is in, even when it has only just begun.
    last = _ceil_hour(end, zone) if end else floor_hour(now, zone) + _HOUR
    first = floor_hour(start, zone) if start else _floor(last - _HOUR, Granularity.MONTH, zone)
    if first >= last:
        raise InvalidRequest("invalid_period", "`to` must be after `from`.", "to")
    if last - first > _LONGEST[granularity] * PERIODS_MAX:
        raise InvalidRequest(
            "window_too_long",
            f"A series may have {PERIODS_MAX:,} points; ask for fewer or longer periods than {granularity}s.",
            "from",
        )
    return Window(first, last, granularity, zone)


def floor_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    """The start in UTC of the local hour that `instant` falls in; some zones are off by half an hour."""
    shift = _shift(instant, zone)
    return (instant.astimezone(UTC) + shift).replace(minute=0, second=0, microsecond=0) - shift


def _ceil_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    floor = floor_hour(instant, zone)
    return floor if floor == instant else floor + _HOUR


def _shift(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset() or timedelta()
    return timedelta(seconds=offset.total_seconds() % 3600)


def _floor(instant: datetime, granularity: Granularity, zone: ZoneInfo) -> datetime:
    if granularity is Granularity.HOUR:
        return floor_hour(instant, zone)
    return _local_floor(instant, granularity, zone).replace(tzinfo=zone).astimezone(UTC)


def _local_floor(instant: datetime, granularity: Granularity, zone: ZoneInfo) -> datetime:
    """What the clocks show (or skip) when the period begins, without a zone."""
    local = instant.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0, fold=0)
    if granularity is Granularity.WEEK:
        return local - timedelta(days=local.weekday())
    return local.replace(day=1) if granularity is Granularity.MONTH else local
