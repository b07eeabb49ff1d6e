"""What a meter's unit costs, customer by customer. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from core.numbers import CONTEXT, ZERO, round_amount
from pricing.simulation.metrics import Point
from pricing.simulation.ranks import nearest_rank


@dataclass(frozen=True, slots=True)
class UnitCosts:
    """Cost per unit over all `customers` who used any; amounts to 18 decimals, None without usage.

    `median`, `p95`, `worst` are of customers' own cost per unit. `quantity` and `cost` are those of all.
    """

    customers: int
    quantity: Decimal
    cost: Decimal
    median: Decimal | None
    p95: Decimal | None
    worst: Decimal | None

    @property
    def break_even(self) -> Decimal | None:
        """The uniform price per unit at which revenue is cost."""
        return round_amount(CONTEXT.divide(self.cost, self.quantity)) if self.quantity else None


def unit_costs(points: Iterable[Point]) -> UnitCosts:
    """The unit costs of customers; one without usage has none, and its cost is not counted."""
    used = [point for point in points if point.quantity > 0]
    quantity = cost = ZERO
    for point in used:
        quantity, cost = CONTEXT.add(quantity, point.quantity), CONTEXT.add(cost, point.cost)
    each = sorted(round_amount(CONTEXT.divide(point.cost, point.quantity)) for point in used)
    return UnitCosts(
        customers=len(used),
        quantity=quantity,
        cost=cost,
        median=nearest_rank(each, 50),
        p95=nearest_rank(each, 95),
        worst=each[-1] if each else None,
    )
