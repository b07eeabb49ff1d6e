"""How full limits are: what the API, pages and the customer see of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.limits.catalogue import limit_of
from billing.limits.present import present_payers, present_windows
from billing.limits.windows import slot_leaves_at
from billing.models import SpendLimit
from billing.store_limits import FAR, CounterRange, read_limit_counters
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
    ranges = {
        CounterRange(rows[pk].customer_id, rows[pk].counter, *window): pk for pk, window in windows.items()
    }
    ordered, answer = read_limit_counters(driver(), list(ranges), now)
    found = {
        ranges[ordered[position - 1]]: (used or ZERO, held or ZERO, oldest)
        for position, used, _, oldest, _, _, held, *_ in answer
    }
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
