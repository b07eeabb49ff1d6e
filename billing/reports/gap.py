"""The money in the gap: events that are here and brought nothing yet, at what their like brings on average.

An estimate for staff, in the currency of comparison; never booked anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, OuterRef, Subquery, Sum

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.models import MarginBucket
from billing.reports.comparing import Comparison
from billing.unmatched import UnheardName
from core.numbers import CONTEXT, ZERO
from metering.models import QuarantinedEvent

LOOK_BACK: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events of one kind in the gap. `amount` is None where nothing tells what they would bring."""

    kind: str
    events: int
    amount: Decimal | None


@dataclass(frozen=True, slots=True)
class Gap:
    """All of it. `amount` is the estimate; `unknown`: events that no estimate covers."""

    parts: Sequence[Waiting]
    amount: Decimal
    unknown: int

    @property
    def events(self) -> int:
        """How many events wait."""
        return sum(part.events for part in self.parts)


def money_in_gap(viewer: Viewer, names: Sequence[UnheardName], comparison: Comparison) -> Gap:
    """Quarantined, unmatched and unpriced events now, with an estimate; two statements."""
    averages = average_by_event(viewer, comparison)
    heard_as = {name.event: name.close_to or name.event for name in names}
    rows: list[tuple[str, str, int]] = [
        ("quarantined", event or "", number) for event, number in _quarantined(viewer)
    ]
    rows += [("unmatched", name.event, name.unmatched) for name in names if name.unmatched]
    rows += [("unpriced", name.event, name.unpriced) for name in names if name.unpriced]
    return make_gap(rows, averages, heard_as)


def make_gap(
    rows: Sequence[tuple[str, str, int]], averages: Mapping[str, Decimal], heard_as: Mapping[str, str]
) -> Gap:
    """(kind, event name, number) at the averages of the names that they are taken for. Pure."""
    events: defaultdict[str, int] = defaultdict(int)
    amounts: dict[str, Decimal] = {}
    unknown = 0
    for kind, name, number in rows:
        events[kind] += number
        average = averages.get(heard_as.get(name, name))
        if average is None:
            unknown += number
        else:
            amounts[kind] = CONTEXT.add(amounts.get(kind, ZERO), CONTEXT.multiply(average, Decimal(number)))
    parts = [Waiting(kind, number, amounts.get(kind)) for kind, number in events.items()]
    total = ZERO
    for amount in amounts.values():
        total = CONTEXT.add(total, amount)
    return Gap(parts, total, unknown)


def average_by_event(viewer: Viewer, comparison: Comparison) -> dict[str, Decimal]:
    """What a priced event of each name has brought in the last 30 days, in the currency of comparison."""
    payers = visible(BillingEntity, viewer).filter(pk=OuterRef("billing_entity_id"))
    since: datetime = comparison.at - LOOK_BACK
    rows = (
        visible(MarginBucket, viewer)
        .filter(hour__gte=since, revenue__gt=0)
        .values("event", "billing_entity_id")
        .annotate(number=Sum("events"), brought=Sum("revenue"))
        .annotate(currency=Subquery(payers.values("currency")))
    )
    sums: dict[str, tuple[int, Decimal]] = {}
    for row in rows:
        amount = comparison.comparable(row["brought"], row["currency"])
        if amount is not None and row["number"]:
            number, brought = sums.get(row["event"], (0, ZERO))
            sums[row["event"]] = number + row["number"], CONTEXT.add(brought, amount)
    return {name: CONTEXT.divide(brought, Decimal(number)) for name, (number, brought) in sums.items()}


def _quarantined(viewer: Viewer) -> list[tuple[str | None, int]]:
    waiting = visible(QuarantinedEvent, viewer).filter(status=QuarantinedEvent.Status.WAITING)
    rows = waiting.values("payload__event").annotate(number=Count("pk")).order_by("payload__event")
    return [(row["payload__event"], row["number"]) for row in rows]
