"""Usage on its way into states: one tally for each component and stretch of time, fed by buckets and events.

Pure. Whoever reads feeds events in `seq` order, as they were charged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from core.numbers import ONE, ZERO
from metering.aggregation.base import Aggregation, Contribution, Window
from metering.aggregation.kinds import AGGREGATIONS
from metering.aggregation.paths import Properties
from pricing.rating import EMPTY, Group, NotPriced, State, States, Usage
from pricing.simulation.candidates import SimulatedComponent

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TICK: Final = timedelta(microseconds=1)


@dataclass(slots=True, eq=False)
class Tally:
    """The states of one component's groups after the usage of `[start, end)` that was fed so far.

    `unpriced`: how many events its model has no price for (they stay free, as in life).
    """

    component: SimulatedComponent
    start: datetime
    end: datetime
    states: States = field(default_factory=dict)
    unpriced: int = 0
    _seen: set[tuple[Group, str]] = field(default_factory=set)
    _folds: dict[Group, Aggregation] = field(default_factory=dict)

    def add_sum(self, dimensions: Mapping[str, str | None], quantity: Decimal) -> None:
        """Take in the sum (of a `max` meter, the highest) of many events of one group."""
        self._advance(Usage(quantity, dimensions))

    @property
    def is_plain(self) -> bool:
        """Whether all events of a meter are the same usage to it: no groups, no values to be told apart."""
        rating, aggregation = self.component.rating, self.component.meter.definition.aggregation
        return self.component.is_live and not rating.group_dimensions and aggregation != "unique"

    @property
    def adds_up(self) -> bool:
        """Whether the sum and the number of a meter's events are all that it needs of them."""
        return self.is_plain and self.component.rating.adds_up

    def add_total(self, total: Decimal, number: int) -> None:
        """Take in many events at once, of a tally that `adds_up`; see `Component.advance_by`."""
        self.states[()] = self.component.rating.advance_by(self.states.get((), EMPTY), total, number)

    def add_usages(self, usages: Iterable[Usage]) -> None:
        """Take in events that the meter hears, of a tally that `is_plain`: the hot path."""
        advance, state = self.component.rating.advance, self.states.get((), EMPTY)
        for usage in usages:
            try:
                state = advance(state, usage)
            except NotPriced:
                self.unpriced += 1
        self.states[()] = state

    def add_event(
        self,
        ticks: int,
        properties: Properties,
        contribution: Contribution,
        cost: Decimal | None,
    ) -> None:
        """Take in one event that the meter hears; `contribution` is what the meter takes from it.

        `ticks`: when it occurred, in microseconds since 1970.
        """
        if not self.component.is_live:
            occurred_at = EPOCH + ticks * TICK
            self._fold(self.group_of(properties)).add(contribution, occurred_at)
            return
        quantity = contribution
        if isinstance(quantity, str):
            value = self.group_of(properties), quantity
            quantity = ZERO if value in self._seen else ONE
            self._seen.add(value)
        self._advance(Usage(quantity, self.component.dimensions(properties), cost))

    def group_of(self, properties: Properties) -> Group:
        """The group that an event with these properties falls in."""
        return self.component.rating.group_of(Usage(ZERO, self.component.dimensions(properties)))

    def carry(self, group: Group, level: Decimal) -> None:
        """Begin a group of a meter with `carry_over` at the level that it had before `start`."""
        self._folds[group] = AGGREGATIONS[self.component.meter.definition.aggregation](
            Window(self.start, self.end, level)
        )

    def settle(self) -> None:
        """Price what settles when a period closes (min, avg, latest, weighted_sum): the quantity so far."""
        for group, fold in self._folds.items():
            quantity = fold.value() or ZERO
            dimensions = dict(zip(self.component.rating.group_dimensions, group, strict=True))
            self.states[group] = EMPTY
            self._advance(Usage(quantity, dimensions))

    def _fold(self, group: Group) -> Aggregation:
        fold = self._folds.get(group)
        if fold is None:
            kind: Any = AGGREGATIONS[self.component.meter.definition.aggregation]
            fold = self._folds[group] = kind(Window(self.start, self.end))
        return fold

    def _advance(self, usage: Usage) -> None:
        rating = self.component.rating
        group = rating.group_of(usage)
        state: State = self.states.get(group, EMPTY)
        try:
            self.states[group] = rating.advance(state, usage)
        except NotPriced:
            self.unpriced += 1
