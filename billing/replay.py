"""The replay of a payer: its own version history over its stored events, in `seq` order, from nothing.

Where `billing.recompute` proves each charge by its stored lines, this looks at no line: segments say which
version held when, events say what happened, the engine says what that comes to. The sum of what was booked
for a component in a segment (charges, re-ratings, reversals, the close, late usage) must be that, to the last
decimal. Time grows with the payer's events, memory with its segments.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from accounts.models import BillingEntity
from billing.closing.coupons import COUPON, coupons_of, credited
from billing.closing.lines import ComponentClose, booked_of, commitment_lines, component_closes, segments_of
from billing.models import Charge, ClosingLine, Reversal, ReversedCharge
from billing.recompute import FOLDED_AT_ONCE, charges_of
from core.jsonio import decode_json
from core.numbers import CONTEXT, ONE, ZERO
from metering.catalogue import CompiledMeter, compile_meter
from metering.models import UsageEvent
from pricing.models import BillingPeriod, Component, CouponRedemption, Segment
from pricing.pricelist import PricedComponent, compile_component
from pricing.rating import EMPTY, Group, NotPriced, State, States, Usage

COMMITMENT: Final = "minimum_spend"
Place = tuple[int, int]
"""(segment, component)"""


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event that counts: it has a charge that stands."""

    name: str
    occurred_at: datetime
    properties: dict[str, Any]
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Held:
    """A component while one of its segments runs."""

    segment_id: int
    starts_at: datetime
    ends_at: datetime
    component: PricedComponent
    meter: CompiledMeter


@dataclass(slots=True)
class Replay:
    """The states of all segments, folded from events. Pure. `held`: by the name of the event they hear."""

    held: Mapping[str, Sequence[Held]]
    states: dict[Place, States] = field(default_factory=dict)
    seen: set[tuple[Any, ...]] = field(default_factory=set)

    def take(self, event: HeldEvent) -> None:
        """Fold the next event into every component that hears it where it occurred."""
        for held in self.held.get(event.name, ()):
            if held.starts_at <= event.occurred_at < held.ends_at and held.meter.matches(event.properties):
                self._fold(held, event)

    def _fold(self, held: Held, event: HeldEvent) -> None:
        found = held.meter.contribution(event.properties)
        if found is None:
            return
        rating, place = held.component.rating, (held.segment_id, held.component.id)
        usage = Usage(ZERO, held.component.dimensions(event.properties), event.cost)
        group: Group = rating.group_of(usage)
        if isinstance(found, str):
            quantity = ZERO if (*place, group, found) in self.seen else ONE
            self.seen.add((*place, group, found))
        else:
            quantity = found
        states = self.states.setdefault(place, {})
        try:
            states[group] = rating.advance(states.get(group, EMPTY), usage._replace(quantity=quantity))
        except NotPriced:
            return  # it was reported and cost nothing


@dataclass(frozen=True, slots=True)
class Difference:
    """Where what was booked is not what the replay comes to.

    `component` is its key, `minimum_spend` that of a period's commitment; `coupon <key>` is what
    coupons took off that line.
    """

    segment_id: int | None
    period_id: int
    component: str
    booked: Decimal
    replayed: Decimal


class PayerReplay:
    """A payer's history on its way: takes the events that stand, one by one, then says what differs."""

    def __init__(self, entity: BillingEntity) -> None:
        """Read what held when: segments, versions and the meters that they hear."""
        self._entity = entity
        self._segments = _segments(entity)
        by_event: dict[str, list[Held]] = defaultdict(list)
        for held in _held(self._segments):
            by_event[held.meter.definition.event].append(held)
        self._replay = Replay(by_event)

    def take(self, event: HeldEvent) -> None:
        """Fold the next event, in the order of the charges that stand."""
        self._replay.take(event)

    def differences(self, charged: Mapping[Place, Decimal] | None = None) -> list[Difference]:
        """Where what was booked is not what the events come to.

        `charged`: the sums of all lines of charges, if the caller has read them.
        """
        booked = _with_closes(self._entity, _charged(self._entity) if charged is None else charged)
        found = []
        closes: dict[int, list[ComponentClose]] = defaultdict(list)
        for close in component_closes(self._segments):
            closes[close.segment.period_id].append(close)
            expected = _expected(self._replay, close)
            known = booked.pop((close.segment.pk, close.component.id), ZERO)
            if known != expected:
                period_id = close.segment.period_id
                found.append(Difference(close.segment.pk, period_id, close.component.key, known, expected))
        found += [
            Difference(place[0], 0, str(place[1]), amount, ZERO) for place, amount in booked.items() if amount
        ]
        return found + list(_commitments(self._segments, closes)) + list(_coupons(self._entity))


def replay_differences(entity: BillingEntity) -> list[Difference]:
    """Replay a payer and compare; empty when all is as it was charged."""
    replay = PayerReplay(entity)
    for event in standing_events(entity):
        replay.take(event)
    return replay.differences()


