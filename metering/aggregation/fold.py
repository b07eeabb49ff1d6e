"""Folding events into quantities, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from core.numbers import ZERO
from metering.aggregation.base import Aggregation, Window
from metering.aggregation.definition import Dimensions, MeterDefinition
from metering.aggregation.kinds import AGGREGATIONS
from metering.aggregation.paths import Properties


@dataclass(frozen=True, slots=True)
class Aggregated:
    """The quantity of every group (one group, `()`, without group_by), sorted, and how many were ignored."""

    quantities: dict[Dimensions, Decimal | None]
    ignored: int


def aggregate_events(
    meter: MeterDefinition,
    *,
    start: datetime,
    end: datetime,
    events: Iterable[tuple[datetime, Properties]],
    level: Decimal = ZERO,
    levels: Mapping[Dimensions, Decimal] | None = None,
) -> Aggregated:
    """Aggregate events of the meter's name, given in order as (occurred_at, properties), over `[start, end)`.

    Instants outside the window are skipped; events that pass the filter and have no usable value are
    ignored and counted. A meter with `carry_over` carries in `levels`, per group, and `level` for every
    other group; a group of `levels` has a quantity even without events. Nulls sort last among dimension
    values.
    """
    kind = AGGREGATIONS[meter.aggregation]
    if not meter.carry_over:
        level, levels = ZERO, None
    folds: dict[Dimensions, Aggregation] = {}
    for group, carried in (levels or {}).items():
        folds[group] = kind(Window(start, end, carried))
    if not meter.group_by:
        folds.setdefault((), kind(Window(start, end, level)))
    ignored = 0
    for occurred_at, properties in events:
        if not start <= occurred_at < end or not meter.matches(properties):
            continue
        contribution = meter.contribution(properties)
        if contribution is None:
            ignored += 1
            continue
        group = meter.group(properties)
        fold = folds.get(group)
        if fold is None:
            fold = folds[group] = kind(Window(start, end, level))
        fold.add(contribution, occurred_at)
    return Aggregated({group: folds[group].value() for group in sorted(folds, key=_nulls_last)}, ignored)


def _nulls_last(group: Dimensions) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, value or "") for value in group)
