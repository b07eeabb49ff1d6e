"""What the present period has come to so far, component by component: F of its counters, and base fees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.base_fees import fees_in_period
from core.numbers import CONTEXT, ZERO
from pricing.models import Component, Counter, Segment
from pricing.rating import read_component
from pricing.rating.state import State
from pricing.timeline import Timeline, timelines_of


@dataclass(frozen=True, slots=True)
class RunningLine:
    """A component or base fee so far; `quantity` None for a fee."""

    key: str
    name: str
    quantity: Decimal | None
    unit: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class RunningPeriod:
    """A payer's present period on one subscription. `total`: what it has come to, unrounded."""

    payer: BillingEntity
    plan: str
    starts_at: datetime
    ends_at: datetime
    lines: Sequence[RunningLine]

    @property
    def total(self) -> Decimal:
        """The sum of the lines."""
        total = ZERO
        for line in self.lines:
            total = CONTEXT.add(total, line.amount)
        return total


def running_periods(viewer: Viewer, payers: Sequence[BillingEntity], now: datetime) -> list[RunningPeriod]:
    """The periods that run now, in four statements."""
    by_pk = {payer.pk: payer for payer in payers}
    segments = list(
        visible(Segment, viewer)
        .filter(subscription__billing_entity_id__in=by_pk, starts_at__lte=now, ends_at__gt=now)
        .select_related("subscription__billing_entity", "subscription__version", "version__plan", "period")
        .order_by("subscription_id")
    )
    components: defaultdict[int, list[Component]] = defaultdict(list)
    versions = {segment.version_id for segment in segments}
    for component in (
        Component.objects.filter(version__in=versions).select_related("meter").order_by("position")
    ):
        components[component.version_id].append(component)
    states: defaultdict[tuple[int, int], list[State]] = defaultdict(list)
    for row in visible(Counter, viewer).filter(
        customer_id__in={payer.customer_id for payer in payers}, segment_id__in=[one.pk for one in segments]
    ):
        if row.dimensions != Counter.TOTAL:
            state = State(row.quantity, row.transactions, row.volume, row.amount)
            states[row.segment_id, row.component_id].append(state)
    timelines = timelines_of([segment.subscription for segment in segments], until=now)
    return [
        RunningPeriod(
            payer=by_pk[segment.subscription.billing_entity_id],
            plan=segment.version.plan.name,
            starts_at=segment.period.starts_at,
            ends_at=segment.period.ends_at,
            lines=[
                *_fees(segment, timelines[segment.subscription_id]),
                *(_line(part, states[segment.pk, part.pk]) for part in components[segment.version_id]),
            ],
        )
        for segment in segments
    ]


def _fees(segment: Segment, timeline: Timeline) -> Iterable[RunningLine]:
    """The period's fees by key: what they come to by all that has happened in it so far."""
    segment.period.subscription = segment.subscription
    amounts: dict[str, Decimal] = {}
    for fee in fees_in_period(segment.period, timeline):
        amounts[fee.key] = CONTEXT.add(amounts.get(fee.key, ZERO), fee.amount)
    for key, amount in amounts.items():
        yield RunningLine(key, f"{key.capitalize()} fee", None, "", amount)


def _line(component: Component, states: Sequence[State]) -> RunningLine:
    meter = component.meter
    rating = read_component(component.definition, aggregation=meter.aggregation)
    quantity = ZERO
    for state in states:
        quantity = CONTEXT.add(quantity, state.quantity)
    return RunningLine(component.key, meter.name, quantity, meter.unit, rating.total(rating.subtotal(states)))
