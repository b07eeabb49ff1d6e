"""What a limit counts together: windows, slots of rolling ones, and the thresholds of a fill. Pure.

docs/algorithms/limits.md has the worked table.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from billing.store_limits import FAR
from core.numbers import CONTEXT
from pricing.cycles import Anchor, Cycle, Interval, local_midnight

SLOTS: Final = 60
"""A rolling window is counted in so many slots: one of H hours in slots of H minutes."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
HUNDRED: Final = Decimal(100)


class Window(NamedTuple):
    """The half-open span `[starts_at, ends_at)` whose spend counts together."""

    starts_at: datetime
    ends_at: datetime


def day_at(instant: datetime, zone: ZoneInfo) -> Window:
    """The local day that holds `instant`, from its midnight to the next: 23 to 25 hours."""
    day = instant.astimezone(zone).date()
    return Window(local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone))


def month_at(instant: datetime, zone: ZoneInfo) -> Window:
    """The local calendar month that holds `instant`."""
    return Window(*Cycle.anchored(Interval.MONTH, Anchor.CALENDAR, instant, zone).period_at(instant))


def slot_length(hours: int) -> timedelta:
    """How long a slot of a rolling window of `hours` is: `hours` minutes."""
    return timedelta(minutes=hours)


def slot_at(instant: datetime, hours: int) -> datetime:
    """The start of the slot that holds `instant`. Slots are counted from the epoch, the same everywhere."""
    length = slot_length(hours)
    return EPOCH + (instant - EPOCH) // length * length


def rolling_at(now: datetime, hours: int) -> Window:
    """What the last `hours` hours count: from the start of the oldest slot that shares an instant with them.

    So what is counted is never less than was spent in them; it leaves at most one slot late. It has no end:
    what a clock that is a little ahead has counted counts as well.
    """
    return Window(slot_at(now - timedelta(hours=hours), hours), FAR)


def begin_of(window: str, hours: int | None, zone: ZoneInfo, now: datetime) -> datetime:
    """Where the present window of a limit begins, of a billing period without a subscription: the month."""
    if hours:
        return rolling_at(now, hours).starts_at
    return (day_at if window == "day" else month_at)(now, zone).starts_at


def slot_leaves_at(slot: datetime, hours: int) -> datetime:
    """When a rolling window no longer counts what lies in this slot."""
    return slot + slot_length(hours) + timedelta(hours=hours)


def reached(used: Decimal, amount: Decimal, thresholds: Iterable[int], alerted: int) -> list[int]:
    """The thresholds (percent, ascending) that `used` of `amount` has reached and that have not fired yet."""
    if used <= 0:
        return []
    percent = CONTEXT.multiply(used, HUNDRED)
    return sorted(
        threshold
        for threshold in thresholds
        if threshold > alerted and percent >= CONTEXT.multiply(amount, Decimal(threshold))
    )
