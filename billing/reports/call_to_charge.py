"""Call-to-charge lag: from `occurred_at` (the caller's clock) to `recorded_at` (ours), of the latest events.

The window is as long as a day and as short as it takes to read a bounded number of events by primary key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Sum

from accounts.models import Customer
from accounts.scoping import Viewer, visible
from billing.models import MarginBucket
from core.ids import first_uuid7
from metering.models import UsageEvent

EVENTS_MAX: Final = 20_000
LATER: Final = frozenset({"import", "release", "backfill"})
"""Sources of what happened long before it was sent: their lag says nothing of how fast charging is."""
_WINDOW_MAX: Final = timedelta(hours=24)
_WINDOW_MIN: Final = timedelta(minutes=10)
_ENOUGH: Final = 8_000


@dataclass(frozen=True, slots=True)
class Lag:
    """The lag of the events of one source, or of several together."""

    source: str
    events: int
    p50: timedelta
    p95: timedelta
    longest: timedelta

    @property
    def is_later(self) -> bool:
        """Whether this source brings what happened long ago."""
        return self.source in LATER


@dataclass(frozen=True, slots=True)
class LagReport:
    """The lags of what was recorded since `since`, by source; those that bring old events come last.

    `live`: of all others together; None when there are fewer than two of them.
    """

    since: datetime
    sources: Sequence[Lag]
    live: Lag | None

    @property
    def events(self) -> int:
        """How many there were of all sources."""
        return sum(lag.events for lag in self.sources)


def lag_report(viewer: Viewer, now: datetime) -> LagReport:
    """The lag of the latest events, in two statements."""
    since = _window(viewer, now)
    # By customer, so that the primary key leads to the latest ids of each.
    customers = visible(Customer, viewer).values("pk")
    rows = visible(UsageEvent, viewer).filter(
        customer_id__in=customers, id__gte=first_uuid7(since), recorded_at__gte=since
    )
    lags: defaultdict[str, list[timedelta]] = defaultdict(list)
    for source, occurred_at, recorded_at in rows.values_list("source", "occurred_at", "recorded_at")[
        :EVENTS_MAX
    ]:
        lags[source].append(recorded_at - occurred_at)
    return make_report(since, lags)


def make_report(since: datetime, lags: Mapping[str, Sequence[timedelta]]) -> LagReport:
    """The report of the lags of each source. Pure."""
    found = [make_lag(source, own) for source, own in sorted(lags.items())]
    live = [source for source in lags if source not in LATER]
    together = [lag for source in live for lag in lags[source]]
    return LagReport(
        since,
        sorted(found, key=lambda lag: lag.is_later),
        make_lag("live, together", together) if len(live) > 1 else None,
    )


def make_lag(source: str, lags: Sequence[timedelta]) -> Lag:
    """Percentiles by nearest rank of at least one lag. Pure."""
    ordered = sorted(lags)

    def rank(per_cent: int) -> timedelta:
        return ordered[max(0, -(-len(ordered) * per_cent // 100) - 1)]

    return Lag(source, len(ordered), rank(50), rank(95), ordered[-1])


def _window(viewer: Viewer, now: datetime) -> datetime:
    """How far back to look: a day, or since the hour from which on the buckets count enough events."""
    hours = (
        visible(MarginBucket, viewer)
        .filter(hour__gte=now - _WINDOW_MAX, hour__lte=now)
        .values("hour")
        .annotate(number=Sum("events"))
        .order_by("-hour")
    )
    seen = 0
    for row in hours:
        seen += row["number"]
        if seen > _ENOUGH:
            return min(row["hour"], now - _WINDOW_MIN)
    return now - _WINDOW_MAX
