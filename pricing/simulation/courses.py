"""What a subscription went through (versions, quantities, pauses), and its periods as jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from pricing.base_fees import Life, trial_end
from pricing.cycles import Cycle, Period
from pricing.fee_schedule import Ending, FeeSpan, advance_until, one_off_fees
from pricing.simulation.bills import SpanJob
from pricing.simulation.candidates import Candidate
from pricing.simulation.changed import ChangedPeriod, Job
from pricing.simulation.spans import cut


@dataclass(frozen=True, slots=True)
class Part:
    """`[starts_at, ends_at)` of a subscription's life in which nothing changes; no end: it goes on."""

    starts_at: datetime
    ends_at: datetime | None
    candidate: Candidate
    quantities: Mapping[str, Decimal]
    cycle: Cycle
    is_paused: bool = False

    def within(self, period: Period) -> Period | None:
        """What of the period falls into this part."""
        start = max(self.starts_at, period.start)
        end = period.end if self.ends_at is None else min(self.ends_at, period.end)
        return Period(start, end) if start < end else None


@dataclass(frozen=True, slots=True)
class Course:
    """All parts of a subscription's life, in order. `stored`: the billing periods that were made."""

    parts: tuple[Part, ...]
    ending: Ending
    trial_ends_at: datetime
    restarts: tuple[datetime, ...] = ()
    stored: Sequence[Period] = ()

    def on(self, candidate: Candidate, anchor_at: datetime, since: datetime) -> Course | None:
        """The same life on one version, from `since` on; None when it is over by then."""
        terms, zone = candidate.terms, self.parts[0].cycle.zone
        cycle = Cycle.anchored(terms.interval, terms.anchor, anchor_at, zone)
        parts = tuple(
            replace(part, starts_at=max(part.starts_at, since), candidate=candidate, cycle=cycle)
            for part in self.parts
            if part.ends_at is None or part.ends_at > since
        )
        if not parts:
            return None
        life = Life(parts[0].starts_at, self.ending.ends_at, cycle, {})
        return Course(parts, self.ending, trial_end(terms, life))

    def at(self, instant: datetime) -> Part:
        """The part that holds the instant; before the start the first one."""
        return next((part for part in reversed(self.parts) if part.starts_at <= instant), self.parts[0])

    def jobs(self, window: Period) -> Iterator[Job]:
        """One job for each billing period that the window touches, in order."""
        for period in self._periods(window):
            yield self._plain(period, window) or self._changed(period, window)

    def _periods(self, window: Period) -> Iterator[Period]:
        """As they were made, and where none was made yet by the cycle."""
        begins, ends = self.parts[0].starts_at, self.ending.ends_at
        instant = max(window.start, begins)
        last = window.end if ends is None else min(window.end, ends)
        while instant < last:
            period = next((p for p in self.stored if p.start <= instant < p.end), None)
            if period is None:
                whole = self.at(instant).cycle.period_at(instant)
                bounds = [*self.restarts, *([] if ends is None else [ends])]
                starts = [begins, *bounds, *(p.end for p in self.stored)]
                stops = [*bounds, *(p.start for p in self.stored)]
                period = Period(
                    max([whole.start, *(each for each in starts if each <= instant)]),
                    min([whole.end, *(each for each in stops if each > instant)]),
                )
            yield period
            instant = period.end

    def _plain(self, period: Period, window: Period) -> SpanJob | None:
        """The job of a period in which nothing happened."""
        part = self.at(period.start)
        if part.is_paused or part.within(period) != period or self._has_extras(period, part):
            return None
        life = Life(self.parts[0].starts_at, self.ending.ends_at, part.cycle, part.quantities)
        span = cut(part.cycle.period_at(period.start), period.start, period.end, window)
        return None if span is None else SpanJob(part.candidate, life, span)

    def _has_extras(self, period: Period, part: Part) -> bool:
        """Whether there is a trial of another version, a fee paid once, or one paid beyond the end."""
        is_own_trial = part.candidate is self.parts[0].candidate
        if not is_own_trial and (part.candidate.terms.trial_days or self.trial_ends_at > period.start):
            return True
        first = self.parts[0]
        once = one_off_fees(first.candidate.terms, first.starts_at, period, self.trial_ends_at)
        return bool(once) or self._advance_until(period) != period.end

    def _advance_until(self, period: Period) -> datetime:
        return advance_until(period, self.trial_ends_at, self.at(period.start).cycle, self.ending)

    def _changed(self, period: Period, window: Period) -> ChangedPeriod:
        first = self.parts[0]
        return ChangedPeriod(
            period=period,
            window=window,
            spans=[_fee_span(part, self.ending) for part in self.parts if not part.is_paused],
            once=one_off_fees(first.candidate.terms, first.starts_at, period, self.trial_ends_at),
            trial_ends_at=self.trial_ends_at,
            ends_at=self.ending.ends_at,
            advance_until=self._advance_until(period),
            jobs=list(self._runs(period, window)),
        )

    def _runs(self, period: Period, window: Period) -> Iterator[SpanJob]:
        """What is rated as one: parts on the same version that follow each other."""
        runs: list[tuple[Part, Period]] = []
        for part in self.parts:
            taken = part.within(period)
            if taken is None or part.is_paused:
                continue
            if runs and runs[-1][0].candidate is part.candidate and runs[-1][1].end == taken.start:
                runs[-1] = (runs[-1][0], Period(runs[-1][1].start, taken.end))
            else:
                runs.append((part, taken))
        for part, run in runs:
            span = cut(part.cycle.period_at(run.start), run.start, run.end, window)
            life = Life(self.parts[0].starts_at, self.ending.ends_at, part.cycle, part.quantities)
            if span is not None:
                yield SpanJob(part.candidate, life, span, paid_from=self.trial_ends_at)


def _fee_span(part: Part, ending: Ending) -> FeeSpan:
    ends_at = None if part.ends_at == ending.ends_at else part.ends_at
    return FeeSpan(part.starts_at, ends_at, part.candidate.terms, part.quantities, part.cycle)
