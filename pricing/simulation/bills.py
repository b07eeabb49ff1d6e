"""What a version charges for one span: base fees, components, minimum spend, as lines. Pure.

Everything counts by what of it falls in the window, so that the bills of windows that follow each other
add up: usage by what it adds to F at the position reached before, fees and minimums by their share of time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from core.numbers import CONTEXT, ZERO
from pricing.base_fees import Life, fees_of_period, trial_end
from pricing.catalog import PlanTerms
from pricing.cycles import Period, prorate
from pricing.rating import State, States
from pricing.simulation.candidates import Candidate, SimulatedComponent
from pricing.simulation.spans import Span
from pricing.simulation.tallies import Tally

MINIMUM_SPEND: Final = "minimum_spend"
"""The key of the line that tops a bill up to the plan's minimum."""

FEES_KEPT_MAX: Final = 10_000
add, subtract = CONTEXT.add, CONTEXT.subtract


TallyMaker = Callable[[SimulatedComponent, datetime, datetime], Tally]
"""From a component, start and end to the tally that will be filled."""


class BillLine(NamedTuple):
    """One line: `quantity` of a component (None for fees), exact `amount`."""

    key: str
    quantity: Decimal | None
    amount: Decimal


@dataclass(slots=True, eq=False)
class SpanJob:
    """One version over one span of a subscription, with the tallies of its components.

    `tallies` are (after, before) by component key; `before` holds what was used ahead of the window, if
    the window begins inside the span. `opens`: the span begins a billing period (fees that are not prorated
    count once, there). `paid_from`: when the subscription's trial ended, where its life does not say it.
    """

    candidate: Candidate
    life: Life
    span: Span
    opens: bool = True
    paid_from: datetime | None = None
    tallies: dict[str, tuple[Tally, Tally | None]] = field(default_factory=dict)
    _lines: list[BillLine] | None = None

    def collect(self, tally_of: TallyMaker) -> None:
        """Take the tallies that the bill needs from `tally_of(component, start, end)`."""
        span = self.span
        for component in self.candidate.components:
            after = tally_of(component, span.start, span.until)
            before = tally_of(component, span.start, span.since) if span.is_begun_before else None
            self.tallies[component.key] = after, before

    def lines(self) -> list[BillLine]:
        """The lines in the order of the plan: base fees, components, minimum spend."""
        if self._lines is None:
            self._lines = self._made_lines()
        return self._lines

    def _made_lines(self) -> list[BillLine]:
        lines = [*self._fee_lines(), *self.component_lines()]
        top_up = subtract(self.minimum_of(self.candidate.terms.minimum_spend), total_of(lines))
        if top_up > 0:
            lines.append(BillLine(MINIMUM_SPEND, None, top_up))
        return lines

    def component_lines(self) -> list[BillLine]:
        """The lines of usage, each with its minimum."""
        return [
            self._component_line(component, *self.tallies[component.key])
            for component in self.candidate.components
        ]

    def lines_so_far(self) -> list[BillLine]:
        """The lines of a span that goes on: fees that were due by `until`, usage without minimums."""
        span = self.span
        due_fees = fees_of_period(self.candidate.terms, self.life, Period(span.start, span.end))
        lines = [BillLine(due.key, None, due.amount) for due in due_fees if due.due_at <= span.until]
        return [*lines, *self.usage_so_far()]

    def usage_so_far(self) -> list[BillLine]:
        """The lines of usage without minimums, as they are charged while a period runs."""
        lines = []
        for component in self.candidate.components:
            states = self.tallies[component.key][0].states.values()
            amount = component.rating.total(component.rating.subtotal(states))
            lines.append(BillLine(component.key, _quantity(states), amount))
        return lines

    def _fee_lines(self) -> list[BillLine]:
        """The base fees; many payers' are the same, so they are kept with the candidate."""
        life, kept = self.life, self.candidate.fee_lines
        key = (self.span, self.opens, life.cycle, life.ends_at, tuple(life.quantities.items()))
        if self.candidate.terms.trial_days:
            return self._made_fee_lines()
        found = kept.get(key)
        if found is None:
            if len(kept) >= FEES_KEPT_MAX:
                kept.clear()
            found = kept[key] = self._made_fee_lines()
        return list(found)

    def _made_fee_lines(self) -> list[BillLine]:
        terms, span = self.candidate.terms, self.span
        found = []
        due_fees = fees_of_period(terms, self.life, Period(span.start, span.end))
        for fee, due in zip(terms.base_fees, due_fees, strict=False):  # none are due inside a trial
            if not fee.prorate and not self.opens:
                continue
            taken = Period(max(span.since, due.covers.start), min(span.until, due.covers.end))
            if taken.start < taken.end:
                amount = _part(due.amount, due.covers, taken, terms, self.life)
                found.append(BillLine(due.key, None, amount))
        return found

    def _component_line(self, component: SimulatedComponent, after: Tally, before: Tally | None) -> BillLine:
        rating, states = component.rating, after.states
        minimum = self.minimum_of(rating.modifiers.minimum)
        had: States = {} if before is None else before.states
        if not had and self.span.closes:
            amount = rating.close(states.values(), minimum)
        else:
            fee = rating.zero_usage_fee(states.values()) if self.span.closes else ZERO
            total = rating.total(add(rating.subtotal(states.values()), fee))
            amount = max(subtract(total, rating.total(rating.subtotal(had.values()))), minimum)
        quantity = subtract(_quantity(states.values()), _quantity(had.values()))
        return BillLine(component.key, quantity, amount)

    def minimum_of(self, whole: Decimal) -> Decimal:
        """The part of a minimum (of a whole cycle, less the trial) that falls in the window."""
        if not whole:
            return ZERO
        terms, life, start, until = self.candidate.terms, self.life, self.span.since, self.span.until
        if self.paid_from is None and not terms.trial_days and (start, until) == self.span.whole:
            return whole
        if self.paid_from is not None:
            start = max(start, self.paid_from)
        elif terms.trial_days:
            start = max(start, trial_end(terms, life))
        if start >= until:
            return ZERO
        return prorate(
            whole,
            self.span.whole,
            Period(start, until),
            terms.proration,
            zone=life.cycle.zone,
            counts_last_day=until == life.ends_at,
        )


