"""How the operator's own days went: revenue, cost and margin of all customers together, from hourly buckets.

Days are UTC days. Amounts of different currencies meet only converted into one, at the rates of their day;
what no rate converts is named and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import OuterRef, Subquery, Sum
from django.db.models.functions import TruncDate

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.margins import Margin
from billing.models import MarginBucket
from billing.reports.comparing import Comparison
from billing.reports.spans import Span
from core.numbers import CONTEXT

_FIGURES: Final = ("events", "costed", "unmatched", "unpriced", "revenue", "cost")
_SUMS: Final[Mapping[str, Any]] = {f"{name}_sum": Sum(name) for name in _FIGURES}
DayMargins = Mapping[tuple[date, str], Margin]


@dataclass(slots=True)
class Figures:
    """A span in the currency of comparison. `left_out`: what could not be converted, by its currency."""

    total: Margin = field(default_factory=Margin)
    by_day: dict[date, Margin] = field(default_factory=dict)
    by_currency: dict[str, Margin] = field(default_factory=dict)
    left_out: dict[str, Margin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures of a span beside those of the span before it."""

    days: Sequence[date]
    now: Figures
    before: Figures


def overview(viewer: Viewer, span: Span, comparison: Comparison) -> Overview:
    """Both spans, in one statement."""
    before = span.before()
    found = day_margins(viewer, before.first, span.end)
    days = [span.first + timedelta(days=n) for n in range(span.days)]
    return Overview(
        days,
        figures(found, span.first, span.end, comparison),
        figures(found, before.first, before.end, comparison),
    )


def day_margins(viewer: Viewer, first: date, end: date) -> DayMargins:
    """The margins of `[first, end)` by UTC day and currency; one statement over buckets."""
    payers = visible(BillingEntity, viewer).filter(pk=OuterRef("billing_entity_id"))
    rows: Any = (
        visible(MarginBucket, viewer)
        .filter(hour__gte=_midnight(first), hour__lt=_midnight(end))
        .annotate(day=TruncDate("hour", tzinfo=UTC))
        .values("day", "billing_entity_id")
        .annotate(**_SUMS)
        .annotate(currency=Subquery(payers.values("currency")))
    )
    found: defaultdict[tuple[date, str], Margin] = defaultdict(Margin)
    for row in rows:
        found[row["day"], row["currency"]] += Margin(*(row[name] for name in _SUMS))
    return found


def figures(found: DayMargins, first: date, end: date, comparison: Comparison) -> Figures:
    """The days `[first, end)` of `found` in the currency of comparison. Pure."""
    result = Figures()
    for (day, currency), margin in found.items():
        if not first <= day < end:
            continue
        _add(result.by_currency, currency, margin)
        converted = convert(margin, currency, comparison, _midnight(day))
        if converted is None:
            _add(result.left_out, currency, margin)
            continue
        result.by_day[day] = result.by_day.get(day, Margin()) + converted
        result.total += converted
    return result


def convert(margin: Margin, currency: str, comparison: Comparison, at: datetime) -> Margin | None:
    """A margin in the currency of comparison at the rate of `at`; None when no rate says."""
    exchange, wanted = comparison.exchange, comparison.currency
    revenue = exchange.convert(margin.revenue, currency, wanted, at)
    cost = exchange.convert(margin.known_cost, currency, wanted, at)
    if revenue is None or cost is None:
        return None
    return Margin(margin.events, margin.costed, margin.unmatched, margin.unpriced, revenue, cost)


def average_revenue(margins: Iterable[Margin]) -> Decimal | None:
    """What an event brings on average; None without events."""
    total = sum(margins, Margin())
    return CONTEXT.divide(total.revenue, Decimal(total.events)) if total.events else None


def _add(into: dict[str, Margin], currency: str, margin: Margin) -> None:
    into[currency] = into.get(currency, Margin()) + margin


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
