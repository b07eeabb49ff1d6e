"""Making stored periods and segments agree with a timeline that has changed as of an instant.

The caller holds the payer's lock and the subscription's row. What lies before the instant stays as it is;
what was counted after it stays in its segment until the caller has rated it anew. Many subscriptions at once
take as many statements as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from core.errors import Conflict
from pricing.cycles import Period
from pricing.locked import CLOSED, Locked
from pricing.models import BillingPeriod, Counter, Segment
from pricing.periods import segment_row
from pricing.timeline import Run, Timeline


@dataclass(slots=True)
class _Writes:
    """What is to become of the rows."""

    gone_periods: list[BillingPeriod] = field(default_factory=list)
    gone_segments: list[Segment] = field(default_factory=list)
    ends: list[BillingPeriod] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)


def reshape_periods(wanted: Iterable[tuple[Locked, Timeline, datetime]]) -> dict[int, list[BillingPeriod]]:
    """Cut, split or join what is stored of subscriptions from an instant on; gives the periods concerned.

    Raises Conflict when a period from then on is closed (`period_closed`), or when usage is charged or fees
    are booked in a period or a segment that would no longer be there (`usage_after`, `period_booked`).
    """
    writes, found = _Writes(), {}
    for locked, timeline, at in wanted:
        found[locked.row.pk] = _reshape(locked, timeline, at, writes)
    _write(writes)
    return found


def delete_periods(locked: Locked) -> None:
    """Delete all periods of a subscription, with their segments; raises Conflict as `reshape_periods`."""
    writes = _Writes()
    _delete(locked, list(locked.periods), writes)
    _write(writes)


def _reshape(locked: Locked, timeline: Timeline, at: datetime, writes: _Writes) -> list[BillingPeriod]:
    periods = [period for period in locked.periods if period.ends_at > at]
    if any(period.status == CLOSED for period in periods):
        raise Conflict("period_closed", "The billing period of that instant is closed.", "at")
    kept = [period for period in periods if _stays(period, locked, timeline, at)]
    _delete(locked, [period for period in periods if period not in kept], writes)
    writes.ends += _set_ends(kept, locked, timeline)
    for period in kept:
        runs = timeline.runs(Period(period.starts_at, period.ends_at))
        _reshape_segments(locked, period, runs, writes)
    return kept


def _delete(locked: Locked, periods: Sequence[BillingPeriod], writes: _Writes) -> None:
    if any(period.fees_booked_at is not None for period in periods):
        raise Conflict("period_booked", "The fees of a period after that instant are booked already.", "at")
    for period in periods:
        writes.gone_periods.append(period)
        writes.gone_segments += locked.segments.pop(period.pk, [])
        locked.periods.remove(period)


def _stays(period: BillingPeriod, locked: Locked, timeline: Timeline, at: datetime) -> bool:
    """Whether a stored period begins where the timeline begins one; that of `at` has begun already."""
    start, ends_at = period.starts_at, locked.row.ends_at
    if ends_at is not None and start >= ends_at:
        return False
    begins = timeline.cycle_at(start).period_at(start).start
    return start <= at or start in {begins, *timeline.restarts()}


def _set_ends(periods: Sequence[BillingPeriod], locked: Locked, timeline: Timeline) -> list[BillingPeriod]:
    """Let each period end where its cycle, the next one, a new cycle or the subscription ends it."""
    changed = []
    following = [*(period.starts_at for period in periods[1:]), None]
    for period, next_start in zip(periods, following, strict=False):
        start = period.starts_at
        ends = [next_start, locked.row.ends_at, *(r for r in timeline.restarts() if r > start)]
        end = min([timeline.cycle_at(start).period_at(start).end, *(end for end in ends if end is not None)])
        if end != period.ends_at:
            period.ends_at = end
            changed.append(period)
    return changed


def _reshape_segments(locked: Locked, period: BillingPeriod, runs: Sequence[Run], writes: _Writes) -> None:
    stored = {segment.starts_at: segment for segment in locked.segments.get(period.pk, ())}
    wanted = {run.starts_at: run for run in runs}
    writes.gone_segments += [segment for start, segment in stored.items() if start not in wanted]
    for start, run in wanted.items():
        segment = stored.get(start)
        if segment is None or (segment.ends_at, segment.version_id) != (run.ends_at, run.version_id):
            writes.segments.append(segment_row(period, run))


def _write(writes: _Writes) -> None:
    """First what goes, then what is cut, then what is new or moved (told apart by where it starts)."""
    _delete_segments(writes.gone_segments)
    if writes.gone_periods:
        BillingPeriod.objects.filter(pk__in=[period.pk for period in writes.gone_periods]).delete()
    if len(writes.ends) == 1:
        writes.ends[0].save(update_fields=["ends_at"])
    else:
        BillingPeriod.objects.bulk_update(writes.ends, ["ends_at"])
    Segment.objects.bulk_create(
        writes.segments,
        update_conflicts=True,
        unique_fields=["subscription", "starts_at"],
        update_fields=["ends_at", "version"],
    )


def _delete_segments(segments: Sequence[Segment]) -> None:
    if not segments:
        return
    pks = [segment.pk for segment in segments]
    customers = {segment.customer_id for segment in segments}
    if Counter.objects.filter(customer_id__in=customers, segment_id__in=pks).exists():
        raise Conflict("usage_after", "Usage after that instant is charged already.", "at")
    Segment.objects.filter(pk__in=pks).delete()
