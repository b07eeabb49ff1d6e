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
from msgspec.structs import replace

from accounts.models import BillingEntity
from billing.closing.coupons import COUPON, coupons_of, credited
from billing.closing.lines import (
    ComponentClose,
    absorbed_by_line,
    booked_of,
    commitment_lines,
    component_closes,
)
from billing.models import Charge, ClosingLine, Reversal, ReversedCharge
from billing.recompute import FOLDED_AT_ONCE, charges_of
from core.jsonio import decode_json
from core.numbers import CONTEXT, ONE, ZERO
from metering.catalogue import CompiledMeter, compile_meter
from metering.models import UsageEvent
from pricing.models import BillingPeriod, Component, CouponRedemption, Segment
from pricing.pricelist import PricedComponent, compile_component
from pricing.rating import EMPTY, Group, NotPriced, State, States, Usage
from pricing.terms import terms_of

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
            states[group] = rating.advance(states.get(group, EMPTY), replace(usage, quantity=quantity))
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


class Replays:
    """The histories of payers on their way: they take the events that stand, then say what differs.

    The number of statements does not grow with payers, but for coupons and for periods with a commitment.
    """

    def __init__(self, entities: Iterable[BillingEntity]) -> None:
        """Read what held when: segments, versions and the meters that they hear."""
        self._entities = {entity.pk: entity for entity in entities}
        self._segments = _segments(self._entities)
        self._payers = {each.pk: each.subscription.billing_entity_id for each in self._segments}
        by_payer: dict[int, dict[str, list[Held]]] = {pk: defaultdict(list) for pk in self._entities}
        for held in _held(self._segments):
            by_payer[self._payers[held.segment_id]][held.meter.definition.event].append(held)
        self._replays = {pk: Replay(by_event) for pk, by_event in by_payer.items()}

    def take(self, payer_id: int, event: HeldEvent) -> None:
        """Fold the payer's next event, in the order of the charges that stand."""
        self._replays[payer_id].take(event)

    def differences(self, charged: Mapping[Place, Decimal]) -> list[tuple[int, Difference]]:
        """Where what was booked is not what the events come to, with the payer's id.

        `charged`: the sums of all lines of the payers' charges, reversals among them.
        """
        booked = _with_closes(self._entities, charged)
        found: list[tuple[int, Difference]] = []
        closes: dict[int, list[ComponentClose]] = defaultdict(list)
        for close in component_closes(self._segments):
            closes[close.segment.period_id].append(close)
            payer_id = self._payers[close.segment.pk]
            expected = _expected(self._replays[payer_id], close)
            known = booked.pop((close.segment.pk, close.component.id), ZERO)
            if known != expected:
                place = (close.segment.pk, close.segment.period_id, close.component.key)
                found.append((payer_id, Difference(*place, known, expected)))
        found += [
            (self._payers.get(place[0], 0), Difference(place[0], 0, str(place[1]), amount, ZERO))
            for place, amount in booked.items()
            if amount
        ]
        found += _commitments(self._segments, closes)
        return found + list(_coupons(self._entities))


def replay_differences(entity: BillingEntity) -> list[Difference]:
    """Replay a payer and compare; empty when all is as it was charged."""
    replays = Replays([entity])
    for event in standing_events(entity):
        replays.take(entity.pk, event)
    return [found for _, found in replays.differences(_charged(entity))]


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
        if row.event_properties is None:
            continue  # the event is gone, and so is its price
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
) -> Iterator[tuple[int, Difference]]:
    own: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        own[segment.period_id].append(segment)
    closed = [pk for pk, theirs in own.items() if any(_has_commitment(each) for each in theirs)]
    periods = BillingPeriod.objects.filter(pk__in=closed)
    for period in periods.select_related("subscription__version", "subscription__billing_entity"):
        booked = booked_of(period.pk)
        absorbed = absorbed_by_line([period], own[period.pk])
        for line in commitment_lines(period, own[period.pk], closes[period.pk], booked, absorbed):
            if line.addition.amount:
                known = booked.get((None, None), ZERO)
                expected = CONTEXT.add(known, line.addition.amount)
                payer_id = period.subscription.billing_entity_id
                yield payer_id, Difference(None, period.pk, COMMITMENT, known, expected)


def _has_commitment(segment: Segment) -> bool:
    return segment.closed_at is not None and bool(terms_of(segment.version).minimum_spend)


def _coupons(payer_ids: Collection[int]) -> Iterator[tuple[int, Difference]]:
    """Lines of which coupons took off more or less than they do by what each line has come to."""
    periods = BillingPeriod.objects.filter(
        Exists(CouponRedemption.objects.filter(subscription_id=OuterRef("subscription_id"))),
        subscription__billing_entity_id__in=list(payer_ids),
        closed_at__isnull=False,
    )
    rows = periods.select_related("subscription__version", "subscription__billing_entity")
    for period in rows.order_by("starts_at"):
        booked = credited(period.pk)
        for line, expected in coupons_of(period):
            known = booked.get((line.key, line.segment_id), ZERO)
            if known != expected:
                found = Difference(line.segment_id, period.pk, f"{COUPON} {line.key}", known, expected)
                yield period.subscription.billing_entity_id, found


def _segments(payer_ids: Collection[int]) -> list[Segment]:
    rows = Segment.objects.filter(subscription__billing_entity_id__in=list(payer_ids))
    rows = rows.order_by("starts_at", "pk")
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


def _with_closes(payer_ids: Collection[int], charged: Mapping[Place, Decimal]) -> dict[Place, Decimal]:
    """The same, with what closes booked."""
    found = dict(charged)
    rows = ClosingLine.objects.filter(billing_entity_id__in=list(payer_ids), segment_id__isnull=False)
    for segment_id, component_id, amount in rows.values_list("segment_id", "component_id", "amount"):
        if segment_id is not None and component_id is not None:
            place = (segment_id, component_id)
            found[place] = CONTEXT.add(found.get(place, ZERO), amount)
    return found
