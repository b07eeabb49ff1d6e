"""Who was on what: the subscriptions, changes and periods of many payers in a window, in five statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef

from accounts.scoping import Viewer, visible
from pricing.base_fees import Life, trial_end
from pricing.cycles import Cycle, Period
from pricing.fee_schedule import Ending
from pricing.models import BillingPeriod, PlanVersion, Subscription, SubscriptionChange
from pricing.periods import SHORTEST
from pricing.simulation.bills import SpanJob
from pricing.simulation.candidates import Candidate, compile_versions
from pricing.simulation.changed import Job
from pricing.simulation.courses import Course, Part
from pricing.simulation.reading import PayerRow
from pricing.simulation.spans import spans_of
from pricing.timeline import Timeline, timelines_of


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription as simulations see it; `version` is the one that it is on now.

    `timeline`: its changes folded, where there are any; `stored`: the billing periods that were made.
    """

    id: int
    starts_at: datetime
    ends_at: datetime | None
    anchor_at: datetime
    quantities: Mapping[str, Decimal]
    version: Candidate
    ending: Ending = field(default=Ending())
    timeline: Timeline | None = None
    stored: Sequence[Period] = field(default=())

    def life(self, candidate: Candidate, payer: PayerRow, starts_at: datetime | None = None) -> Life:
        """Its life as a subscription to `candidate`."""
        terms = candidate.terms
        cycle = Cycle.anchored(terms.interval, terms.anchor, self.anchor_at, payer.zone)
        return Life(starts_at or self.starts_at, self.ends_at, cycle, self.quantities)

    def course(self, payer: PayerRow, versions: Versions) -> Course:
        """What it went through."""
        if self.timeline is None:
            life = self.life(self.version, payer)
            part = Part(self.starts_at, self.ends_at, self.version, self.quantities, life.cycle)
            trial_ends_at = trial_end(self.version.terms, life)
            return Course((part,), self.ending, trial_ends_at, stored=self.stored)
        known = versions.of({span.version.pk for span in self.timeline.spans})
        parts = tuple(
            Part(
                span.starts_at,
                span.ends_at,
                known[span.version.pk],
                span.quantities,
                self.timeline.cycle_of(span),
                span.is_paused,
            )
            for span in self.timeline.spans
        )
        restarts = tuple(self.timeline.restarts())
        return Course(parts, self.ending, self.timeline.trial_ends_at(), restarts, self.stored)


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
    viewer: Viewer,
    payers: Sequence[PayerRow],
    window: Period,
    versions: Versions,
    *,
    periods_in: Period | None = None,
) -> dict[int, list[SubscriptionRow]]:
    """The subscriptions of payers that share an instant with the window, by payer, oldest first.

    `periods_in`: where the periods that were made are looked at; default the window.
    """
    rows = visible(Subscription, viewer).filter(
        customer_id__in={payer.customer_id for payer in payers},
        billing_entity_id__in=[payer.id for payer in payers],
        starts_at__lt=window.end,
    )
    columns = ("billing_entity_id", "id", "starts_at", "ends_at", "anchor_at", "quantities", "version_id")
    named = rows.order_by("starts_at", "id").values_list(
        *columns, "canceled_at", "credits_unused", named=True
    )
    found = [
        row
        for row in named
        if row.ends_at is None or (row.ends_at > window.start and row.ends_at - row.starts_at > SHORTEST)
    ]
    ids = [row.id for row in found]
    stored, timelines = _read_periods(viewer, ids, periods_in or window), _read_timelines(viewer, ids)
    spans = [span for timeline in timelines.values() for span in timeline.spans]
    known = versions.of({row.version_id for row in found} | {span.version.pk for span in spans})
    by_payer: defaultdict[int, list[SubscriptionRow]] = defaultdict(list)
    for row in found:
        kept = SubscriptionRow(
            id=row.id,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            anchor_at=row.anchor_at,
            quantities={key: Decimal(quantity) for key, quantity in row.quantities.items()},
            version=known[row.version_id],
            ending=Ending(row.ends_at, row.canceled_at, row.credits_unused),
            timeline=timelines.get(row.id),
            stored=stored.get(row.id, ()),
        )
        by_payer[row.billing_entity_id].append(kept)
    return by_payer


def own_jobs(subscription: SubscriptionRow, payer: PayerRow, window: Period, versions: Versions) -> list[Job]:
    """What the subscription was really on: its versions, quantities and pauses, period by period."""
    return list(subscription.course(payer, versions).jobs(window))


def candidate_jobs(
    subscription: SubscriptionRow,
    candidate: Candidate,
    payer: PayerRow,
    window: Period,
    since: datetime,
    versions: Versions,
) -> list[Job]:
    """What `candidate` would have been in the subscription's place; from `since` on, if it began earlier.

    Quantities and pauses stay as they were.
    """
    if _is_simple(subscription, candidate):
        life = subscription.life(candidate, payer, max(subscription.starts_at, since))
        return [SpanJob(candidate, life, span) for span in spans_of(life, window)]
    course = subscription.course(payer, versions).on(candidate, subscription.anchor_at, since)
    return [] if course is None else list(course.jobs(window))


def _is_simple(subscription: SubscriptionRow, candidate: Candidate) -> bool:
    """Whether it is the same candidate from start to end, which is quickly said."""
    is_cut = subscription.ending.canceled_at is not None and not subscription.ending.credits_unused
    is_plain = not candidate.terms.one_off_fees and not candidate.phases
    return subscription.timeline is None and not is_cut and is_plain


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


def _read_periods(viewer: Viewer, subscription_ids: Sequence[int], window: Period) -> dict[int, list[Period]]:
    """The billing periods that were made, in and around the window."""
    if not subscription_ids:
        return {}
    rows = visible(BillingPeriod, viewer).filter(
        subscription_id__in=subscription_ids, starts_at__lte=window.end, ends_at__gte=window.start
    )
    found: dict[int, list[Period]] = {}
    columns = ("subscription_id", "starts_at", "ends_at")
    for pk, starts_at, ends_at in rows.order_by("starts_at").values_list(*columns):
        found.setdefault(pk, []).append(Period(starts_at, ends_at))
    return found


def _read_timelines(viewer: Viewer, subscription_ids: Sequence[int]) -> dict[int, Timeline]:
    """The timelines of those to which something was done; two statements."""
    if not subscription_ids:
        return {}
    rows = visible(Subscription, viewer).filter(pk__in=subscription_ids)
    rows = rows.filter(Exists(SubscriptionChange.objects.filter(subscription_id=OuterRef("pk"))))
    return timelines_of(rows.select_related("version", "billing_entity"))
