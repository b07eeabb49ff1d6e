"""What a payer pays and would pay: the running period, its projection and the last ones, under both versions.

For the subscription's version of now and the one that is coming (or any hypothetical one), line by line.
Reads, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.models import BillingEntity
from accounts.scoping import Viewer
from core.numbers import CONTEXT, ZERO
from pricing.base_fees import Life
from pricing.cycles import Period
from pricing.simulation.bills import BillLine, SpanJob, total_of
from pricing.simulation.candidates import Candidate, SimulatedComponent, compile_versions
from pricing.simulation.coming import ComingReader, coming_changes
from pricing.simulation.history import SubscriptionRow, Versions, read_subscriptions, replaced_by
from pricing.simulation.projection import lately, project, share_to_come
from pricing.simulation.reading import PayerRow, UsageReader
from pricing.simulation.simulating import LeftOutReader, none_left_out
from pricing.simulation.spans import Span
from pricing.simulation.tallies import Tally

LAST_PERIODS: Final = 3
EVENTS_MAX: Final = 500_000


class LinePair(NamedTuple):
    """A line under both versions; None where a version has no such line."""

    key: str
    current: BillLine | None
    upcoming: BillLine | None

    @property
    def difference(self) -> Decimal:
        """What the upcoming version charges more for it."""
        new, old = (line.amount if line else ZERO for line in (self.upcoming, self.current))
        return CONTEXT.subtract(new, old)


@dataclass(frozen=True, slots=True)
class Statement:
    """What `[start, end)` comes to under both versions; `upcoming` None: nothing is coming."""

    start: datetime
    end: datetime
    lines: tuple[LinePair, ...]
    current: Decimal
    upcoming: Decimal | None

    @property
    def difference(self) -> Decimal | None:
        """What the upcoming version charges more in all."""
        return None if self.upcoming is None else CONTEXT.subtract(self.upcoming, self.current)


@dataclass(frozen=True, slots=True)
class UpcomingSubscription:
    """One subscription. `effective_at` None: the upcoming version is hypothetical, or there is none.

    `so_far` is what is charged by now: usage, and fees that were due; `projection` the whole period with
    arrears fees and minimums; `last` the periods before, the latest first.
    """

    id: int
    plan: str
    current: Candidate
    upcoming: Candidate | None
    effective_at: datetime | None
    so_far: Statement
    projection: Statement
    last: tuple[Statement, ...]


@dataclass(slots=True)
class _Side:
    """One version over the running period and the last ones."""

    candidate: Candidate
    life: Life
    now: datetime
    running: SpanJob
    last: list[SpanJob]
    recent: dict[str, Tally] = field(default_factory=dict)

    def projected(self) -> list[BillLine]:
        """The lines at the end of the running period."""
        span = self.running.span
        job = SpanJob(self.candidate, self.life, replace(span, until=span.end))
        start = lately(span.start, self.now, self.life.starts_at)
        share = share_to_come(start, self.now, span.end)
        for key, (so_far, _) in self.running.tallies.items():
            states = project(so_far.component, so_far.states, self.recent[key].states, share)
            job.tallies[key] = Tally(so_far.component, span.start, span.end, states), None
        return job.lines()


@dataclass(slots=True)
class _Asked:
    """Collects the tallies of a payer; equal ones are read once."""

    payer: PayerRow
    reader: UsageReader
    _tallies: dict[tuple[tuple[str, str], datetime, datetime], Tally] = field(default_factory=dict)

    def tally(self, component: SimulatedComponent, start: datetime, end: datetime) -> Tally:
        """The tally of a component and time, which the reader will fill."""
        key = (component.signature, start, end)
        if key not in self._tallies:
            self._tallies[key] = Tally(component, start, end)
            self.reader.want(self.payer, self._tallies[key])
        return self._tallies[key]

    def side(self, candidate: Candidate, life: Life, periods: Sequence[Span], now: datetime) -> _Side:
        """One version over periods, the running one first."""
        jobs = [SpanJob(candidate, life, _of_cycle(life, span)) for span in periods]
        side = _Side(candidate, life, now, jobs[0], jobs[1:])
        for job in jobs:
            job.collect(self.tally)
        start = lately(periods[0].start, now, life.starts_at)
        side.recent = {each.key: self.tally(each, start, now) for each in candidate.components}
        return side


def upcoming_of(
    entity: BillingEntity,
    viewer: Viewer,
    now: datetime,
    *,
    hypothetical: Candidate | None = None,
    coming: ComingReader = coming_changes,
    left_out: LeftOutReader = none_left_out,
) -> list[UpcomingSubscription]:
    """The payer's running subscriptions, oldest first; a fixed number of statements, however many there are.

    With `hypothetical`, that version stands for the upcoming one of the subscriptions it would replace
    (`history.replaced_by`). The caller has looked up `entity` through `viewer`. Raises TooLarge beyond
    500,000 events to be read, which only prices of single events ask for.
    """
    payer = PayerRow(entity.pk, entity.customer_id, entity.currency, ZoneInfo(entity.time_zone))
    just_now = Period(now - datetime.resolution, now + datetime.resolution)
    with transaction.atomic():
        reader = UsageReader(events_max=EVENTS_MAX)
        asked = _Asked(payer, reader)
        rows = _running(read_subscriptions(viewer, [payer], just_now, Versions()).get(payer.id, []), now)
        changed = _changes(rows, now, hypothetical, coming)
        pairs = [(row, *_sides(asked, row, changed[row.id][0], now)) for row in rows]
        starts = [job.span.start for _, old, _ in pairs for job in (old.running, *old.last)]
        reader.left_out = frozenset(left_out([payer], Period(min(starts, default=now), now)))
        reader.read()
    return [_shown(row, old, new, changed[row.id][1], now) for row, old, new in pairs]


def _running(rows: Sequence[SubscriptionRow], now: datetime) -> list[SubscriptionRow]:
    return [row for row in rows if row.starts_at <= now and (row.ends_at is None or row.ends_at > now)]


def _changes(
    rows: Sequence[SubscriptionRow],
    now: datetime,
    hypothetical: Candidate | None,
    coming: ComingReader,
) -> dict[int, tuple[Candidate | None, datetime | None]]:
    """What is coming for each subscription, and when."""
    if hypothetical is not None:
        replaced = {row.id for row in replaced_by(hypothetical, rows)}
        return {row.id: (hypothetical if row.id in replaced else None, None) for row in rows}
    found = coming([row.id for row in rows], now)
    versions = {change.version.pk: change.version for change in found.values()}
    compiled = {candidate.version_id: candidate for candidate in compile_versions(versions.values())}
    return {row.id: (None, None) for row in rows} | {
        pk: (compiled[change.version.pk], change.effective_at) for pk, change in found.items()
    }


def _sides(
    asked: _Asked, row: SubscriptionRow, upcoming: Candidate | None, now: datetime
) -> tuple[_Side, _Side | None]:
    life = row.life(row.version, asked.payer)
    periods = list(_periods(life, now))
    old = asked.side(row.version, life, periods, now)
    if upcoming is None:
        return old, None
    new_life = row.life(upcoming, asked.payer)
    if new_life.cycle != life.cycle:
        upcoming = _by_share(upcoming)
    return old, asked.side(upcoming, new_life, periods, now)


def _periods(life: Life, now: datetime) -> Iterator[Span]:
    """The running period up to now, then the last ones, the latest first."""
    whole = life.cycle.period_at(now)
    start, end = max(whole.start, life.starts_at), whole.end
    if life.ends_at is not None:
        end = min(end, life.ends_at)
    yield Span(whole, start, end, start, now)
    for _ in range(LAST_PERIODS):
        if start <= life.starts_at:
            return
        whole = life.cycle.period_at(start - datetime.resolution)
        end, start = start, max(whole.start, life.starts_at)
        yield Span(whole, start, end, start, end)


def _of_cycle(life: Life, span: Span) -> Span:
    """The same time, as a part of the cycle of another version."""
    return replace(span, whole=life.cycle.period_at(span.start))


def _by_share(candidate: Candidate) -> Candidate:
    """With another cycle a fee is compared by its share of time, whether or not the plan prorates it."""
    fees = tuple(replace(fee, prorate=True) for fee in candidate.terms.base_fees)
    return replace(candidate, terms=replace(candidate.terms, base_fees=fees))


def _shown(
    row: SubscriptionRow, old: _Side, new: _Side | None, effective_at: datetime | None, now: datetime
) -> UpcomingSubscription:
    span = old.running.span
    last = []
    for number, job in enumerate(old.last):
        lines = None if new is None else new.last[number].lines()
        last.append(_statement(job.span.start, job.span.end, job.lines(), lines))
    return UpcomingSubscription(
        id=row.id,
        plan=row.version.terms.key,
        current=row.version,
        upcoming=None if new is None else new.candidate,
        effective_at=effective_at,
        so_far=_statement(
            span.start, now, old.running.lines_so_far(), None if new is None else new.running.lines_so_far()
        ),
        projection=_statement(
            span.start, span.end, old.projected(), None if new is None else new.projected()
        ),
        last=tuple(last),
    )


def _statement(
    start: datetime, end: datetime, current: list[BillLine], upcoming: list[BillLine] | None
) -> Statement:
    old = {line.key: line for line in current}
    new = {line.key: line for line in upcoming or ()}
    keys = [*new, *(key for key in old if key not in new)] if upcoming is not None else list(old)
    pairs = tuple(LinePair(key, old.get(key), new.get(key)) for key in keys)
    return Statement(start, end, pairs, total_of(current), None if upcoming is None else total_of(upcoming))
