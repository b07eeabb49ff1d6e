"""Making stored periods and segments agree with a timeline that has changed as of an instant.

The caller holds the payer's lock and the subscription's row. What lies before the instant stays as it is;
what was counted after it stays in its segment until the caller has rated it anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from core.errors import Conflict
from pricing.cycles import Period
from pricing.models import BillingPeriod, Counter, Segment, Subscription
from pricing.periods import segment_row
from pricing.timeline import Run, Timeline

CLOSED = BillingPeriod.Status.CLOSED


def reshape_periods(subscription: Subscription, timeline: Timeline, at: datetime) -> list[BillingPeriod]:
    """Cut, split or join what is stored of the subscription from `at` on; gives the periods concerned.

    Raises Conflict when a period from then on is closed (`period_closed`), or when usage is charged or fees
    are booked in a period or a segment that would no longer be there (`usage_after`, `period_booked`).
    """
    rows = BillingPeriod.objects.filter(subscription=subscription, ends_at__gt=at).order_by("starts_at")
    periods = list(rows)
    if any(period.status == CLOSED for period in periods):
        raise Conflict("period_closed", "The billing period of that instant is closed.", "at")
    kept = [period for period in periods if _stays(period, subscription, timeline, at)]
    delete_periods([period for period in periods if period not in kept])
    _set_ends(kept, subscription, timeline)
    segments = Segment.objects.filter(period__in=kept).order_by("starts_at")
    by_period: dict[int, list[Segment]] = {period.pk: [] for period in kept}
    for segment in segments:
        by_period[segment.period_id].append(segment)
    for period in kept:
        runs = timeline.runs(Period(period.starts_at, period.ends_at))
        _reshape_segments(period, runs, by_period[period.pk])
    return kept


def delete_periods(periods: Sequence[BillingPeriod]) -> None:
    """Delete periods that will not be, with their segments; raises Conflict as `reshape_periods`."""
    if any(period.fees_booked_at is not None for period in periods):
        raise Conflict("period_booked", "The fees of a period after that instant are booked already.", "at")
    pks = [period.pk for period in periods]
    _delete_segments(Segment.objects.filter(period__in=pks) if pks else ())
    BillingPeriod.objects.filter(pk__in=pks).delete()


def _stays(period: BillingPeriod, subscription: Subscription, timeline: Timeline, at: datetime) -> bool:
    """Whether a stored period begins where the timeline begins one; that of `at` has begun already."""
    start = period.starts_at
    if subscription.ends_at is not None and start >= subscription.ends_at:
        return False
    begins = timeline.cycle_at(start).period_at(start).start
    return start <= at or start in {begins, *timeline.restarts()}


def _set_ends(periods: Sequence[BillingPeriod], subscription: Subscription, timeline: Timeline) -> None:
    """Let each period end where its cycle, the next one, a new cycle or the subscription ends it."""
    following = [*(period.starts_at for period in periods[1:]), None]
    for period, next_start in zip(periods, following, strict=False):
        start = period.starts_at
        ends = [next_start, subscription.ends_at, *(r for r in timeline.restarts() if r > start)]
        end = min([timeline.cycle_at(start).period_at(start).end, *(end for end in ends if end is not None)])
        if end != period.ends_at:
            period.ends_at = end
            period.save(update_fields=["ends_at"])


def _reshape_segments(period: BillingPeriod, runs: Sequence[Run], there: Iterable[Segment]) -> None:
    stored = {segment.starts_at: segment for segment in there}
    wanted = {run.starts_at: run for run in runs}
    gone = [segment.pk for start, segment in stored.items() if start not in wanted]
    _delete_segments(Segment.objects.filter(pk__in=gone))
    for start, run in wanted.items():
        segment = stored.get(start)
        if segment is None:
            segment_row(period, run).save()
        elif (segment.ends_at, segment.version_id) != (run.ends_at, run.version_id):
            segment.ends_at, segment.version_id = run.ends_at, run.version_id
            segment.save(update_fields=["ends_at", "version"])


def _delete_segments(segments: Iterable[Segment]) -> None:
    rows = list(segments)
    if not rows:
        return
    pks = [segment.pk for segment in rows]
    if Counter.objects.filter(customer_id=rows[0].customer_id, segment_id__in=pks).exists():
        raise Conflict("usage_after", "Usage after that instant is charged already.", "at")
    Segment.objects.filter(pk__in=pks).delete()
