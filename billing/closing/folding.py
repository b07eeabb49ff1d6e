"""Usage that settles at a close, folded in the database: group by group, exact, in flat memory.

For meters that only look at one property, by dimensions whose names have no point; the others are folded from
a stream (`settling`). Both give the same, to the last decimal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.conf import settings

from billing.store_closing import FoldQuestion, FoldRow, fold_events
from core.numbers import CONTEXT, ZERO, round_amount
from core.sql import driver
from metering.aggregation import MeterDefinition
from metering.aggregation.values import number_of, text_of
from pricing.models import Segment
from pricing.rating.groups import Group

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)
FOLDED: Final = ("min", "avg", "latest", "weighted_sum")


class Window(NamedTuple):
    """A segment, and a meter by the dimensions of a component that prices it there."""

    segment: Segment
    meter: MeterDefinition


@dataclass(slots=True)
class Fold:
    """What the values of one group come to."""

    numbers: int = 0
    lowest: Decimal | None = None
    total: Decimal = ZERO
    weighted: Decimal = ZERO
    latest: tuple[Decimal, Decimal, Decimal] | None = None

    def add(self, ticks: Decimal, seq: Decimal, value: Decimal) -> None:
        """Take in one value."""
        self.merge(1, value, value, CONTEXT.multiply(value, ticks), (ticks, seq, value))

    def merge(
        self,
        numbers: int,
        lowest: Decimal,
        total: Decimal,
        weighted: Decimal,
        latest: tuple[Decimal, Decimal, Decimal],
    ) -> None:
        """Take in many values."""
        self.numbers += numbers
        self.lowest = lowest if self.lowest is None else min(self.lowest, lowest)
        self.total = CONTEXT.add(self.total, total)
        self.weighted = CONTEXT.add(self.weighted, weighted)
        self.latest = latest if self.latest is None else max(self.latest, latest)


def can_fold(meter: MeterDefinition) -> bool:
    """Whether the database may fold a meter's events."""
    paths = (meter.property or "", *meter.group_by)
    return meter.aggregation in FOLDED and not meter.conditions and not any("." in path for path in paths)


def fold_windows(windows: Sequence[Window]) -> list[dict[Group, Decimal | None]]:
    """The quantity of every group of each window, in order; one statement for all of them.

    As `aggregate_events`: a meter without dimensions has its one group, used or not, and a group into which
    a level is carried has a quantity without events.
    """
    carrying = [number for number, window in enumerate(windows) if window.meter.carry_over]
    asked = [_question(window) for window in windows]
    asked += [_question(windows[number], before=True) for number in carrying]
    folds: list[dict[Group, Fold]] = [{} for _ in asked]
    for row in fold_events(driver(), asked):
        _take(folds[row.number], row)
    levels: list[Mapping[Group, Fold]] = [{} for _ in windows]
    for place, number in enumerate(carrying, start=len(windows)):
        levels[number] = folds[place]
    return [_quantities(window, folds[number], levels[number]) for number, window in enumerate(windows)]


def _question(window: Window, *, before: bool = False) -> FoldQuestion:
    segment, meter = window
    starts_at = None if before else segment.starts_at
    return FoldQuestion(
        segment.customer_id,
        segment.subscription.billing_entity_id,
        meter.event,
        meter.property or "",
        meter.group_by,
        starts_at,
        segment.starts_at if before else segment.ends_at,
        EPOCH if before else segment.starts_at - settings.EVENT_AHEAD_MAX,
    )


def _take(folds: dict[Group, Fold], row: FoldRow) -> None:
    """Groups that are told apart as JSON may be the same as texts."""
    others = [(ticks, seq, number_of(value)) for ticks, seq, value in row.others]
    values = [(ticks, seq, value) for ticks, seq, value in others if value is not None]
    if not row.numbers and not values:
        return
    fold = folds.setdefault(tuple(text_of(value) for value in row.dimensions), Fold())
    if row.lowest is not None and row.total is not None and row.weighted is not None and row.latest:
        ticks, seq, value = row.latest
        fold.merge(row.numbers, row.lowest, row.total, row.weighted, (ticks, seq, value))
    for at, number, quantity in values:
        fold.add(Decimal(at), Decimal(number), quantity)


def _quantities(
    window: Window, folds: Mapping[Group, Fold], levels: Mapping[Group, Fold]
) -> dict[Group, Decimal | None]:
    groups = {*folds, *levels, *(() if window.meter.group_by else ((),))}
    empty = Fold()
    return {
        group: _value(window, folds.get(group, empty), levels.get(group, empty).total)
        for group in sorted(groups, key=_nulls_last)
    }


def _value(window: Window, fold: Fold, level: Decimal) -> Decimal | None:
    segment, aggregation = window.segment, window.meter.aggregation
    if aggregation == "weighted_sum":
        end = Decimal((segment.ends_at - EPOCH) // TICK)
        whole = Decimal((segment.ends_at - segment.starts_at) // TICK)
        remaining = CONTEXT.subtract(CONTEXT.multiply(fold.total, end), fold.weighted)
        return round_amount(CONTEXT.divide(CONTEXT.fma(level, whole, remaining), whole))
    if not fold.numbers:
        return None
    if aggregation == "avg":
        return round_amount(CONTEXT.divide(fold.total, Decimal(fold.numbers)))
    if aggregation == "latest":
        assert fold.latest is not None
        return fold.latest[2]
    return fold.lowest


def _nulls_last(group: tuple[Any, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, value or "") for value in group)