class Billed(Protocol):
    """What has lines once its tallies are filled."""

    @property
    def tallies(self) -> Mapping[Any, tuple[Tally, Tally | None]]:
        """(after, before) of each component."""

    def lines(self) -> list[BillLine]:
        """The lines in the order of the plan."""


class Bill(NamedTuple):
    """What a payer is charged in the window, and of that each line's part."""

    amount: Decimal
    lines: dict[str, Decimal]
    unpriced: int


def bill_of(jobs: Iterable[Billed]) -> Bill:
    """One bill of many spans."""
    lines: dict[str, Decimal] = {}
    unpriced = 0
    for job in jobs:
        for line in job.lines():
            lines[line.key] = add(lines.get(line.key, ZERO), line.amount)
        unpriced += sum(
            after.unpriced - (before.unpriced if before else 0) for after, before in job.tallies.values()
        )
    total = ZERO
    for amount in lines.values():
        total = add(total, amount)
    return Bill(total, lines, unpriced)


def merged(lines: Iterable[BillLine]) -> list[BillLine]:
    """The lines with one for each key, in the order in which the keys come first."""
    found: dict[str, BillLine] = {}
    for line in lines:
        known = found.get(line.key)
        if known is not None:
            quantities = [each.quantity for each in (known, line) if each.quantity is not None]
            quantity = CONTEXT.add(quantities[0], quantities[1]) if len(quantities) == 2 else None
            line = BillLine(line.key, quantity, add(known.amount, line.amount))
        found[line.key] = line
    return list(found.values())


def total_of(lines: Iterable[BillLine]) -> Decimal:
    """The exact sum of lines."""
    total = ZERO
    for line in lines:
        total = add(total, line.amount)
    return total


def _part(amount: Decimal, whole: Period, taken: Period, terms: PlanTerms, life: Life) -> Decimal:
    """What of an amount for `whole` falls to `taken`."""
    if taken == whole:
        return amount
    return prorate(amount, whole, taken, terms.proration, zone=life.cycle.zone)


def _quantity(states: Iterable[State]) -> Decimal:
    total = ZERO
    for state in states:
        total = add(total, state.quantity)
    return total
