"""The part of a period's amount that falls to a part of the period."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from core.numbers import CONTEXT, ZERO, round_amount
from pricing.cycles.cycle import Period
from pricing.cycles.midnight import local_day

_TICK: Final = timedelta(microseconds=1)


class Proration(StrEnum):
    """By what a part is measured."""

    SECOND = "second"  # real time gone by, to the microsecond
    DAY = "day"  # days of the payer's calendar


def prorate(
    amount: Decimal,
    period: Period,
    used: Period,
    mode: Proration,
    *,
    zone: ZoneInfo,
    counts_last_day: bool = False,
) -> Decimal:
    """The part of `amount` (for the whole `period`) that falls to `used`, rounded half up to 18 decimals.

    `used` is cut to the period; nothing of it inside gives 0. The parts of any division of the period sum to
    the whole exactly: a part is the rounded share up to its end less the rounded share up to its start.

    By day, the day on which `used` ends belongs to what follows (the new plan); with `counts_last_day`
    nothing follows (a cancellation) and it counts in full. The day on which `used` starts always counts.
    Raises ValueError when the period is empty.
    """
    if period.start >= period.end:
        raise ValueError("an empty period has no parts")
    start, end = max(used.start, period.start), min(used.end, period.end)
    if start >= end:
        return ZERO
    if (start, end) == (period.start, period.end):
        return round_amount(amount)
    if mode is Proration.SECOND:
        whole, begun, done = ((instant - period.start) // _TICK for instant in (period.end, start, end))
    else:
        days = [local_day(start, zone), _next_day(period.end, zone), local_day(end, zone)]
        if counts_last_day or end == period.end:
            days[2] = _next_day(end, zone)
        first = local_day(period.start, zone)
        begun, whole, done = ((day - first).days for day in days)
    return CONTEXT.subtract(_share(amount, done, whole), _share(amount, begun, whole))


def _share(amount: Decimal, part: int, whole: int) -> Decimal:
    return round_amount(CONTEXT.divide(CONTEXT.multiply(amount, Decimal(part)), Decimal(whole)))


def _next_day(end: datetime, zone: ZoneInfo) -> date:
    """The first day that begins at or after `end`: an end at midnight is the end of the day before."""
    return local_day(end - _TICK, zone) + timedelta(days=1)
