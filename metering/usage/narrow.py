"""Series from events, by index: for a user, a key or a trace, and for aggregations that keep no buckets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
from django.conf import settings
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from accounts.scoping import visible
from core.errors import TooLarge
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from metering.aggregation import Dimensions
from metering.aggregation.base import Aggregation, Contribution
from metering.aggregation.base import Window as Span
from metering.aggregation.kinds import AGGREGATIONS
from metering.catalogue import CompiledMeter, compile_meter
from metering.models import Meter, UsageEvent
from metering.usage.questions import OWN_DIMENSIONS, Scope, UsageQuestion
from metering.usage.series import Group, UsagePoint, UsageSeries

EVENTS_MAX: Final = 100_000
_DECODE: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Counted(NamedTuple):
    """What a meter took from an event."""

    occurred_at: datetime
    contribution: Contribution


EventFilter = Callable[[QuerySet[UsageEvent]], QuerySet[UsageEvent]]
"""Which events count: that one was reversed, only billing knows."""


def all_events(events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
    """Every event counts."""
    return events


def event_series(
    question: UsageQuestion, meters: Sequence[Meter], counting: EventFilter = all_events
) -> dict[tuple[int, Group], UsageSeries]:
    """The series of `meters`, by meter id and group; raises TooLarge beyond 100,000 events."""
    compiled = [compile_meter(meter) for meter in meters]
    by_id = {meter.pk: meter for meter in meters}
    counted = _count(question, compiled, _events(question, compiled, question.window.start, counting))
    carried = _carried(question, [meter for meter in compiled if meter.definition.carry_over], counting)
    found = {}
    for meter_id, group in counted.keys() | carried.keys():
        level = carried.get((meter_id, group), ZERO)
        taken = counted.get((meter_id, group), [])
        found[meter_id, group] = _series(question, by_id[meter_id], group, taken, level)
    return found


def events_in(scope: Scope) -> QuerySet[UsageEvent]:
    """The events of a scope."""
    rows = visible(UsageEvent, scope.viewer).filter(customer_id=scope.customer_id)
    columns = {
        "billing_entity_id": scope.payer_id,
        "workspace_id": scope.workspace_id,
        "api_key_id": scope.api_key_id,
        "user": scope.user,
        "trace": scope.trace,
    }
    return rows.filter(**{name: value for name, value in columns.items() if value is not None})


def _events(
    question: UsageQuestion, meters: Sequence[CompiledMeter], start: datetime | None, counting: EventFilter
) -> Iterator[tuple[Any, ...]]:
    """(name, occurred_at, properties, payer, workspace) in the order in which they were recorded.

    `start` None: all those before the window.
    """
    window = question.window
    rows = events_in(question.scope).filter(name__in={meter.definition.event for meter in meters})
    if start is None:
        rows = rows.filter(occurred_at__lt=window.start)
    else:
        # Nothing is recorded long before it occurred, so older partitions are not looked at.
        earliest = start - settings.EVENT_AHEAD_MAX
        rows = rows.filter(occurred_at__gte=start, occurred_at__lt=window.end, recorded_at__gte=earliest)
    rows = counting(rows).annotate(text=Cast("properties", TextField())).order_by("billing_entity_id", "seq")
    columns = ("name", "occurred_at", "text", "billing_entity_id", "workspace_id")
    read = list(rows.values_list(*columns)[: EVENTS_MAX + 1])
    if len(read) > EVENTS_MAX:
        raise TooLarge(
            "too_many_events", f"This would read more than {EVENTS_MAX:,} events; ask for a shorter window."
        )
    for name, occurred_at, text, payer_id, workspace_id in read:
        yield name, occurred_at, _DECODE(text), payer_id, workspace_id


def _count(
    question: UsageQuestion, meters: Sequence[CompiledMeter], events: Iterable[tuple[Any, ...]]
) -> dict[tuple[int, Group], list[Counted]]:
    hearing: defaultdict[str, list[CompiledMeter]] = defaultdict(list)
    for meter in meters:
        hearing[meter.definition.event].append(meter)
    found: defaultdict[tuple[int, Group], list[Counted]] = defaultdict(list)
    for name, occurred_at, properties, payer_id, workspace_id in events:
        for meter in hearing[name]:
            if not meter.matches(properties):
                continue
            contribution = meter.contribution(properties)
            if contribution is None:
                continue
            own = (public_id("be", payer_id), public_id("ws", workspace_id) if workspace_id else None, name)
            group = _group(question.group_by, own, meter, meter.group(properties))
            found[meter.id, group].append(Counted(occurred_at, contribution))
    return found


def _group(names: Sequence[str], own: Group, meter: CompiledMeter, dimensions: Dimensions) -> Group:
    values = dict(zip(meter.definition.group_by, dimensions, strict=True))
    values |= dict(zip(OWN_DIMENSIONS, own, strict=True))
    return tuple(values.get(name) for name in names)


def _carried(
    question: UsageQuestion, meters: Sequence[CompiledMeter], counting: EventFilter
) -> dict[tuple[int, Group], Decimal]:
    """The level at which each group of a meter with carry_over enters the window."""
    if not meters:
        return {}
    before = _count(question, meters, _events(question, meters, None, counting))
    return {key: _sum(counted) for key, counted in before.items()}


def _sum(counted: Iterable[Counted]) -> Decimal:
    total = ZERO
    for one in counted:
        total = CONTEXT.add(total, Decimal(one.contribution))
    return total


def _series(
    question: UsageQuestion, meter: Meter, group: Group, counted: Sequence[Counted], level: Decimal
) -> UsageSeries:
    window, kind = question.window, AGGREGATIONS[meter.aggregation]
    by_period: defaultdict[datetime, list[Counted]] = defaultdict(list)
    for one in counted:
        by_period[window.period_start(one.occurred_at)].append(one)
    series = UsageSeries(meter, group, events=len(counted))
    whole = kind(Span(window.start, window.end, level))
    series.total = _fold(whole, counted)
    # A level that is carried over holds in periods without events too.
    periods = window.periods() if meter.carry_over else ((s, window.period_end(s)) for s in sorted(by_period))
    for start, end in periods:
        taken = by_period.get(start, [])
        value = _fold(kind(Span(start, end, level)), taken)
        series.points.append(UsagePoint(start, end, value, len(taken)))
        if meter.carry_over:
            level = CONTEXT.add(level, _sum(taken))
    return series


def _fold(fold: Aggregation, counted: Iterable[Counted]) -> Decimal | None:
    for one in counted:
        fold.add(one.contribution, one.occurred_at)
    return fold.value()
