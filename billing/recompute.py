"""The proof of a charge: what is stored of it, rated again (DESIGN.md section 5, invariant 6).

Charges of a payer are folded in `seq` order, component by component within a segment, from nothing: each
event's quantity comes from its stored properties, each price from the published version that the charge
names. The answers are the lines as they were stored, or the stored ones are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast
from msgspec.structs import replace

from billing.models import Charge
from core.errors import TollgateError
from core.ids import public_id
from core.jsonio import decode_json
from core.numbers import CONTEXT, ONE, ZERO, plain
from metering.aggregation import MeterDefinition
from metering.catalogue import compile_meter
from metering.models import UsageEvent
from pricing.models import Component
from pricing.pricelist import PricedComponent, compile_component
from pricing.rating.engine import History, Rated, rate_change, rate_event
from pricing.rating.groups import NO_GROUP, group_text
from pricing.rating.state import EMPTY, State, Usage

FOLDED_AT_ONCE: Final = 2000
"""Rows in memory at a time."""


class Priced(NamedTuple):
    """A component and the meter that it prices; `version` is the public id of the version that it is of."""

    component: PricedComponent
    meter: MeterDefinition
    version: str = ""


class Rerated(NamedTuple):
    """What a charge comes to when it is rated again: its amount, and its lines in their stored order.

    `problem` says why it could not be rated, where what it came from is not there or not whole any more.
    """

    amount: Decimal
    lines: list[dict[str, Any]]
    problem: str = ""


@dataclass(slots=True, frozen=True)
class ChargedEvent:
    """What is stored of a charge: its lines, its event's properties and known cost, its id in hex."""

    lines: list[dict[str, Any]]
    properties: dict[str, Any]
    cost: Decimal | None
    charge_id: str = ""


@dataclass(slots=True)
class Fold:
    """The states of all segments that the charges so far have moved."""

    components: Mapping[int, Priced]
    states: dict[tuple[int, int, str], State] = field(default_factory=dict)
    subtotals: dict[tuple[int, int], Decimal] = field(default_factory=dict)
    seen: dict[tuple[int, int, str, str], int] = field(default_factory=dict)
    histories: dict[tuple[int, int, str], History] = field(default_factory=dict)

    def rate(self, charged: ChargedEvent) -> Rerated:
        """Rate the next charge of the payer."""
        lines = [self._rate_line(charged, line) for line in charged.lines]
        amount = ZERO
        for line in lines:
            amount = CONTEXT.add(amount, Decimal(line["amount"]))
        return Rerated(amount, lines)

    def _rate_line(self, charged: ChargedEvent, line: dict[str, Any]) -> dict[str, Any]:
        segment, pk = int(line["segment"]), int(line["component_id"])
        component, meter, version = self.components[pk]
        usage, dimensions = _usage(charged, component)
        key = (segment, pk, dimensions)
        quantity = self._quantity(key, meter, charged.properties, line)
        usage = replace(usage, quantity=quantity)
        if "reverses" in line:
            result = self._take_back(key, component, line, usage)
            quantity = quantity.copy_negate()
        else:
            result = self._add(key, component, charged, usage)
        amount, late = result.amount, line.get("late")
        if late is not None:
            amount = self._late(key, component, Decimal(late["minimum"]), result.state)
            late = late | {"f": plain(result.amount)}
        self.states[key], self.subtotals[segment, pk] = result.state, result.subtotal
        again = {
            "component": component.key,
            "meter": component.meter_key,
            "quantity": plain(quantity),
            "amount": plain(amount),
            "position": {"from": plain(result.position_from), "to": plain(result.position_to)},
            "dimensions": dimensions,
        }
        if version:
            again["plan_version"] = version
        return line | again | ({} if late is None else {"late": late})

    def _late(
        self, key: tuple[int, int, str], component: PricedComponent, minimum: Decimal, after: State
    ) -> Decimal:
        """What usage of a closed segment changes of the whole: the closes after less before."""
        groups = {place: state for place, state in self.states.items() if place[:2] == key[:2]}
        closes = [
            component.rating.close(states.values(), minimum) for states in (groups | {key: after}, groups)
        ]
        return CONTEXT.subtract(*closes)

    def _add(
        self, key: tuple[int, int, str], component: PricedComponent, charged: ChargedEvent, usage: Usage
    ) -> Rated:
        if component.rating.is_order_bound:
            history = self.histories.setdefault(key, History(component.rating))
            history.add(charged.charge_id, usage)
        state, subtotal = self.states.get(key, EMPTY), self.subtotals.get(key[:2], ZERO)
        return rate_event(component.rating, state, subtotal, usage)

    def _take_back(
        self, key: tuple[int, int, str], component: PricedComponent, line: dict[str, Any], usage: Usage
    ) -> Rated:
        """The reversal of a line of an earlier charge."""
        state, subtotal = self.states.get(key, EMPTY), self.subtotals.get(key[:2], ZERO)
        if component.rating.is_order_bound:
            self.histories[key].remove(line["reverses"])
            after = self.histories[key].state
        else:
            after = component.rating.retract(state, usage)
        return rate_change(component.rating, state, subtotal, after)

    def _quantity(
        self,
        key: tuple[int, int, str],
        meter: MeterDefinition,
        properties: dict[str, Any],
        line: dict[str, Any],
    ) -> Decimal:
        """What the event adds or, reversed, takes.

        Of a `unique` meter it is 1 at a value's first occurrence in its segment, and when its last one goes.
        """
        found = meter.contribution(properties)
        if isinstance(found, str):
            before = self.seen.get((*key, found), 0)
            self.seen[*key, found] = before + (-1 if "reverses" in line else 1)
            return ONE if before == (1 if "reverses" in line else 0) else ZERO
        return ZERO if found is None else found


def _usage(charged: ChargedEvent, component: PricedComponent) -> tuple[Usage, str]:
    """The event as the component sees it, still without its quantity, and the group that it falls in."""
    if not component.rating.group_dimensions:
        return Usage(ZERO, cost=charged.cost), NO_GROUP
    usage = Usage(ZERO, component.dimensions(charged.properties), charged.cost)
    return usage, group_text(component.rating.group_of(usage))


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
        if lines or segments is None:
            yield charge, _rate_stored(fold, charge, lines)


def _rate_stored(fold: Fold, charge: Any, lines: list[dict[str, Any]]) -> Rerated:
    if charge.event_properties is None:
        return Rerated(ZERO, [], "its event is not there")
    try:
        return fold.rate(_stored(charge, lines))
    except (LookupError, ValueError, TypeError, ArithmeticError, ObjectDoesNotExist, TollgateError) as error:
        return Rerated(ZERO, [], f"what is stored cannot be rated ({type(error).__name__}: {error})")


def is_proved(charge: Charge, again: Rerated) -> bool:
    """Whether rating a charge again gave what is stored of it."""
    return not again.problem and (again.amount, again.lines) == (charge.amount, charge.lines)


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
    return ChargedEvent(
        lines, decode_json(charge.event_properties.encode()), charge.event_cost, charge.id.hex
    )


class _Components(dict[int, Priced]):
    """Components by row, read when they are first met; published ones never change."""

    def __missing__(self, pk: int) -> Priced:
        row = Component.objects.select_related("meter").get(pk=pk)
        version = public_id("pv", row.version_id)
        self[pk] = Priced(compile_component(row), compile_meter(row.meter).definition, version)
        return self[pk]
