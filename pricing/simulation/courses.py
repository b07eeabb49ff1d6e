"""What a subscription went through (versions, quantities, pauses), and its periods as jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from pricing.base_fees import Life, trial_end
from pricing.cycles import Cycle, Period
from pricing.fee_schedule import Ending, FeeSpan, advance_until, one_off_fees
from pricing.ramps import phase_starts
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
        """The same life on one version, from `since` on; None when it is over by then.

        The phases of a ramp come as if the subscription had come to the version when that life began.
        """
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
        in_phases = tuple(_in_phases(parts, candidate, zone)) if candidate.phases else parts
        return Course(in_phases, self.ending, trial_end(terms, life))

    def without_plans(self, now: datetime) -> Course:
        """The course as it stands at `now`: nothing that is scheduled for later has come, and what a planned
        end will give back has not gone back."""
        parts = [part for part in self.parts if part.starts_at <= now] or [self.parts[0]]
        parts[-1] = replace(parts[-1], ends_at=self.ending.ends_at)
        ending = self.ending
        if ending.ends_at is not None and ending.ends_at > now:
            ending = ending._replace(credits_unused=False)
        return replace(self, parts=tuple(parts), ending=ending, **self._behind(now))

    def on_todays_version(self, now: datetime) -> Course:
        """The course if no other version came after `now`: planned pauses and quantities do."""
        held = self.at(now)
        parts = tuple(
            part if part.starts_at <= now else replace(part, candidate=held.candidate, cycle=held.cycle)
            for part in self.parts
        )
        return replace(self, parts=parts, **self._behind(now))

    def _behind(self, now: datetime) -> dict[str, Any]:
        """What of new cycles and of periods that were made lies behind."""
        return {
            "restarts": tuple(restart for restart in self.restarts if restart <= now),
            "stored": [period for period in self.stored if period.end <= now],
        }

    def rest(self, period: Period) -> timedelta:
        """How long of a period it was paused."""
        paused = [part.within(period) for part in self.parts if part.is_paused]
        return sum((each.end - each.start for each in paused if each is not None), timedelta())

    def at(self, instant: datetime) -> Part:
        """The part that holds the instant; before the start the first one."""
        return next((part for part in reversed(self.parts) if part.starts_at <= instant), self.parts[0])

    def jobs(self, window: Period) -> Iterator[Job]:
        """One job for each billing period that the window touches, in order."""
        begins, ends = self.parts[0].starts_at, self.ending.ends_at
        instant = max(window.start, begins)
        last = window.end if ends is None else min(window.end, ends)
        while instant < last:
            period = self.period_at(instant)
            yield self.job(period, window)
            instant = period.end

    def job(self, period: Period, window: Period) -> Job:
        """What a billing period comes to, as far as the window has a part of it."""
        return self._plain(period, window) or self._changed(period, window)

    def period_at(self, instant: datetime) -> Period:
        """The billing period that holds the instant: as it was made, and where none was made by the cycle."""
        period = next((p for p in self.stored if p.start <= instant < p.end), None)
        if period is not None:
            return period
        begins, ends = self.parts[0].starts_at, self.ending.ends_at
        whole = self.at(instant).cycle.period_at(instant)
        bounds = [*self.restarts, *([] if ends is None else [ends])]
        starts = [begins, *bounds, *(p.end for p in self.stored)]
        stops = [*bounds, *(p.start for p in self.stored)]
        return Period(
            max([whole.start, *(each for each in starts if each <= instant)]),
            min([whole.end, *(each for each in stops if each > instant)]),
        )

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


def _in_phases(parts: Sequence[Part], candidate: Candidate, zone: ZoneInfo) -> Iterator[Part]:
    """The parts, cut where a phase of the candidate's ramp begins."""
    starts = phase_starts(candidate.terms, parts[0].starts_at, zone)
    for part in parts:
        inside = [at for at in starts if part.starts_at < at and (part.ends_at is None or at < part.ends_at)]
        for begins, ends in pairwise([part.starts_at, *inside, part.ends_at]):
            assert begins is not None
            number = sum(at <= begins for at in starts)
            held = candidate.phases[number - 1] if number else candidate
            yield replace(part, starts_at=begins, ends_at=ends, candidate=held)


def _fee_span(part: Part, ending: Ending) -> FeeSpan:
    ends_at = None if part.ends_at == ending.ends_at else part.ends_at
    return FeeSpan(part.starts_at, ends_at, part.candidate.terms, part.quantities, part.cycle)
