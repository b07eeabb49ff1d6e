"""One side of a comparison over a subscription's running period and its last ones: its own history, or
another version in the place of all of it. Pure but for the usage that a reader fills in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from pricing.cycles import Period
from pricing.simulation.bills import BillLine, SpanJob
from pricing.simulation.candidates import Candidate, SimulatedComponent
from pricing.simulation.changed import Job
from pricing.simulation.courses import Course
from pricing.simulation.projection import lately, project, share_to_come
from pricing.simulation.reading import PayerRow, UsageReader
from pricing.simulation.tallies import Tally

CourseOf = Callable[[Period], Course]
"""From a period to the course that is billed in it."""


@dataclass(frozen=True, slots=True)
class Side:
    """What is billed in `periods`, the running one first; `recent` is the usage of lately, by component.

    `so_far` is the running period up to `now`, as it is known; `whole` all of it, as it is planned.
    """

    periods: Sequence[Period]
    now: datetime
    candidate: Candidate
    so_far: Job
    whole: Job
    last: Sequence[Job]
    recent_from: datetime
    resting: timedelta
    recent: dict[str, Tally] = field(default_factory=dict)

    def lines_so_far(self) -> list[BillLine]:
        """What is charged by now: fees that were due, usage without minimums."""
        return self.so_far.lines_so_far()

    def projected(self) -> list[BillLine]:
        """The lines at the end of the running period, if usage goes on as lately."""
        known = {run.span.start: run for run in _runs(self.so_far)}
        for run in _runs(self.whole):
            for component in run.candidate.components:
                before = known.get(run.span.start)
                tally = Tally(component, run.span.start, run.span.end)
                tally.states = {} if before is None else before.tallies[component.key][0].states
                if run.span.end > self.now:
                    share = self._share(max(run.span.start, self.now), run.span.end)
                    tally.states = project(component, tally.states, self.recent[component.key].states, share)
                run.tallies[component.key] = tally, None
        return self.whole.lines()

    def _share(self, start: datetime, end: datetime) -> Decimal:
        return share_to_come(self.recent_from, self.now, self.now + (end - start), self.resting)


@dataclass(frozen=True, slots=True)
class InsteadOf:
    """A version in the place of all that a course was on. Quantities, pauses, the trial and fees that are
    paid once stay as they were; of a ramp it is the version as it begins."""

    course: Course
    candidate: Candidate
    anchor_at: datetime

    def in_period(self, period: Period) -> Course:
        """The course in one of the old cycle's periods. Where the version has another cycle, its fees count
        by their share of time, whether or not the plan prorates them."""
        first, cycle = self.course.parts[0], self.course.at(period.start).cycle
        kept: dict[str, Any] = {"trial_days": first.candidate.terms.trial_days, "ramps": ()}
        kept["one_off_fees"] = first.candidate.terms.one_off_fees
        instead = self._on(self.candidate.with_terms(**kept))
        if instead.parts[0].cycle == cycle:
            return instead
        fees = tuple(replace(fee, prorate=True) for fee in self.candidate.terms.base_fees)
        return self._on(self.candidate.with_terms(**kept, base_fees=fees))

    def _on(self, candidate: Candidate) -> Course:
        course = self.course.on(candidate, self.anchor_at, self.course.parts[0].starts_at)
        assert course is not None
        return course


@dataclass(slots=True)
class Asked:
    """Collects the tallies of a payer; equal ones are read once."""

    payer: PayerRow
    reader: UsageReader
    now: datetime
    _tallies: dict[tuple[tuple[str, str], datetime, datetime], Tally] = field(default_factory=dict)

    def tally(self, component: SimulatedComponent, start: datetime, end: datetime) -> Tally:
        """The tally of a component and time, which the reader will fill."""
        key = (component.signature, start, end)
        if key not in self._tallies:
            self._tallies[key] = Tally(component, start, end)
            self.reader.want(self.payer, self._tallies[key])
        return self._tallies[key]

    def side(self, periods: Sequence[Period], planned: CourseOf, known: CourseOf) -> Side:
        """What these courses come to in periods, the running one first."""
        running, *earlier = periods
        until = self.now + datetime.resolution  # what was used at this very instant is charged too
        course = planned(running)
        since = course.parts[0].starts_at
        recent_from = lately(running.start, self.now, since)
        candidate = course.at(self.now).candidate
        side = Side(
            periods=periods,
            now=self.now,
            candidate=candidate,
            so_far=known(running).job(running, Period(running.start, until)),
            whole=course.job(running, running),
            last=[planned(period).job(period, period) for period in earlier],
            recent_from=recent_from,
            resting=course.rest(Period(recent_from, self.now)),
            recent={each.key: self.tally(each, recent_from, until) for each in candidate.components},
        )
        for job in (side.so_far, *side.last):
            job.collect(self.tally)
        return side


def _runs(job: Job) -> Sequence[SpanJob]:
    return [job] if isinstance(job, SpanJob) else job.jobs
