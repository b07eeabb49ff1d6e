"""Billing periods and segments as rows: made when they are first needed, by whoever needs them.

A subscription's first period begins when it starts and its last one ends when it ends; between them
periods follow the version's cycle in the payer's time zone, which a change of version may start anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db import transaction

from pricing.cycles import Cycle, Period
from pricing.models import BillingPeriod, Segment, Subscription
from pricing.terms import terms_of
from pricing.timeline import Run, Timeline, timelines_of

SHORTEST: Final = timedelta(microseconds=1)
"""The life of a subscription that was canceled before it began: a row cannot end when it starts."""


def never_began(subscription: Subscription) -> bool:
    """Whether it was canceled before it began (or in the instant in which it did)."""
    return subscription.ends_at is not None and subscription.ends_at - subscription.starts_at <= SHORTEST


def cycle_of(subscription: Subscription) -> Cycle:
    """The cycle that a subscription's version, anchor and payer give it."""
    terms = terms_of(subscription.version)
    zone = ZoneInfo(subscription.billing_entity.time_zone)
    return Cycle.anchored(terms.interval, terms.anchor, subscription.anchor_at, zone)


def ensure_segments(wanted: Iterable[tuple[int, datetime]]) -> None:
    """Make the period and the segment in which each (subscription id, instant) lies, where missing.

    Instants outside of the subscription are left alone. Any number of callers may ask for the same at
    once. Locks the subscriptions, by (customer, id); four statements when nothing is missing. A pause has
    a period like any other time, but no segment.
    """
    instants: dict[int, set[datetime]] = {}
    for pk, instant in wanted:
        instants.setdefault(pk, set()).add(instant)
    if not instants:
        return
    with transaction.atomic():
        rows = Subscription.objects.filter(pk__in=instants).select_related("version", "billing_entity")
        locked = list(rows.order_by("customer_id", "pk").select_for_update(of=("self",), no_key=True))
        there, timelines = _periods_of(locked), timelines_of(locked)
        new = [
            _period_row(subscription, period)
            for subscription in locked
            for period in _missing(
                subscription,
                timelines[subscription.pk],
                sorted(instants[subscription.pk]),
                there[subscription.pk],
            )
        ]
        BillingPeriod.objects.bulk_create(new, ignore_conflicts=True)
        _make_segments(timelines)


def first_period(subscription: Subscription, timeline: Timeline) -> tuple[BillingPeriod, list[Segment]]:
    """Make the first period and its segments of a subscription that has none; two statements."""
    (period,) = _missing(subscription, timeline, [subscription.starts_at], [])
    row = _period_row(subscription, period)
    row.save()
    segments = [segment_row(row, run) for run in timeline.runs(period)]
    return row, Segment.objects.bulk_create(segments)


def _periods_of(subscriptions: Iterable[Subscription]) -> dict[int, list[Period]]:
    found: dict[int, list[Period]] = {subscription.pk: [] for subscription in subscriptions}
    rows = BillingPeriod.objects.filter(subscription_id__in=found).order_by("starts_at")
    for pk, start, end in rows.values_list("subscription_id", "starts_at", "ends_at"):
        found[pk].append(Period(start, end))
    return found


def _missing(
    subscription: Subscription, timeline: Timeline, instants: Iterable[datetime], there: list[Period]
) -> Iterator[Period]:
    """The periods that hold these instants and do not exist yet; `there` grows by them."""
    restarts = timeline.restarts()
    for instant in instants:
        is_running = subscription.starts_at <= instant and (
            subscription.ends_at is None or instant < subscription.ends_at
        )
        if not is_running or any(period.start <= instant < period.end for period in there):
            continue
        whole = timeline.cycle_at(instant).period_at(instant)
        # A payer whose zone changed must not make periods overlap.
        starts = [subscription.starts_at, whole.start, *(p.end for p in there if p.end <= instant)]
        ends = [whole.end, *(p.start for p in there if p.start > instant)]
        starts += [restart for restart in restarts if restart <= instant]
        ends += [restart for restart in restarts if restart > instant]
        if subscription.ends_at is not None:
            ends.append(subscription.ends_at)
        period = Period(max(starts), min(ends))
        there.append(period)
        yield period


def _period_row(subscription: Subscription, period: Period) -> BillingPeriod:
    return BillingPeriod(
        customer_id=subscription.customer_id,
        subscription=subscription,
        starts_at=period.start,
        ends_at=period.end,
    )


def _make_segments(timelines: Mapping[int, Timeline]) -> None:
    """The segments of each of the subscriptions' periods that has none."""
    bare = BillingPeriod.objects.filter(subscription_id__in=timelines, segments=None)
    Segment.objects.bulk_create(
        [
            segment_row(period, run)
            for period in bare.order_by("customer_id", "subscription_id", "starts_at")
            for run in timelines[period.subscription_id].runs(Period(period.starts_at, period.ends_at))
        ],
        ignore_conflicts=True,
    )


def segment_row(period: BillingPeriod, run: Run) -> Segment:
    """A run of a period as a row that is not stored yet."""
    return Segment(
        customer_id=period.customer_id,
        subscription_id=period.subscription_id,
        version_id=run.version_id,
        period=period,
        starts_at=run.starts_at,
        ends_at=run.ends_at,
    )
