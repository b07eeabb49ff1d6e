"""When a call pushes a period's margin below its floor. Pure: see docs/algorithms/margin-floor.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from core.numbers import CONTEXT, ZERO
from pricing.catalog.plans import MarginFloor

DENY: Final = "deny"
add, subtract, multiply = CONTEXT.add, CONTEXT.subtract, CONTEXT.multiply


@dataclass(slots=True)
class Sums:
    """What a period has come to, in the payer's currency; `cost` is that of the `costed` among `events`."""

    events: int = 0
    costed: int = 0
    revenue: Decimal = ZERO
    cost: Decimal = ZERO

    def add(self, events: int, costed: int, revenue: Decimal, cost: Decimal) -> None:
        """Count a change of a bucket in the period."""
        self.events += events
        self.costed += costed
        self.revenue = add(self.revenue, revenue)
        self.cost = add(self.cost, cost)

    def plus(self, amount: Decimal, cost: Decimal) -> Sums:
        """What it would be with one more call."""
        return Sums(self.events + 1, self.costed + 1, add(self.revenue, amount), add(self.cost, cost))


def is_below(floor: MarginFloor, sums: Sums) -> bool:
    """Whether less is left of a period's revenue than the floor asks, once it has its volume."""
    if sums.revenue < floor.min_volume:
        return False
    return _lacks(floor, sums.revenue, sums.cost)


def pushes_below(floor: MarginFloor, before: Callable[[], Sums], amount: Decimal, cost: Decimal) -> bool:
    """Whether a call of this price and expected cost leaves the period below the floor, and is to blame.

    One that itself leaves as much as the floor asks lifts the margin, or keeps it: it is let through, and
    `before`, what the period has come to, is not asked.
    """
    return leaves_too_little(floor, amount, cost) and is_below(floor, before().plus(amount, cost))


def leaves_too_little(floor: MarginFloor, amount: Decimal, cost: Decimal) -> bool:
    """Whether a call by itself leaves less than the floor asks: of others nobody has to know the period."""
    return cost > ZERO and _lacks(floor, amount, cost)


def _lacks(floor: MarginFloor, revenue: Decimal, cost: Decimal) -> bool:
    return subtract(revenue, cost) < multiply(floor.min_margin, revenue)
