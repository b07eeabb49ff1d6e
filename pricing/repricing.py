"""What a version would have charged for events: the engine, folded over them in `seq` order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from core.numbers import CONTEXT, ONE, ZERO
from metering.catalogue import CompiledMeter
from pricing.pricelist import PricedComponent
from pricing.rating.engine import rate_event
from pricing.rating.groups import NO_GROUP, group_text
from pricing.rating.models.base import NotPriced
from pricing.rating.state import EMPTY, State, Usage


@dataclass(slots=True)
class Repricing:
    """One period on one version: the states of its components after the events so far.

    Components whose meters settle at the close (min, avg, latest, weighted_sum) have no part in it.
    """

    components: Sequence[tuple[PricedComponent, CompiledMeter]]
    states: dict[tuple[int, str], State] = field(default_factory=dict)
    subtotals: dict[int, Decimal] = field(default_factory=dict)
    seen: set[tuple[int, str, str]] = field(default_factory=set)

    def charge(self, event: str, properties: Mapping[str, Any], cost: Decimal | None) -> Decimal:
        """What the next event would have been charged; a line that has no price adds nothing."""
        amount = ZERO
        for component, meter in self.components:
            if component.is_live and meter.definition.event == event and meter.matches(properties):
                amount = CONTEXT.add(amount, self._line(component, meter, properties, cost))
        return amount

    def _line(
        self,
        component: PricedComponent,
        meter: CompiledMeter,
        properties: Mapping[str, Any],
        cost: Decimal | None,
    ) -> Decimal:
        found = meter.contribution(properties)
        if found is None:
            return ZERO
        usage, group = Usage(ONE, cost=cost), NO_GROUP
        if component.rating.group_dimensions:
            usage = replace(usage, dimensions=component.dimensions(properties))
            group = group_text(component.rating.group_of(usage))
        if isinstance(found, str):
            value = (component.id, group, found)
            found = ZERO if value in self.seen else ONE
            self.seen.add(value)
        key = (component.id, group)
        try:
            result = rate_event(
                component.rating,
                self.states.get(key, EMPTY),
                self.subtotals.get(component.id, ZERO),
                replace(usage, quantity=found),
            )
        except NotPriced:
            return ZERO
        self.states[key], self.subtotals[component.id] = result.state, result.subtotal
        return result.amount
