"""What a margin is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from core.numbers import CONTEXT, ZERO, round_amount

Group = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Margin:
    """Revenue and cost of some events, in one currency.

    `known_cost` is the cost of the `costed` ones among `events`; of the others nobody knows. `unmatched`: no
    meter hears them; `unpriced`: no component prices them. Base fees are revenue without events.
    """

    events: int = 0
    costed: int = 0
    unmatched: int = 0
    unpriced: int = 0
    revenue: Decimal = ZERO
    known_cost: Decimal = ZERO

    def __add__(self, other: Margin) -> Margin:
        """Both together."""
        return Margin(
            self.events + other.events,
            self.costed + other.costed,
            self.unmatched + other.unmatched,
            self.unpriced + other.unpriced,
            CONTEXT.add(self.revenue, other.revenue),
            CONTEXT.add(self.known_cost, other.known_cost),
        )

    @property
    def cost(self) -> Decimal | None:
        """What is known of the cost; None when there are events and nothing is known of any."""
        return None if self.events and not self.costed else self.known_cost

    @property
    def margin(self) -> Decimal | None:
        """Revenue less known cost; None when the cost is not known at all."""
        return None if self.cost is None else CONTEXT.subtract(self.revenue, self.cost)

    @property
    def margin_rate(self) -> Decimal | None:
        """The margin as a part of the revenue (0.25 = a quarter of it is left); None without revenue."""
        if self.margin is None or not self.revenue:
            return None
        return round_amount(CONTEXT.divide(self.margin, self.revenue))

    @property
    def cost_coverage(self) -> Decimal | None:
        """The part of the events whose cost is known, from 0 to 1; None without events."""
        return (
            round_amount(CONTEXT.divide(Decimal(self.costed), Decimal(self.events))) if self.events else None
        )


@dataclass(frozen=True, slots=True)
class MarginPoint:
    """The margin of `[start, end)`."""

    start: datetime
    end: datetime
    margin: Margin


@dataclass(slots=True)
class MarginSeries:
    """Margins in one currency in order of time, of those periods only in which something happened."""

    currency: str
    group: Group
    total: Margin = field(default_factory=Margin)
    points: list[MarginPoint] = field(default_factory=list)

    def add(self, point: MarginPoint) -> None:
        """Append a point, which is later than all before."""
        self.points.append(point)
        self.total += point.margin
