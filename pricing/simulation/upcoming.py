"""What a payer pays and would pay: the running period, its projection and the last ones, line by line.

What it really was on (versions, quantities, pauses) beside the version that is coming, or any hypothetical
one. Reads, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction

from accounts.models import BillingEntity
from accounts.scoping import Viewer
from core.numbers import CONTEXT, ZERO
from pricing.cycles import Period
from pricing.simulation.bills import BillLine, merged, total_of
from pricing.simulation.candidates import Candidate, compile_versions
from pricing.simulation.coming import ComingReader, coming_changes
from pricing.simulation.courses import Course
from pricing.simulation.history import SubscriptionRow, Versions, read_subscriptions, replaced_by
from pricing.simulation.reading import PayerRow, UsageReader
from pricing.simulation.sides import Asked, InsteadOf, Side
from pricing.simulation.simulating import LeftOutReader, none_left_out

LAST_PERIODS: Final = 3
HISTORY: Final = timedelta(days=366) * (LAST_PERIODS + 1)
"""How far back the periods that are shown may reach: those of a yearly cycle."""

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
        asked = Asked(payer, reader, now)
        versions, looked_at = Versions(), Period(now - HISTORY, now)
        found = read_subscriptions(viewer, [payer], just_now, versions, periods_in=looked_at)
        rows = _running(found.get(payer.id, []), now)
        changed = _changes(rows, now, hypothetical, coming)
        pairs = [(row, *_sides(asked, row, versions, changed[row.id][0], now)) for row in rows]
        starts = [old.periods[-1].start for _, old, _ in pairs]
        reader.left_out = frozenset(left_out([payer], Period(min(starts, default=now), now)))
        reader.read()
    return [_shown(row, old, new, *changed[row.id], now) for row, old, new in pairs]


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
    asked: Asked, row: SubscriptionRow, versions: Versions, upcoming: Candidate | None, now: datetime
) -> tuple[Side, Side | None]:
    course = row.course(asked.payer, versions)
    planned, known = course.on_todays_version(now), course.without_plans(now)
    periods = list(_periods(planned, now))
    old = asked.side(periods, lambda period: planned, lambda period: known)
    if upcoming is None:
        return old, None
    instead = InsteadOf(planned, upcoming, row.anchor_at), InsteadOf(known, upcoming, row.anchor_at)
    return old, asked.side(periods, instead[0].in_period, instead[1].in_period)


def _periods(course: Course, now: datetime) -> Iterator[Period]:
    """The running period, then the last ones, the latest first."""
    period = course.period_at(now)
    yield period
    for _ in range(LAST_PERIODS):
        if period.start <= course.parts[0].starts_at:
            return
        period = course.period_at(period.start - datetime.resolution)
        yield period


def _shown(
    row: SubscriptionRow,
    old: Side,
    new: Side | None,
    upcoming: Candidate | None,
    effective_at: datetime | None,
    now: datetime,
) -> UpcomingSubscription:
    running, *earlier = old.periods
    last = [
        _statement(period, old.last[at].lines(), None if new is None else new.last[at].lines())
        for at, period in enumerate(earlier)
    ]
    so_far = Period(running.start, now)
    return UpcomingSubscription(
        id=row.id,
        plan=old.candidate.terms.key,
        current=old.candidate,
        upcoming=upcoming,
        effective_at=effective_at,
        so_far=_statement(so_far, old.lines_so_far(), None if new is None else new.lines_so_far()),
        projection=_statement(running, old.projected(), None if new is None else new.projected()),
        last=tuple(last),
    )


def _statement(period: Period, current: list[BillLine], upcoming: list[BillLine] | None) -> Statement:
    old = {line.key: line for line in merged(current)}
    new = {line.key: line for line in merged(upcoming or ())}
    keys = [*new, *(key for key in old if key not in new)] if upcoming is not None else list(old)
    pairs = tuple(LinePair(key, old.get(key), new.get(key)) for key in keys)
    return Statement(*period, pairs, total_of(current), None if upcoming is None else total_of(upcoming))
