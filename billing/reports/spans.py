"""The period that a page shows: whole local days, chosen in words or by dates. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

THIS_MONTH: Final = "this_month"
LAST_MONTH: Final = "last_month"
LAST_30_DAYS: Final = "last_30_days"
CUSTOM: Final = "custom"
CHOICES: Final = (
    (THIS_MONTH, "This month"),
    (LAST_MONTH, "Last month"),
    (LAST_30_DAYS, "Last 30 days"),
    (CUSTOM, "Custom"),
)
DAYS_MAX: Final = 731
_FIRST: Final = date(1971, 1, 1)
_LAST: Final = date(2199, 1, 1)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """The days from `first` to `last`, both counted, on the clock of whoever is looked at.

    `choice` is what the address says. `note` tells that something else was asked for; else empty.
    """

    choice: str
    first: date
    last: date
    note: str = ""

    @property
    def end(self) -> date:
        """The day after the last."""
        return self.last + _DAY

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.first).days

    def bounds(self, zone: ZoneInfo) -> tuple[datetime, datetime]:
        """The instants in UTC at which it begins and ends in `zone`."""
        return midnight(self.first, zone), midnight(self.end, zone)

    def before(self) -> Span:
        """What it is compared with: the same days of the month before, or as many days before it."""
        if self.first.day == 1 and self.choice in (THIS_MONTH, LAST_MONTH):
            first = self.first - relativedelta(months=1)
            last = self.first - _DAY if self.choice == LAST_MONTH else self.last - relativedelta(months=1)
            return Span(CUSTOM, first, last)
        return Span(CUSTOM, self.first - timedelta(days=self.days), self.first - _DAY)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a local day begins, in UTC; where its midnight is skipped, the instant of the skip."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def read_span(query: Mapping[str, str], today: date) -> Span:
    """The span of `period`, `start` and `end` in an address; this month for what makes no sense."""
    choice = query.get("period", "")
    if choice == CUSTOM:
        return _custom(query, today)
    if choice == LAST_MONTH:
        last = today.replace(day=1) - _DAY
        return Span(choice, last.replace(day=1), last)
    if choice == LAST_30_DAYS:
        return Span(choice, today - timedelta(days=29), today)
    return Span(THIS_MONTH, today.replace(day=1), today)


def _custom(query: Mapping[str, str], today: date) -> Span:
    last = _read_day(query.get("end", "")) or today
    first = _read_day(query.get("start", "")) or last.replace(day=1)
    first, last = min(first, last), max(first, last)
    if (last - first).days < DAYS_MAX:
        return Span(CUSTOM, first, last)
    note = f"A period has at most {DAYS_MAX} days; this one begins later than you asked for."
    return Span(CUSTOM, last - timedelta(days=DAYS_MAX - 1), last, note)


def _read_day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if _FIRST <= day < _LAST else None
