"""The simulation: what versions would have charged payers for what they really used. Writes nothing.

One chunk of payers takes a fixed number of statements: subscriptions, segments, sums of buckets, and a
stream of events only where a price asks for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction

from accounts.scoping import OPERATOR, Viewer
from core.numbers import CONTEXT, ZERO
from pricing.cycles import Period
from pricing.simulation.bills import Bill, SpanJob, bill_of
from pricing.simulation.candidates import Candidate, SimulatedComponent
from pricing.simulation.changed import Job
from pricing.simulation.cohorts import Cohort, in_chunks, payers_of
from pricing.simulation.history import (
    SubscriptionRow,
    Versions,
    candidate_jobs,
    own_jobs,
    read_subscriptions,
    replaced_by,
)
from pricing.simulation.reading import PayerRow, UsageReader
from pricing.simulation.tallies import Tally

PAYERS_AT_ONCE: Final = 250
_NOTHING: Final = Bill(ZERO, {}, 0)


class Cost(NamedTuple):
    """What vendors took for a payer's events in the window; of `events`, the cost of `costed` is known."""

    amount: Decimal
    events: int
    costed: int


NO_COST: Final = Cost(ZERO, 0, 0)
CostReader = Callable[[Sequence[PayerRow], Period], Mapping[int, Cost]]
"""Costs by payer: they stand in billing's buckets, which pricing does not know."""
LeftOutReader = Callable[[Sequence[PayerRow], Period], Collection[UUID]]
"""Events that were reversed, which only billing knows: they count for nothing."""


def no_costs(payers: Sequence[PayerRow], window: Period) -> Mapping[int, Cost]:
    """Nothing is known of costs."""
    return {}


def none_left_out(payers: Sequence[PayerRow], window: Period) -> Collection[UUID]:
    """Every event counts."""
    return ()


@dataclass(frozen=True, slots=True)
class PayerResult:
    """One payer: what it really was on gives `current`; `simulated` is beside the versions.

    None: the version is in another currency than the payer.
    """

    payer: PayerRow
    current: Bill
    simulated: tuple[Bill | None, ...]
    cost: Cost

    def difference(self, number: int) -> Decimal | None:
        """What version `number` charges more than the current one; negative: less."""
        bill = self.simulated[number]
        return None if bill is None else CONTEXT.subtract(bill.amount, self.current.amount)


@dataclass(slots=True)
class Simulator:
    """Versions side by side over `[window.start, window.end)`."""

    versions: Sequence[Candidate]
    window: Period
    viewer: Viewer = OPERATOR
    costs: CostReader = no_costs
    left_out: LeftOutReader = none_left_out
    _known: Versions = field(default_factory=Versions)

    def run(self, payers: Sequence[PayerRow]) -> list[PayerResult]:
        """The results of some payers, in their order; a fixed number of statements and a stream."""
        with transaction.atomic():
            subscriptions = read_subscriptions(self.viewer, payers, self.window, self._known)
            plans = [self._plan(payer, subscriptions.get(payer.id, [])) for payer in payers]
            reader = UsageReader(frozenset(self.left_out(payers, self.window)))
            for plan in plans:
                plan.collect(reader)
            reader.read()
            costs = self.costs(payers, self.window)
        return [plan.result(costs.get(plan.payer.id, NO_COST)) for plan in plans]

    def _plan(self, payer: PayerRow, subscriptions: Sequence[SubscriptionRow]) -> _PayerPlan:
        own = {
            row.id: own_jobs(row, payer, self.window, self._known)
            for row in subscriptions
            if row.version.terms.currency == payer.currency
        }
        rows = [row for row in subscriptions if row.id in own]
        simulated = [self._jobs(candidate, payer, rows, own) for candidate in self.versions]
        return _PayerPlan(payer, [job for jobs in own.values() for job in jobs], simulated)

    def _jobs(
        self,
        candidate: Candidate,
        payer: PayerRow,
        rows: Sequence[SubscriptionRow],
        own: Mapping[int, list[Job]],
    ) -> list[Job] | None:
        """The candidate in the place of the subscriptions that it replaces; the others as they were."""
        if candidate.terms.currency != payer.currency:
            return None
        if not rows:
            start = self.window.start
            alone = SubscriptionRow(0, start, None, start, {}, candidate)
            return candidate_jobs(alone, candidate, payer, self.window, start, self._known)
        replaced = replaced_by(candidate, rows)
        jobs = [job for row in rows if row not in replaced for job in own[row.id]]
        since = datetime.min.replace(tzinfo=self.window.start.tzinfo)
        for row in replaced:
            there = {_key(job): job for job in own[row.id] if isinstance(job, SpanJob)}
            jobs += [
                there.get(_key(job), job) if isinstance(job, SpanJob) else job
                for job in candidate_jobs(row, candidate, payer, self.window, since, self._known)
            ]
            since = max(since, row.ends_at or self.window.end)
        return jobs


def _key(job: SpanJob) -> tuple[object, ...]:
    """The same for jobs of one subscription that come to the same."""
    life = job.life
    alike = (life.starts_at, life.ends_at, life.cycle, tuple(life.quantities.items()))
    return job.candidate.content_hash, job.span, job.opens, alike


@dataclass(slots=True)
class _PayerPlan:
    """One payer's jobs; equal components over equal times share their tallies."""

    payer: PayerRow
    own: list[Job]
    simulated: list[list[Job] | None]
    _tallies: dict[tuple[tuple[str, str], datetime, datetime], Tally] = field(default_factory=dict)

    def collect(self, reader: UsageReader) -> None:
        """Ask the reader for every tally, once."""

        def tally_of(component: SimulatedComponent, start: datetime, end: datetime) -> Tally:
            key = (component.signature, start, end)
            tally = self._tallies.get(key)
            if tally is None:
                tally = self._tallies[key] = Tally(component, start, end)
                reader.want(self.payer, tally)
            return tally

        for jobs in (self.own, *self.simulated):
            for job in jobs or ():
                job.collect(tally_of)

    def result(self, cost: Cost) -> PayerResult:
        """The bills, once the tallies are filled."""
        simulated = tuple(None if jobs is None else bill_of(jobs) for jobs in self.simulated)
        return PayerResult(self.payer, bill_of(self.own) if self.own else _NOTHING, simulated, cost)


def simulate(
    versions: Sequence[Candidate],
    cohort: Cohort,
    window: Period,
    *,
    viewer: Viewer = OPERATOR,
    costs: CostReader = no_costs,
    left_out: LeftOutReader = none_left_out,
) -> Iterator[PayerResult]:
    """Each payer of the cohort under its own history and under each of `versions`, by payer id.

    Reads PAYERS_AT_ONCE payers at a time, so memory stays flat; writes nothing. docs/algorithms/simulation.md
    says what counts in a window.
    """
    simulator = Simulator(versions, window, viewer, costs, left_out)
    for payers in in_chunks(payers_of(cohort, window, viewer), PAYERS_AT_ONCE):
        yield from simulator.run(payers)
