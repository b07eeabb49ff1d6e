"""From a question to its margins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Sum

from accounts.models import BillingEntity
from accounts.scoping import visible
from billing.costs.known import later_costs
from billing.margins.figures import Group, Margin, MarginPoint, MarginSeries
from billing.models import Charge, MarginBucket, ReRating, Reversal
from core.errors import TooLarge
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from metering.models import UsageEvent
from metering.usage.buckets import period_column
from metering.usage.narrow import EVENTS_MAX, events_in
from metering.usage.questions import Scope
from metering.usage.series import POINTS_MAX, refuse_too_many_points
from metering.usage.windows import Window

GROUP_BY: Final = ("billing_entity", "workspace", "event")
_COLUMNS: Final = {"billing_entity": "billing_entity_id", "workspace": "workspace_id", "event": "event"}
_FIGURES: Final = ("events", "costed", "unmatched", "unpriced", "revenue", "cost")

# A payer, workspace and event name, the start of a period, and its margin.
_Row = tuple[int, int | None, str | None, datetime, Margin]


@dataclass(frozen=True, slots=True)
class MarginQuestion:
    """Margins in `scope` and `window`, of events of these names (None: all), divided by `group_by`."""

    scope: Scope
    window: Window
    events: tuple[str, ...] | None = None
    group_by: tuple[str, ...] = ()


def margin_series(question: MarginQuestion) -> list[MarginSeries]:
    """The margins, one series for each currency and group, sorted by both. At most five statements.

    Amounts of payers with different currencies never meet. Raises TooLarge when the answer, or the events to
    read for it, would be too many.
    """
    payers = visible(BillingEntity, question.scope.viewer).filter(customer_id=question.scope.customer_id)
    currencies = dict(payers.values_list("pk", "currency"))
    rows = _event_rows(question) if question.scope.is_narrow else _bucket_rows(question)
    folded: defaultdict[tuple[str, Group], defaultdict[datetime, Margin]]
    folded = defaultdict(lambda: defaultdict(Margin))
    for payer_id, workspace_id, event, start, margin in rows:
        labels = {
            "billing_entity": public_id("be", payer_id),
            "workspace": public_id("ws", workspace_id) if workspace_id else None,
            "event": event,
        }
        group = tuple(labels[name] for name in question.group_by)
        folded[currencies[payer_id], group][start] += margin
    found = [_series(question.window, *key, periods) for key, periods in folded.items()]
    return sorted(found, key=_order)


def _series(window: Window, currency: str, group: Group, periods: dict[datetime, Margin]) -> MarginSeries:
    series = MarginSeries(currency, group)
    for start in sorted(periods):
        series.add(MarginPoint(start, window.period_end(start), periods[start]))
    return series


def _order(series: MarginSeries) -> tuple[str, list[tuple[bool, str]]]:
    return series.currency, [(value is None, value or "") for value in series.group]


def _bucket_rows(question: MarginQuestion) -> Iterable[_Row]:
    scope, window = question.scope, question.window
    rows = visible(MarginBucket, scope.viewer).filter(
        customer_id=scope.customer_id, hour__gte=window.start, hour__lt=window.end
    )
    if scope.payer_id is not None:
        rows = rows.filter(billing_entity_id=scope.payer_id)
    if scope.workspace_id is not None:
        rows = rows.filter(workspace_id=scope.workspace_id)
    if question.events is not None:
        rows = rows.filter(event__in=question.events)
    # By payer always: the payer says the currency.
    columns = dict.fromkeys(["billing_entity_id", *(_COLUMNS[name] for name in question.group_by)])
    sums = {f"{name}_sum": Sum(name) for name in _FIGURES}
    summed = rows.annotate(period=period_column(window)).values("period", *columns).annotate(**sums)
    page = list(summed.order_by("period")[: POINTS_MAX + 1])
    if len(page) > POINTS_MAX:
        refuse_too_many_points()
    for row in page:
        margin = Margin(*(row[name] for name in sums))
        start = max(row["period"], window.start)
        yield row["billing_entity_id"], row.get("workspace_id"), row.get("event"), start, margin


def _event_rows(question: MarginQuestion) -> Iterable[_Row]:
    window = question.window
    events = events_in(question.scope).filter(
        occurred_at__gte=window.start,
        occurred_at__lt=window.end,
        recorded_at__gte=window.start - settings.EVENT_AHEAD_MAX,
    )
    if question.events is not None:
        events = events.filter(name__in=question.events)
    read = list(events[: EVENTS_MAX + 1])
    if len(read) > EVENTS_MAX:
        raise TooLarge(
            "too_many_events", f"This would read more than {EVENTS_MAX:,} events; ask for a shorter window."
        )
    revenues = _revenues(question.scope.customer_id, events)
    gone = _reversed(question.scope.customer_id, events)
    later = later_costs([question.scope.customer_id], events.values("id"))
    for event in read:
        counts = event.id not in gone
        found = later.get((event.customer_id, event.id))
        cost = event.cost if found is None else found.cost
        margin = Margin(
            events=int(counts),
            costed=int(counts and cost is not None),
            unmatched=int(counts and event.unmatched),
            unpriced=int(counts and event.unpriced),
            revenue=revenues.get(event.id, ZERO),
            known_cost=(cost if counts else None) or ZERO,
        )
        start = window.period_start(event.occurred_at)
        yield event.billing_entity_id, event.workspace_id, event.name, start, margin


def _reversed(customer_id: int, events: QuerySet[UsageEvent]) -> set[UUID]:
    """The events that were reversed: they count for nothing."""
    found = Reversal.objects.filter(
        customer_id=customer_id, event_id__in=events.values("id"), cause=Reversal.Cause.EVENT
    )
    return set(found.values_list("event_id", flat=True))


def _revenues(customer_id: int, events: QuerySet[UsageEvent]) -> dict[UUID, Decimal]:
    """What was charged for each event: with it, later when it was re-rated, and back."""
    ids = events.values("id")
    charges = Charge.objects.filter(customer_id=customer_id)
    later = ReRating.objects.filter(customer_id=customer_id, event_id__in=ids).values("charge_id")
    found: defaultdict[UUID, Decimal] = defaultdict(lambda: ZERO)
    back = Reversal.objects.filter(customer_id=customer_id, event_id__in=ids)
    again = back.filter(replaced_by__isnull=False).values("replaced_by")
    ways: Sequence[Any] = (ids, later, back.values("charge_id"), again)
    parts = [charges.filter(id__in=each).values_list("id", "event_id", "amount") for each in ways]
    for _, event_id, amount in parts[0].union(*parts[1:]):
        found[event_id] = CONTEXT.add(found[event_id], amount)
    return found
