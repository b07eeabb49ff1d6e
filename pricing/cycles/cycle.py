"""Billing cycles: whole months counted from an anchor day, each beginning at the payer's local midnight."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from pricing.cycles.midnight import local_day, local_midnight


class Interval(StrEnum):
    """How long a cycle is."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class Anchor(StrEnum):
    """What cycles are counted from."""

    CALENDAR = "calendar"  # the first of January
    SUBSCRIPTION = "subscription"  # the local day on which the subscription started


MONTHS: Final = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}
# Any first of January serves a calendar cycle; 2000 keeps the counts small.
_CALENDAR_DAY: Final = date(2000, 1, 1)


class Period(NamedTuple):
    """The half-open period `[start, end)`, aware, in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Cycle:
    """An endless row of periods without gap or overlap, before and after the anchor day.

    Boundary n is the anchor day plus n intervals, always counted from the anchor, so that a day clamped to a
    short month's end comes back in the next long one (31 Jan, 28 Feb, 31 Mar).
    """

    interval: Interval
    anchor_day: date
    zone: ZoneInfo

    @classmethod
    def anchored(cls, interval: Interval, anchor: Anchor, started_at: datetime, zone: ZoneInfo) -> Cycle:
        """The cycle of a subscription that started at `started_at` (aware) for a payer living in `zone`."""
        if anchor is Anchor.CALENDAR:
            return cls(interval, _CALENDAR_DAY, zone)
        return cls(interval, local_day(started_at, zone), zone)

    def boundary(self, number: int) -> datetime:
        """The instant, in UTC, at which period `number` begins; 0 is the one that begins on the anchor day.

        Raises ValueError outside of the years 1 to 9999.
        """
        return _boundary(self.interval, self.anchor_day, self.zone, number)

    def number_at(self, instant: datetime) -> int:
        """The number of the period that holds `instant` (aware)."""
        return _number_at(self.interval, self.anchor_day, self.zone, instant)

    def period_at(self, instant: datetime) -> Period:
        """The period that holds `instant` (aware); an instant on a boundary begins its period."""
        number = self.number_at(instant)
        return Period(self.boundary(number), self.boundary(number + 1))

    def periods_between(self, start: datetime, end: datetime) -> Iterator[Period]:
        """Every whole period that shares an instant with `[start, end)`, in order."""
        if start >= end:
            return
        period = self.period_at(start)
        number = self.number_at(period.start)
        while period.start < end:
            yield period
            number += 1
            period = Period(period.end, self.boundary(number + 1))


@lru_cache(maxsize=50_000)
def _boundary(interval: Interval, anchor_day: date, zone: ZoneInfo, number: int) -> datetime:
    """Kept, because many payers share a cycle and each asks for the same few boundaries again and again."""
    return local_midnight(anchor_day + relativedelta(months=number * MONTHS[interval]), zone)


@lru_cache(maxsize=50_000)
def _number_at(interval: Interval, anchor_day: date, zone: ZoneInfo, instant: datetime) -> int:
    day = local_day(instant, zone)
    months = (day.year - anchor_day.year) * 12 + day.month - anchor_day.month
    number = months // MONTHS[interval]
    # The month alone may lie one off: the anchor's day of the month, or midnight, may still be to come.
    while _boundary(interval, anchor_day, zone, number) > instant:
        number -= 1
    while _boundary(interval, anchor_day, zone, number + 1) <= instant:
        number += 1
    return number
