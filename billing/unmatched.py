"""Names that no meter hears, and events that no component prices: a misspelt name, or a price forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Final

from django.db.models import Count, Max, Q, Sum

from accounts.scoping import Viewer, visible
from billing.models import MarginBucket
from metering.models import Meter, UsageEvent

NAMES_MAX: Final = 200
_BROUGHT_NOTHING: Final = Q(unmatched__gt=0) | Q(unpriced__gt=0)


@dataclass(frozen=True, slots=True)
class UnheardName:
    """An event name with events that brought no money.

    `unmatched`: how many no meter hears; `unpriced`: how many are metered but priced by nothing. `last_hour`:
    the start of the last hour that had such an event of this name. `close_to`: a name that meters do hear.
    """

    event: str
    customers: int
    unmatched: int
    unpriced: int
    last_hour: datetime
    close_to: str | None


def unheard_names(viewer: Viewer, *, since: datetime) -> list[UnheardName]:
    """The names with such events since an instant, the latest first; two statements over hourly buckets.

    Events that were re-rated meanwhile do not count any more.
    """
    rows = (
        visible(MarginBucket, viewer)
        .filter(_BROUGHT_NOTHING, hour__gte=since)
        .values("event")
        .annotate(
            unmatched_sum=Sum("unmatched"),
            unpriced_sum=Sum("unpriced"),
            last_hour=Max("hour"),
            customers=Count("customer_id", distinct=True),
        )
        .order_by("-last_hour", "event")[:NAMES_MAX]
    )
    heard = set(Meter.objects.values_list("event", flat=True))
    return [
        UnheardName(
            event=row["event"],
            customers=row["customers"],
            unmatched=row["unmatched_sum"],
            unpriced=row["unpriced_sum"],
            last_hour=row["last_hour"],
            close_to=_close_to(row["event"], heard),
        )
        for row in rows
    ]


def sample_event(viewer: Viewer, name: str, last_hour: datetime) -> UsageEvent | None:
    """One event of this name that brought no money, for staff to look at; None when it is not found.

    Looks at one payer that had one in `last_hour`, by index.
    """
    rows = visible(MarginBucket, viewer).filter(_BROUGHT_NOTHING)
    bucket = rows.filter(event=name, hour=last_hour).order_by("customer_id").first()
    if bucket is None:
        return None
    events = visible(UsageEvent, viewer).filter(
        Q(unmatched=True) | Q(unpriced=True),
        customer_id=bucket.customer_id,
        billing_entity_id=bucket.billing_entity_id,
        name=name,
        occurred_at__gte=last_hour,
        occurred_at__lt=last_hour + timedelta(hours=1),
    )
    return events.order_by("-seq").first()


def _close_to(name: str, heard: Iterable[str]) -> str | None:
    found = get_close_matches(name, [other for other in heard if other != name], n=1, cutoff=0.75)
    return found[0] if found else None
