"""Who was on what: the subscriptions and segments of many payers in a window, in three statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from accounts.scoping import Viewer, visible
from pricing.base_fees import Life
from pricing.cycles import Cycle, Period
from pricing.models import PlanVersion, Segment, Subscription
from pricing.periods import SHORTEST
from pricing.simulation.bills import SpanJob
from pricing.simulation.candidates import Candidate, compile_versions
from pricing.simulation.reading import PayerRow
from pricing.simulation.spans import cut, gaps_between, spans_of


class SegmentRow(NamedTuple):
    """A stored segment; `opens`: it begins its billing period."""

    version_id: int
    starts_at: datetime
    ends_at: datetime
    opens: bool


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription as simulations see it; `version` is the one that it is on now."""

    id: int
    starts_at: datetime
    ends_at: datetime | None
    anchor_at: datetime
    quantities: Mapping[str, Decimal]
    version: Candidate
    segments: Sequence[SegmentRow] = field(default=())

    def life(self, candidate: Candidate, payer: PayerRow, starts_at: datetime | None = None) -> Life:
        """Its life as a subscription to `candidate`."""
        terms = candidate.terms
        cycle = Cycle.anchored(terms.interval, terms.anchor, self.anchor_at, payer.zone)
        return Life(starts_at or self.starts_at, self.ends_at, cycle, self.quantities)


class Versions:
    """Compiled versions by id, read when they are first met; a published one never changes."""

    def __init__(self) -> None:
        self._known: dict[int, Candidate] = {}

    def of(self, ids: Iterable[int]) -> dict[int, Candidate]:
        """The candidates of these versions."""
        missing = set(ids) - self._known.keys()
        if missing:
            rows = PlanVersion.objects.filter(pk__in=missing).select_related("plan")
            for candidate in compile_versions(rows):
                assert candidate.version_id is not None
                self._known[candidate.version_id] = candidate
        return self._known


def read_subscriptions(
    viewer: Viewer, payers: Sequence[PayerRow], window: Period, versions: Versions
) -> dict[int, list[SubscriptionRow]]:
    """The subscriptions of payers that share an instant with the window, by payer, oldest first."""
    rows = visible(Subscription, viewer).filter(
        customer_id__in={payer.customer_id for payer in payers},
        billing_entity_id__in=[payer.id for payer in payers],
        starts_at__lt=window.end,
    )
    columns = ("billing_entity_id", "id", "starts_at", "ends_at", "anchor_at", "quantities", "version_id")
    found = [
        row
        for row in rows.order_by("starts_at", "id").values_list(*columns)
        if row[3] is None or (row[3] > window.start and row[3] - row[2] > SHORTEST)
    ]
    segments = _read_segments(viewer, [row[1] for row in found], window)
    known = versions.of(
        {row[6] for row in found} | {each.version_id for rows in segments.values() for each in rows}
    )
    by_payer: defaultdict[int, list[SubscriptionRow]] = defaultdict(list)
    for payer_id, pk, starts_at, ends_at, anchor_at, quantities, version_id in found:
        kept = {key: Decimal(quantity) for key, quantity in quantities.items()}
        by_payer[payer_id].append(
            SubscriptionRow(pk, starts_at, ends_at, anchor_at, kept, known[version_id], segments.get(pk, ()))
        )
    return by_payer


def own_jobs(
    subscription: SubscriptionRow, payer: PayerRow, window: Period, versions: Versions
) -> list[SpanJob]:
    """What the subscription was really on: its segments, and its version where none was made yet."""
    jobs = []
    for segment in subscription.segments:
        candidate = versions.of({segment.version_id})[segment.version_id]
        life = subscription.life(candidate, payer)
        whole = life.cycle.period_at(segment.starts_at)
        span = cut(whole, segment.starts_at, segment.ends_at, window)
        if span is not None:
            jobs.append(SpanJob(candidate, life, span, segment.opens))
    taken = [Period(each.starts_at, each.ends_at) for each in subscription.segments]
    life = subscription.life(subscription.version, payer)
    # Whole periods, beyond the window's ends too: what a span is decides how it is rated.
    around = _around(life, window)
    for gap in gaps_between(taken, around) if around is not None else ():
        part = Life(gap.start, gap.end, life.cycle, life.quantities)
        jobs += [SpanJob(subscription.version, life, span) for span in spans_of(part, window)]
    return sorted(jobs, key=lambda job: job.span.start)


def candidate_jobs(
    subscription: SubscriptionRow, candidate: Candidate, payer: PayerRow, window: Period, since: datetime
) -> list[SpanJob]:
    """What `candidate` would have been in the subscription's place; from `since` on, if it began earlier."""
    life = subscription.life(candidate, payer, max(subscription.starts_at, since))
    return [SpanJob(candidate, life, span) for span in spans_of(life, window)]


def replaced_by(candidate: Candidate, subscriptions: Sequence[SubscriptionRow]) -> list[SubscriptionRow]:
    """The subscriptions in whose place a version is simulated.

    Those to its plan, to its family, or that price one of its meters; without any, all of the payer's.
    """
    terms = candidate.terms
    found = [
        row
        for row in subscriptions
        if row.version.terms.key == terms.key
        or (terms.family and row.version.terms.family == terms.family)
        or row.version.meters & candidate.meters
    ]
    return found or list(subscriptions)


def _read_segments(
    viewer: Viewer, subscription_ids: Sequence[int], window: Period
) -> dict[int, list[SegmentRow]]:
    if not subscription_ids:
        return {}
    rows = visible(Segment, viewer).filter(
        subscription_id__in=subscription_ids, starts_at__lt=window.end, ends_at__gt=window.start
    )
    columns = ("subscription_id", "version_id", "starts_at", "ends_at", "period__starts_at")
    found: dict[int, list[SegmentRow]] = {}
    for pk, version_id, starts_at, ends_at, opened_at in rows.order_by("starts_at").values_list(*columns):
        found.setdefault(pk, []).append(SegmentRow(version_id, starts_at, ends_at, starts_at == opened_at))
    return found


def _around(life: Life, window: Period) -> Period | None:
    """The whole periods of a life that the window touches."""
    start = max(life.starts_at, window.start)
    end = window.end if life.ends_at is None else min(life.ends_at, window.end)
    if start >= end:
        return None
    periods = list(life.cycle.periods_between(start, end))
    last = periods[-1].end if life.ends_at is None else min(periods[-1].end, life.ends_at)
    return Period(max(periods[0].start, life.starts_at), last)
