"""Which meter would make a good value metric: how well it follows cost, and what one price would leave. Pure.

How well a meter follows cost is r, Pearson's correlation of the customers' quantities x with their costs y:
r = Sxy / sqrt(Sxx Syy), Sxy = sum (x - mean x)(y - mean y). Its square is R2, the part of the variance of
cost that a straight line through the quantities explains (K. Pearson, Proc. R. Soc. 58, 1895, 240-242;
N. Draper and H. Smith, Applied Regression Analysis, 3rd ed., chapter 1). The sums are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, NamedTuple

from core.numbers import CONTEXT, ONE, ZERO, round_amount
from pricing.simulation.ranks import nearest_rank

COMPARED_MIN: Final = 3
"""With two customers any line fits: r says nothing."""

_SIX: Final = Decimal("0.000001")
add, subtract, multiply, divide = CONTEXT.add, CONTEXT.subtract, CONTEXT.multiply, CONTEXT.divide


class Point(NamedTuple):
    """One customer: the meter's quantity, and what its calls cost."""

    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True)
class MetricFit:
    """What a meter would be as the value metric of customers who bring `revenue` in all.

    `correlation` and `r_squared` (6 decimals) are None where nothing varies or fewer than 3 customers are
    there. `price`: the uniform price per unit that yields the same revenue; None without quantity or revenue.
    Margins are parts of what a customer would pay at that price; `spread` is the 90th percentile less the
    10th. `below_cost`: customers with a negative margin; `unbilled`: with cost, and nothing to bill.
    """

    customers: int
    correlation: Decimal | None
    r_squared: Decimal | None
    price: Decimal | None
    margin_p10: Decimal | None
    margin_median: Decimal | None
    margin_p90: Decimal | None
    below_cost: int
    unbilled: int

    @property
    def spread(self) -> Decimal | None:
        """How far the customers' margins lie apart."""
        if self.margin_p90 is None or self.margin_p10 is None:
            return None
        return subtract(self.margin_p90, self.margin_p10)


def fit_metric(points: Sequence[Point], revenue: Decimal) -> MetricFit:
    """How a meter fits, given each customer's quantity and cost, and the revenue of all of them."""
    quantity = _sum(point.quantity for point in points)
    price = round_amount(divide(revenue, quantity)) if quantity > 0 and revenue > 0 else None
    margins = sorted(_margins(points, price)) if price else []
    correlation, r_squared = _correlation(points)
    return MetricFit(
        customers=len(points),
        correlation=correlation,
        r_squared=r_squared,
        price=price,
        margin_p10=nearest_rank(margins, 10),
        margin_median=nearest_rank(margins, 50),
        margin_p90=nearest_rank(margins, 90),
        below_cost=sum(margin < 0 for margin in margins),
        unbilled=sum(point.quantity <= 0 < point.cost for point in points),
    )


def rank(fits: dict[str, MetricFit]) -> list[str]:
    """The meters by name, best first: by correlation, then by the smaller spread, then by name.

    A meter that falls as cost rises comes after all that rise; one of which nothing is known comes last.
    """

    def order(name: str) -> tuple[bool, Decimal, bool, Decimal, str]:
        fit = fits[name]
        correlation, spread = fit.correlation, fit.spread
        return correlation is None, -(correlation or ZERO), spread is None, spread or ZERO, name

    return sorted(fits, key=order)


def _margins(points: Iterable[Point], price: Decimal) -> Iterable[Decimal]:
    for point in points:
        if point.quantity > 0:
            yield round_amount(subtract(ONE, divide(point.cost, multiply(price, point.quantity))))


def _correlation(points: Sequence[Point]) -> tuple[Decimal | None, Decimal | None]:
    """r and its square, from sums that are exact: n Sxy = n sum xy - sum x sum y, and so on."""
    if len(points) < COMPARED_MIN:
        return None, None
    n = Decimal(len(points))
    x, y = _sum(point.quantity for point in points), _sum(point.cost for point in points)
    sxx = subtract(multiply(n, _sum(multiply(p.quantity, p.quantity) for p in points)), multiply(x, x))
    syy = subtract(multiply(n, _sum(multiply(p.cost, p.cost) for p in points)), multiply(y, y))
    sxy = subtract(multiply(n, _sum(multiply(p.quantity, p.cost) for p in points)), multiply(x, y))
    if sxx <= 0 or syy <= 0:
        return None, None
    squared = divide(multiply(sxy, sxy), multiply(sxx, syy))
    correlation = CONTEXT.sqrt(squared).copy_sign(sxy)
    return _rounded(correlation), _rounded(squared)


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_SIX, ROUND_HALF_UP, CONTEXT)


def _sum(values: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = add(total, value)
    return total
