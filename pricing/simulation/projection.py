"""Where a running period will end if usage goes on as it did lately. Pure.

The rate is that of the period so far, or of the last seven days (with the period before), whichever is
longer, so that each weekday is in it; docs/algorithms/simulation.md has a worked table.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from core.numbers import CONTEXT, ONE, QUANTITY_DECIMALS_MAX, ZERO
from pricing.rating import EMPTY, Component, State, States, Usage
from pricing.rating.models.cost_plus import CostPlus
from pricing.rating.models.percentage import Percentage
from pricing.simulation.candidates import SimulatedComponent

LATELY: Final = timedelta(days=7)
ADDITIVE: Final = frozenset({"count", "sum"})
"""Aggregations that grow with time; a maximum, a mean or the number of uniques is taken as it stands."""

_TICK: Final = timedelta(microseconds=1)
_FINEST: Final = ONE.scaleb(-QUANTITY_DECIMALS_MAX)


def lately(start: datetime, now: datetime, since: datetime) -> datetime:
    """From when on usage is looked at for its rate: the period's start or a week ago, not before `since`."""
    return max(since, min(start, now - LATELY))


def share_to_come(
    recent_from: datetime, now: datetime, end: datetime, resting: timedelta = timedelta()
) -> Decimal:
    """How many times the recent usage is still to come; 0 when there was no time to see any.

    `resting`: how long of the recent time there could be none, because the subscription was paused.
    """
    seen = (now - recent_from - resting) // _TICK
    if seen <= 0 or end <= now:
        return ZERO
    return CONTEXT.divide(Decimal((end - now) // _TICK), Decimal(seen))


def project(component: SimulatedComponent, so_far: States, recent: States, share: Decimal) -> States:
    """The states at the period's end: those so far, and `share` times what was used `recent`-ly."""
    aggregation = component.meter.definition.aggregation
    if aggregation not in ADDITIVE or not share:
        return dict(so_far)
    after = dict(so_far)
    for group, seen in recent.items():
        is_count = aggregation == "count"
        if seen.quantity > 0:
            state = after.get(group, EMPTY)
            after[group] = _more(component.rating, state, seen, share, group, is_count=is_count)
    return after


def _more(
    rating: Component,
    state: State,
    seen: State,
    share: Decimal,
    group: tuple[str | None, ...],
    *,
    is_count: bool,
) -> State:
    quantity = _scaled(seen.quantity, share, ONE if is_count else _FINEST)
    if isinstance(rating.pricing, Percentage):
        count = int(_scaled(Decimal(seen.transactions), share, ONE))
        return _transactions(rating.pricing, state, quantity, count)
    dimensions = dict(zip(rating.group_dimensions, group, strict=True))
    # cost_plus keeps what vendors took as its volume.
    cost = _scaled(seen.volume, share, _FINEST) if isinstance(rating.pricing, CostPlus) else None
    return rating.advance(state, Usage(quantity, dimensions, cost)) if quantity else state


def _transactions(pricing: Percentage, state: State, value: Decimal, count: int) -> State:
    """`count` more transactions, all of the mean size: the free ones, the one that crosses, the rest."""
    if count <= 0:
        return state
    size = CONTEXT.divide(value, Decimal(count)).quantize(_FINEST, ROUND_HALF_UP, CONTEXT)
    free = min(count, _wholly_free(pricing, state, size))
    quantity = CONTEXT.fma(size, Decimal(free), state.quantity)
    state = State(quantity, state.transactions + free, state.volume, state.amount)
    for rest in (1, count - free - 1):
        if rest <= 0 or free == count:
            continue
        base, price = pricing.transaction(state.transactions, state.quantity, size)
        times = Decimal(rest)
        state = State(
            CONTEXT.fma(size, times, state.quantity),
            state.transactions + rest,
            CONTEXT.fma(base, times, state.volume),
            CONTEXT.fma(price, times, state.amount),
        )
    return state


def _wholly_free(pricing: Percentage, state: State, size: Decimal) -> int:
    """How many more transactions of this size the allowance covers whole."""
    left: list[int] = []
    if pricing.free_transactions is not None:
        left.append(pricing.free_transactions - state.transactions)
    if pricing.free_amount is not None:
        room = CONTEXT.subtract(pricing.free_amount, state.quantity)
        if size or room <= 0:
            left.append(int(CONTEXT.divide_int(room, size)) if size and room > 0 else 0)
    return max(0, min(left)) if left else 0


def _scaled(value: Decimal, share: Decimal, to: Decimal) -> Decimal:
    return CONTEXT.multiply(value, share).quantize(to, ROUND_HALF_UP, CONTEXT)