def standing_events(entity: BillingEntity) -> Iterator[HeldEvent]:
    """The payer's events that have a charge which stands, in the order of these charges."""
    taken = ReversedCharge.objects.filter(customer_id=OuterRef("customer_id"), charge_id=OuterRef("id"))
    taking = Reversal.objects.filter(customer_id=OuterRef("customer_id"), charge_id=OuterRef("id"))
    event = UsageEvent.objects.filter(
        customer_id=OuterRef("customer_id"),
        id=OuterRef("event_id"),
        recorded_at=OuterRef("event_recorded_at"),
    )
    rows: QuerySet[Any] = charges_of(entity.customer_id, entity.pk).filter(~Exists(taken), ~Exists(taking))
    for row in rows.annotate(event_name=Subquery(event.values("name"))).iterator(FOLDED_AT_ONCE):
        properties = decode_json(row.event_properties.encode())
        yield HeldEvent(row.event_name, row.occurred_at, properties, row.event_cost)


def _expected(replay: Replay, close: ComponentClose) -> Decimal:
    rating = close.component.rating
    states: Collection[State]
    if close.component.is_live:
        states = replay.states.get((close.segment.pk, close.component.id), {}).values()
    else:
        states = close.states  # aggregated from the events already
    if close.segment.closed_at is not None:
        return rating.close(states, close.minimum)
    return rating.total(rating.subtotal(states)) if close.component.is_live else ZERO


def _commitments(
    segments: Iterable[Segment], closes: dict[int, list[ComponentClose]]
) -> Iterator[Difference]:
    closed = {segment.period_id for segment in segments if segment.closed_at is not None}
    periods = BillingPeriod.objects.filter(pk__in=closed)
    for period in periods.select_related("subscription__version", "subscription__billing_entity"):
        booked = booked_of(period.pk)
        for line in commitment_lines(period, segments_of(period), closes[period.pk], booked):
            if line.addition.amount:
                known = booked.get((None, None), ZERO)
                expected = CONTEXT.add(known, line.addition.amount)
                yield Difference(None, period.pk, COMMITMENT, known, expected)


def _coupons(entity: BillingEntity) -> Iterator[Difference]:
    """Lines of which coupons took off more or less than they do by what each line has come to."""
    periods = BillingPeriod.objects.filter(
        Exists(CouponRedemption.objects.filter(subscription_id=OuterRef("subscription_id"))),
        subscription__billing_entity=entity,
        closed_at__isnull=False,
    )
    rows = periods.select_related("subscription__version", "subscription__billing_entity")
    for period in rows.order_by("starts_at"):
        booked = credited(period.pk)
        for line, expected in coupons_of(period):
            known = booked.get((line.key, line.segment_id), ZERO)
            if known != expected:
                yield Difference(line.segment_id, period.pk, f"{COUPON} {line.key}", known, expected)


def _segments(entity: BillingEntity) -> list[Segment]:
    rows = Segment.objects.filter(subscription__billing_entity=entity).order_by("starts_at", "pk")
    return list(rows.select_related("version", "subscription__version", "subscription__billing_entity"))


def _held(segments: Iterable[Segment]) -> Iterator[Held]:
    components: dict[int, list[tuple[PricedComponent, CompiledMeter]]] = defaultdict(list)
    versions = {segment.version_id for segment in segments}
    rows = Component.objects.filter(version_id__in=versions).select_related("meter").order_by("position")
    for row in rows:
        components[row.version_id].append((compile_component(row), compile_meter(row.meter)))
    for segment in segments:
        live = [pair for pair in components[segment.version_id] if pair[0].is_live]
        for component, meter in live:
            yield Held(segment.pk, segment.starts_at, segment.ends_at, component, meter)


def _charged(entity: BillingEntity) -> dict[Place, Decimal]:
    """The sum of all lines of charges, reversals among them, by segment and component."""
    found: dict[Place, Decimal] = {}
    own = {"customer_id": entity.customer_id, "billing_entity_id": entity.pk}
    for lines in Charge.objects.filter(**own).values_list("lines", flat=True).iterator(FOLDED_AT_ONCE):
        for line in lines:
            place = (line["segment"], line["component_id"])
            found[place] = CONTEXT.add(found.get(place, ZERO), Decimal(line["amount"]))
    return found


def _with_closes(entity: BillingEntity, charged: Mapping[Place, Decimal]) -> dict[Place, Decimal]:
    """The same, with what closes booked."""
    found = dict(charged)
    rows = ClosingLine.objects.filter(
        customer_id=entity.customer_id, billing_entity_id=entity.pk, segment_id__isnull=False
    )
    for segment_id, component_id, amount in rows.values_list("segment_id", "component_id", "amount"):
        if segment_id is not None and component_id is not None:
            place = (segment_id, component_id)
            found[place] = CONTEXT.add(found.get(place, ZERO), amount)
    return found
