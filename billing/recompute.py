"""The proof of a charge: what is stored of it, rated again (DESIGN.md section 5, invariant 6).

Charges of a payer are folded in `seq` order, component by component within a segment, from nothing: each
event's quantity comes from its stored properties, each price from the published version that the charge
names. The answers are the lines as they were stored, or the stored ones are wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast

from billing.models import Charge
from core.jsonio import decode_json
from core.numbers import CONTEXT, ONE, ZERO, plain
from metering.aggregation import MeterDefinition
from metering.catalogue import compile_meter
from metering.models import UsageEvent
from pricing.models import Component
from pricing.pricelist import PricedComponent, compile_component
from pricing.rating.engine import rate_event
from pricing.rating.groups import group_text
from pricing.rating.state import EMPTY, State, Usage

NO_DIMENSIONS: Final = "[]"
FOLDED_AT_ONCE: Final = 2000
"""Rows in memory at a time."""


class Priced(NamedTuple):
    """A component and the meter that it prices."""

    component: PricedComponent
    meter: MeterDefinition


class Rerated(NamedTuple):
    """What a charge comes to when it is rated again: its amount, and its lines in their stored order."""

    amount: Decimal
    lines: list[dict[str, Any]]


@dataclass(slots=True, frozen=True)
class ChargedEvent:
    """What is stored of a charge: its lines, its event's properties and known cost."""

    lines: list[dict[str, Any]]
    properties: dict[str, Any]
    cost: Decimal | None


@dataclass(slots=True)
class Fold:
    """The states of all segments that the charges so far have moved."""

    components: Mapping[int, Priced]
    states: dict[tuple[int, int, str], State] = field(default_factory=dict)
    subtotals: dict[tuple[int, int], Decimal] = field(default_factory=dict)
    seen: set[tuple[int, int, str, str]] = field(default_factory=set)

    def rate(self, charged: ChargedEvent) -> Rerated:
        """Rate the next charge of the payer."""
        lines = [self._rate_line(charged, line) for line in charged.lines]
        amount = ZERO
        for line in lines:
            amount = CONTEXT.add(amount, Decimal(line["amount"]))
        return Rerated(amount, lines)

    def _rate_line(self, charged: ChargedEvent, line: dict[str, Any]) -> dict[str, Any]:
        segment, pk = int(line["segment"]), int(line["component_id"])
        component, meter = self.components[pk]
        usage, dimensions = _usage(charged, component)
        quantity = self._quantity((segment, pk, dimensions), meter, charged.properties)
        key = (segment, pk, dimensions)
        result = rate_event(
            component.rating,
            self.states.get(key, EMPTY),
            self.subtotals.get((segment, pk), ZERO),
            usage._replace(quantity=quantity),
        )
        self.states[key], self.subtotals[segment, pk] = result.state, result.subtotal
        return line | {
            "component": component.key,
            "meter": component.meter_key,
            "quantity": plain(quantity),
            "amount": plain(result.amount),
            "position": {"from": plain(result.position_from), "to": plain(result.position_to)},
            "dimensions": dimensions,
        }

    def _quantity(
        self, key: tuple[int, int, str], meter: MeterDefinition, properties: dict[str, Any]
    ) -> Decimal:
        """What the event adds; of a `unique` meter, 1 at a value's first occurrence in its segment."""
        found = meter.contribution(properties)
        if isinstance(found, str):
            is_new = (*key, found) not in self.seen
            self.seen.add((*key, found))
            return ONE if is_new else ZERO
        return ZERO if found is None else found


def _usage(charged: ChargedEvent, component: PricedComponent) -> tuple[Usage, str]:
    """The event as the component sees it, still without its quantity, and the group that it falls in."""
    if not component.rating.group_dimensions:
        return Usage(ZERO, cost=charged.cost), NO_DIMENSIONS
    usage = Usage(ZERO, component.dimensions(charged.properties), charged.cost)
    return usage, group_text(component.rating.group_of(usage))


def refold(charges: Iterable[ChargedEvent], components: Mapping[int, Priced]) -> Iterator[Rerated]:
    """Rate all charges of a payer, given in `seq` order, from nothing. Pure."""
    fold = Fold(components)
    for charged in charges:
        yield fold.rate(charged)


def recompute_charge(charge: Charge) -> Rerated:
    """Rate a stored charge again, after all that came before it in its segments.

    Reads the payer's charges up to it, FOLDED_AT_ONCE at a time: the time grows with their number.
    """
    segments = {int(line["segment"]) for line in charge.lines}
    before = charges_of(charge.customer_id, charge.billing_entity_id).filter(seq__lte=charge.seq)
    result = Rerated(ZERO, [])
    for _, result in recompute_charges(before, segments):  # noqa: B007 - the last one is the charge
        pass
    return result


def recompute_charges(
    charges: QuerySet[Charge], segments: set[int] | None = None
) -> Iterator[tuple[Charge, Rerated]]:
    """Rate stored charges again, beside each other; only lines of these segments if they are named."""
    fold = Fold(_Components())
    for charge in charges.iterator(FOLDED_AT_ONCE):
        lines = [line for line in charge.lines if segments is None or line["segment"] in segments]
        if lines:
            yield charge, fold.rate(_stored(charge, lines))


def is_proved(charge: Charge, again: Rerated) -> bool:
    """Whether rating a charge again gave what is stored of it."""
    return (again.amount, again.lines) == (charge.amount, charge.lines)


def charges_of(customer_id: int, billing_entity_id: int) -> QuerySet[Charge]:
    """A payer's charges in `seq` order, with what is stored of their events: for `recompute_charges`."""
    event = UsageEvent.objects.filter(
        customer_id=OuterRef("customer_id"),
        id=OuterRef("event_id"),
        recorded_at=OuterRef("event_recorded_at"),
    )
    return (
        Charge.objects.filter(customer_id=customer_id, billing_entity_id=billing_entity_id)
        .annotate(
            # As text: jsonb's numbers would come as float.
            event_properties=Subquery(
                event.annotate(text=Cast("properties", TextField())).values("text"),
            ),
            event_cost=Subquery(event.values("cost")),
        )
        .order_by("seq")
    )


def _stored(charge: Any, lines: list[dict[str, Any]]) -> ChargedEvent:
    return ChargedEvent(lines, decode_json(charge.event_properties.encode()), charge.event_cost)


class _Components(dict[int, Priced]):
    """Components by row, read when they are first met; published ones never change."""

    def __missing__(self, pk: int) -> Priced:
        row = Component.objects.select_related("meter").get(pk=pk)
        self[pk] = Priced(compile_component(row), compile_meter(row.meter).definition)
        return self[pk]
