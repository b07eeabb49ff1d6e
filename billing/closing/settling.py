"""Quantities of meters that settle when a period closes (min, avg, latest, weighted_sum), from the events
that are stored; what was reversed counts for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from billing.closing.folding import Window, can_fold, fold_windows
from billing.models import Reversal
from core.jsonio import decode_json
from core.numbers import CONTEXT, QUANTITY_DECIMALS_MAX, ZERO
from metering.aggregation import MeterDefinition
from metering.aggregation.fold import aggregate_events
from metering.models import UsageEvent
from pricing.models import Segment
from pricing.rating.component import Component
from pricing.rating.groups import Group
from pricing.rating.models import NotPriced
from pricing.rating.state import EMPTY, State, Usage

READ_AT_ONCE: Final = 5000
QUANTUM: Final = Decimal(1).scaleb(-QUANTITY_DECIMALS_MAX)


@dataclass(frozen=True, slots=True)
class Settled:
    """One group's quantity over a segment (null: nothing to aggregate, priced as 0), and its state."""

    group: Group
    quantity: Decimal | None
    state: State


def settle(wanted: Sequence[tuple[Segment, Component, MeterDefinition]]) -> list[tuple[Settled, ...]]:
    """The groups of each component over a segment, aggregated from its payer's events.

    The groups are the component's own, whatever the meter keeps usage by. Quantities are rounded half up to
    12 decimals, like all quantities that are priced. The database folds most meters, all of them in one
    statement; of the others the events come as a stream.
    """
    windows = [
        Window(segment, replace(meter, group_by=component.group_dimensions))
        for segment, component, meter in wanted
    ]
    places = [number for number, window in enumerate(windows) if can_fold(window.meter)]
    folded = dict(zip(places, fold_windows([windows[number] for number in places]), strict=True))
    return [
        tuple(
            _settled(component, group, value)
            for group, value in (
                folded[number] if number in folded else _aggregated(*windows[number])
            ).items()
        )
        for number, (_, component, _) in enumerate(wanted)
    ]


def _aggregated(segment: Segment, meter: MeterDefinition) -> dict[Group, Decimal | None]:
    """The same from a stream of events."""
    levels = _levels(segment, meter) if meter.carry_over else None
    return aggregate_events(
        meter,
        start=segment.starts_at,
        end=segment.ends_at,
        events=_events(segment, meter.event, segment.starts_at),
        levels=levels,
    ).quantities


def _settled(component: Component, group: Group, value: Decimal | None) -> Settled:
    quantity = None if value is None else value.quantize(QUANTUM, context=CONTEXT)
    dimensions = dict(zip(component.group_dimensions, group, strict=True))
    try:
        state = component.advance(EMPTY, Usage(quantity or ZERO, dimensions))
    except NotPriced:
        state = EMPTY  # no price fits: it costs nothing, as in a charge that was reported
    return Settled(group, quantity, state)


def _levels(segment: Segment, meter: MeterDefinition) -> dict[Group, Decimal]:
    """The level of each group when the segment begins: the sum of all values before it."""
    levels: dict[Group, Decimal] = {}
    for _, properties in _events(segment, meter.event, None):
        value = meter.contribution(properties) if meter.matches(properties) else None
        if isinstance(value, Decimal):
            group = meter.group(properties)
            levels[group] = CONTEXT.add(levels.get(group, ZERO), value)
    return levels


def _events(segment: Segment, name: str, since: datetime | None) -> Iterator[tuple[datetime, Any]]:
    """The payer's events of a name in `seq` order: those inside the segment, or (None) all before it."""
    rows: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        ~Exists(
            Reversal.objects.filter(
                customer_id=OuterRef("customer_id"), event_id=OuterRef("id"), cause=Reversal.Cause.EVENT
            )
        ),
        customer_id=segment.customer_id,
        billing_entity_id=segment.subscription.billing_entity_id,
        name=name,
    )
    if since is None:
        rows = rows.filter(occurred_at__lt=segment.starts_at)
    else:
        rows = rows.filter(
            occurred_at__gte=since,
            occurred_at__lt=segment.ends_at,
            recorded_at__gte=since - settings.EVENT_AHEAD_MAX,
        )
    texts = rows.annotate(text=Cast("properties", TextField())).order_by("seq")
    for occurred_at, text in texts.values_list("occurred_at", "text").iterator(READ_AT_ONCE):
        yield occurred_at, decode_json(text.encode())
