"""How full limits are: what the API, pages and the customer see of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.limits.catalogue import limit_of
from billing.limits.present import present_payers, present_windows
from billing.limits.windows import Window, slot_leaves_at
from billing.models import SpendLimit
from billing.store_limits import FAR, CounterRange, read_limit_counters, read_windows
from core.numbers import CONTEXT, ZERO
from core.sql import driver


@dataclass(frozen=True, slots=True)
class Fill:
    """A limit's present window. `resets_at` of a rolling one: when its oldest spend leaves; None while empty.

    `held`: by open holds, which may become spend. `remaining` may be below zero: what is reported counts and
    is never refused. `passed_over_in`: the currency in which is paid at its level now, where that is another.
    """

    used: Decimal
    held: Decimal
    remaining: Decimal
    starts_at: datetime
    resets_at: datetime | None
    passed_over_in: str | None = None


def fills_of(limits: Iterable[SpendLimit], now: datetime) -> dict[int, Fill]:
    """The fill of each limit, by its id; a fixed number of statements. The limits come with their meters."""
    rows = {limit.pk: limit for limit in limits}
    if not rows:
        return {}
    payers = present_payers(rows.values(), now)
    windows = present_windows(rows.values(), now, payers)
    found = _read(rows, windows, now)
    fills = {}
    for pk, window in windows.items():
        used, held, oldest = found[pk]
        resets_at: datetime | None = window.ends_at
        if resets_at == FAR:
            resets_at = None if oldest is None else slot_leaves_at(oldest, limit_of(rows[pk]).hours)
        remaining = CONTEXT.subtract(CONTEXT.subtract(rows[pk].amount, used), held)
        paid_in = payers[pk].currency if pk in payers else rows[pk].currency
        other = paid_in if paid_in != rows[pk].currency else None
        fills[pk] = Fill(used, held, remaining, window.starts_at, resets_at, other)
    return fills


def _read(
    limits: Mapping[int, SpendLimit], windows: Mapping[int, Window], now: datetime
) -> dict[int, tuple[Decimal, Decimal, datetime | None]]:
    """What is used and held, and the oldest slot with spend, by the limit's id; at most two statements."""
    ranges = {
        pk: CounterRange(limits[pk].customer_id, limits[pk].counter, *window)
        for pk, window in windows.items()
    }
    found: dict[int, tuple[Decimal, Decimal, datetime | None]] = dict.fromkeys(ranges, (ZERO, ZERO, None))
    whole = [pk for pk, one in ranges.items() if not one.is_rolling]
    if whole:
        answer = read_limit_counters(driver(), [ranges[pk] for pk in whole], now)
        for position, _, used, _, held, *_ in answer:
            found[whole[position - 1]] = (used or ZERO, held or ZERO, None)
    rolling = [pk for pk, one in ranges.items() if one.is_rolling]
    if rolling:
        reserved: dict[str, Decimal] = {}
        for _, position, counter, used, _, oldest in read_windows(
            driver(), [], [ranges[pk] for pk in rolling], now
        ):
            if position is None:
                reserved[counter] = used
            else:
                found[rolling[position - 1]] = (used or ZERO, ZERO, oldest)
        for pk in rolling:
            used, _, oldest = found[pk]
            found[pk] = (used, reserved.get(limits[pk].counter, ZERO), oldest)
    return found
