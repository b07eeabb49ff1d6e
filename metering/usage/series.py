"""The answer: one series for each meter and combination of dimension values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from core.errors import TooLarge
from metering.models import Meter

POINTS_MAX: Final = 50_000

Group = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """What a meter counted in `[start, end)`; `value` null where an aggregation of nothing has none."""

    start: datetime
    end: datetime
    value: Decimal | None
    events: int


@dataclass(slots=True)
class UsageSeries:
    """A meter's points in order of time, those periods only in which something was counted.

    `group`: the values of the question's `group_by`. `total`: the quantity of the whole window, which for
    avg, latest and weighted_sum is not the sum of the points.
    """

    meter: Meter
    group: Group
    total: Decimal | None = None
    events: int = 0
    points: list[UsagePoint] = field(default_factory=list)


def sorted_series(series: Iterable[UsageSeries]) -> list[UsageSeries]:
    """By meter key, then by dimension values, null last; raises TooLarge beyond 50,000 points."""
    found = sorted(
        series, key=lambda one: (one.meter.key, [(value is None, value or "") for value in one.group])
    )
    if sum(len(one.points) for one in found) > POINTS_MAX:
        refuse_too_many_points()
    return found


def refuse_too_many_points() -> None:
    """Raise TooLarge: the answer would not be read by anybody."""
    raise TooLarge(
        "too_many_points",
        f"The answer would have more than {POINTS_MAX:,} points; ask for a shorter window, longer periods or"
        " fewer dimensions.",
    )


def empty_series(meter: Meter) -> UsageSeries:
    """Nothing was counted: 0 where that is a quantity, null where it is none."""
    is_quantity = meter.aggregation in ("count", "sum", "unique", "weighted_sum")
    return UsageSeries(meter, (), Decimal(0) if is_quantity else None)
