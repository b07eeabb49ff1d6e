"""How the operator's own days went: revenue, cost and margin of all customers together, from hourly buckets.

Days are each payer's own local days. Amounts of different currencies meet only converted into one, at the
rates of their day; what no rate converts is named and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from billing.margins import Margin
from billing.reports.comparing import Comparison
from billing.reports.spans import Span
from billing.store_reports import DaySum, day_sums


@dataclass(slots=True)
class Figures:
    """A span in the currency of comparison, fees and usage apart.

    `left_out`: what could not be converted, by its currency; `by_currency`: everything, unconverted.
    """

    total: Margin = field(default_factory=Margin)
    fees: Margin = field(default_factory=Margin)
    usage_by_day: dict[date, Margin] = field(default_factory=dict)
    by_currency: dict[str, Margin] = field(default_factory=dict)
    left_out: dict[str, Margin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures of a span beside those of the span before it."""

    days: Sequence[date]
    now: Figures
    before: Figures


def overview(span: Span, comparison: Comparison) -> Overview:
    """Both spans, in one statement."""
    before = span.before()
    found = day_sums(before.first, span.end)
    days = [span.first + timedelta(days=n) for n in range(span.days)]
    return Overview(
        days,
        figures(found, span.first, span.end, comparison),
        figures(found, before.first, before.end, comparison),
    )


def figures(found: Sequence[DaySum], first: date, end: date, comparison: Comparison) -> Figures:
    """The days `[first, end)` of `found` in the currency of comparison. Pure."""
    result = Figures()
    for day, currency, is_fee, margin in found:
        if not first <= day < end:
            continue
        _add(result.by_currency, currency, margin)
        converted = convert(margin, currency, comparison, _midnight(day))
        if converted is None:
            _add(result.left_out, currency, margin)
            continue
        result.total += converted
        if is_fee:
            result.fees += converted
        else:
            result.usage_by_day[day] = result.usage_by_day.get(day, Margin()) + converted
    return result


def convert(margin: Margin, currency: str, comparison: Comparison, at: datetime) -> Margin | None:
    """A margin in the currency of comparison at the rate of `at`; None when no rate says."""
    exchange, wanted = comparison.exchange, comparison.currency
    revenue = exchange.convert(margin.revenue, currency, wanted, at)
    cost = exchange.convert(margin.known_cost, currency, wanted, at)
    if revenue is None or cost is None:
        return None
    return Margin(margin.events, margin.costed, margin.unmatched, margin.unpriced, revenue, cost)


def _add(into: dict[str, Margin], currency: str, margin: Margin) -> None:
    into[currency] = into.get(currency, Margin()) + margin


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
