"""Rating a reversal: F of what is left less F of what stands, line by line of the charges that go.

Everything happens in memory on counters that were read under the payer's lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import psycopg
from django.conf import settings

from billing.charging.deciding import RatedItem
from billing.charging.planning import Planned
from billing.charging.reading import Known
from billing.ledger import PayerId
from billing.store_reversals import StandingCharge, folded_quantities
from core.numbers import CONTEXT, ONE, ZERO, plain
from metering.catalogue import CompiledMeter, compile_meter
from metering.store import UniqueKey, read_occurrences
from pricing.models import Component, Counter, Segment
from pricing.pricelist import PricedComponent, compile_component
from pricing.rating.engine import History, rate_change
from pricing.rating.state import EMPTY, State, Usage
from pricing.store import CounterKey, read_counters

UNIQUE: Final = "unique"


@dataclass(slots=True)
class Undoing:
    """What has to be known to take charges back: their prices, and what their counters were folded from."""

    known: Known
    payer: PayerId
    components: dict[int, tuple[PricedComponent, CompiledMeter]] = field(default_factory=dict)
    starts: dict[int, datetime] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    histories: dict[CounterKey, History] = field(default_factory=dict)
    occurrences: dict[UniqueKey, int] = field(default_factory=dict)

    def read(
        self, raw: psycopg.Connection[Any], charges: Iterable[tuple[Planned, list[StandingCharge]]]
    ) -> None:
        """Read all that these items' charges need, in a fixed number of statements."""
        charges = list(charges)
        lines = [line for _, standing in charges for charge in standing for line in charge.lines]
        rows = Component.objects.select_related("meter").in_bulk({line["component_id"] for line in lines})
        self.components = {pk: (compile_component(row), compile_meter(row.meter)) for pk, row in rows.items()}
        segments = Segment.objects.in_bulk({line["segment"] for line in lines})
        self.starts = {pk: segment.starts_at for pk, segment in segments.items()}
        self.closed = {pk for pk, segment in segments.items() if segment.closed_at is not None}
        self._read_counters(raw, lines)
        self._read_histories(raw, lines)
        uniques = {
            key for item, standing in charges for charge in standing for key in self._uniques(item, charge)
        }
        self.occurrences = read_occurrences(raw, list(uniques)) if uniques else {}

    def undo(self, item: Planned, charges: Iterable[StandingCharge]) -> RatedItem:
        """The reversal of an event's charges; nothing of it is applied yet.

        `new_uniques` of the result are here the values that no other event has: they will be new again.
        """
        rated = RatedItem()
        for charge in charges:
            for key in self._uniques(item, charge):
                if self.occurrences.get(key) == 1:
                    rated.new_uniques.add(key)
            for line in charge.lines:
                self._undo_line(item, charge, line, rated)
        return rated

    def apply(self, item: Planned, charges: Iterable[StandingCharge], rated: RatedItem) -> set[UniqueKey]:
        """Let the counters be as the reversal leaves them; gives the values that occurred once less."""
        self.known.counters.update(rated.states)
        self.known.uniques -= rated.new_uniques
        gone: set[UniqueKey] = set()
        for charge in charges:
            gone.update(self._uniques(item, charge))
            for line in charge.lines:
                history = self.histories.get(self._key(line))
                if history is not None:
                    history.remove(charge.id)
        for key in gone:
            self.occurrences[key] = self.occurrences.get(key, 0) - 1
        return gone

    def _undo_line(
        self, item: Planned, charge: StandingCharge, line: Mapping[str, Any], rated: RatedItem
    ) -> None:
        component, meter = self.components[line["component_id"]]
        key = self._key(line)
        usage = _usage(component, line, self._quantity(item, line, meter, rated), item.cost)
        rating, history = component.rating, self.histories.get(key)
        state = rated.states.get(key) or self.known.counters.get(key, EMPTY)
        after = rating.retract(state, usage) if history is None else history.without(charge.id)
        if rating.group_dimensions:
            total_key = key._replace(dimensions=Counter.TOTAL)
            total = rated.states.get(total_key) or self.known.counters.get(total_key, EMPTY)
            result = rate_change(rating, state, total.amount, after)
            rated.states[total_key] = State(amount=result.subtotal)
        else:
            result = rate_change(rating, state, rating.f_group(state), after)
        rated.states[key] = result.state
        rated.amount = CONTEXT.add(rated.amount, result.amount)
        rated.amounts.append((line["component"], result.amount))
        rated.segments.append(line["segment"])
        rated.lines.append(
            {
                **line,
                "quantity": plain(usage.quantity.copy_negate()),
                "amount": plain(result.amount),
                "position": {"from": plain(result.position_from), "to": plain(result.position_to)},
                "reverses": charge.id.hex,
            }
        )

    def _quantity(
        self, item: Planned, line: Mapping[str, Any], meter: CompiledMeter, rated: RatedItem
    ) -> Decimal:
        if meter.aggregation != UNIQUE:
            return Decimal(line["quantity"])
        key = self._line_unique(item, line)
        return ONE if key is not None and key in rated.new_uniques else ZERO

    def _uniques(self, item: Planned, charge: StandingCharge) -> set[UniqueKey]:
        """The values of `unique` meters that a charge counted: as its lines see them, and as buckets do."""
        found: set[UniqueKey] = set()
        for line in charge.lines:
            key = self._line_unique(item, line)
            if key is not None:
                _, meter = self.components[line["component_id"]]
                found |= {key, key._replace(dimensions=_meter_group(meter, item))}
        return found

    def _line_unique(self, item: Planned, line: Mapping[str, Any]) -> UniqueKey | None:
        component, meter = self.components[line["component_id"]]
        if meter.aggregation != UNIQUE:
            return None
        value = meter.contribution(item.request.event.properties)
        dimensions: str = line["dimensions"]
        if component.rating.group_dimensions != meter.definition.group_by:
            dimensions = f"{component.id}:{dimensions}"
        scope = self.starts[line["segment"]].isoformat()
        digest = sha256(str(value).encode()).hexdigest()[:32]
        return UniqueKey(*self.payer, meter.id, scope, dimensions, digest)

    def _key(self, line: Mapping[str, Any]) -> CounterKey:
        return CounterKey(self.payer[0], line["segment"], line["component_id"], line["dimensions"])

    def _read_counters(self, raw: psycopg.Connection[Any], lines: Iterable[Mapping[str, Any]]) -> None:
        keys = {self._key(line) for line in lines}
        keys |= {key._replace(dimensions=Counter.TOTAL) for key in keys}
        missing = [key for key in keys if key not in self.known.counters]
        for position, *state in read_counters(raw, missing) if missing else ():
            self.known.counters[missing[position - 1]] = State(*state)

    def _read_histories(self, raw: psycopg.Connection[Any], lines: Iterable[Mapping[str, Any]]) -> None:
        bound = [line for line in lines if self.components[line["component_id"]][0].rating.is_order_bound]
        if not bound:
            return
        since = min(self.starts[line["segment"]] for line in bound) - _ahead()
        found = folded_quantities(raw, self.payer, {self._key(line) for line in bound}, since)
        for key, quantities in found.items():
            component, _ = self.components[key.component_id]
            history = self.histories[key] = History(component.rating)
            for charge_id, quantity in quantities:
                history.add(charge_id, _usage(component, {"dimensions": key.dimensions}, quantity, None))


def _usage(
    component: PricedComponent, line: Mapping[str, Any], quantity: Decimal, cost: Decimal | None
) -> Usage:
    names = component.rating.group_dimensions
    if not names:
        return Usage(quantity, cost=cost)
    return Usage(quantity, dict(zip(names, json.loads(line["dimensions"]), strict=True)), cost)


def _meter_group(meter: CompiledMeter, item: Planned) -> str:
    return next(heard.dimensions for heard in item.heard if heard.meter.id == meter.id)


def _ahead() -> timedelta:
    ahead: timedelta = settings.EVENT_AHEAD_MAX
    return ahead
