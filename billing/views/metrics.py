"""Compare metrics: which tracked meter follows cost best, and what one price per unit of it would leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.models import Currency
from accounts.staff_pages import staff_page
from billing.reports import spans
from billing.reports.comparing import currency_units
from billing.reports.spans import Span, read_span
from billing.simulations.metrics import MetricComparison, compare_metrics
from billing.views.customer_filters import DATE
from core import clock
from core.display.charts import Chart, Series
from core.display.html import money_html
from core.numbers import round_significant
from core.pages import columns
from core.pages.cells import custom_column, with_sub
from core.pages.columns import Reader
from core.pages.listing import Listing
from metering.models import Meter
from pricing.cycles import Period
from pricing.simulation.metrics import MetricFit

DEFAULT_DAYS: Final = 90
CHARTED_MAX: Final = 16
UTC_ZONE: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A meter of the list. `place`: 1 for the one that follows cost best."""

    place: int
    meter: Meter
    fit: MetricFit
    unit: str | Currency

    @property
    def counts(self) -> str:
        """`sum of completion.input_tokens`."""
        path = f".{self.meter.property_path}" if self.meter.property_path else ""
        return f"{self.meter.aggregation} of {self.meter.event}{path}"


def price_cell(row: MetricRow, reader: Reader) -> str:
    """The price per unit to four digits, as a quotient has too many."""
    if row.fit.price is None:
        return money_html(None, row.unit, reader.locale)
    amount = money_html(round_significant(row.fit.price, 4), row.unit, reader.locale, exact=True)
    return with_sub(amount, f"{row.meter.unit}, each" if row.meter.unit else "each")


METRICS: Final = Listing(
    key="metrics",
    title="Meters as value metrics",
    columns=(
        columns.text("meter.name", "Meter", sub="counts"),
        columns.quantity("place", "Place", hint="By correlation, then by the smaller spread"),
        columns.quantity(
            "fit.correlation",
            "Correlation",
            hint="With cost: 1 follows it exactly, 0 not at all",
        ),
        custom_column(
            "price",
            "Price for the same revenue",
            price_cell,
            sort="fit.price",
            is_numeric=True,
            csv=lambda row: row.fit.price,
        ),
        columns.percent("fit.margin_median", "Median margin", hint="Of a customer, at that one price"),
        columns.percent("fit.spread", "Spread", hint="Between the margins of nine tenths and of one tenth"),
        columns.quantity("fit.below_cost", "Below cost", hint="Customers who would cost more than they pay"),
        columns.quantity("fit.unbilled", "Unbilled", hint="Customers with cost who use none of it"),
        columns.quantity("fit.r_squared", "R squared").extra(),
        columns.percent("fit.margin_p10", "Margin, lowest tenth").extra(),
        columns.percent("fit.margin_p90", "Margin, highest tenth").extra(),
        columns.text("meter.key", "Key").extra(),
    ),
    default_sort="place",
    keeps=("currency", "start", "end"),
    empty_title="Nothing to compare",
    empty_text="No meter that adds up counted anything of these payers in these days.",
)


class MetricsForm(forms.Form):
    """Which usage, of payers in which currency."""

    currency = forms.ChoiceField(required=False)
    start = forms.DateField(required=False, widget=DATE, label="Usage from")
    end = forms.DateField(required=False, widget=DATE, label="To, included")


@staff_page()
def metrics(request: HttpRequest) -> HttpResponseBase:
    """The meters of one currency's payers, the one that follows cost best first."""
    now = clock.now()
    span = chosen_span(request.GET, now)
    found = {one.currency: one for one in compare_metrics(Period(*span.bounds(UTC_ZONE)))}
    chosen = chosen_currency(request.GET.get("currency", ""), found)
    shown = found.get(chosen)
    unit = currency_units().get(chosen, chosen)
    rows = rows_of(shown, unit)
    context = {
        "span": span,
        "as_of": now,
        "form": form_of(span, chosen, list(found)),
        "shown": shown,
        "unit": unit,
        "best": rows[0] if rows and rows[0].fit.correlation is not None else None,
        "chart": correlation_chart(rows),
    }
    return METRICS.respond(request, rows, "billing/metrics/metrics.html", context)


def chosen_span(query: Mapping[str, str], now: datetime) -> Span:
    """The days of the address; the last 90 where it names none."""
    first = (now - timedelta(days=DEFAULT_DAYS - 1)).date().isoformat()
    start, end = query.get("start", ""), query.get("end", "")
    named = {"start": start or ("" if end else first), "end": end}
    return read_span(named | {"period": spans.CUSTOM}, now.date())


def chosen_currency(code: str, found: Mapping[str, MetricComparison]) -> str:
    """The one of the address, or that of most payers; empty without any."""
    if code in found:
        return code
    return max(found, key=lambda one: (found[one].customers, one), default="")


def form_of(span: Span, currency: str, currencies: Sequence[str]) -> MetricsForm:
    """The form with what is shown."""
    form = MetricsForm(initial={"currency": currency, "start": span.first, "end": span.last})
    form.fields["currency"].choices = [(code, code) for code in currencies]  # type: ignore[attr-defined]
    return form


def rows_of(comparison: MetricComparison | None, unit: str | Currency) -> list[MetricRow]:
    """The meters with their place."""
    fits = () if comparison is None else comparison.fits
    return [MetricRow(place, meter, fit, unit) for place, (meter, fit) in enumerate(fits, 1)]


def correlation_chart(rows: Sequence[MetricRow]) -> Chart:
    """How well the meters follow cost, the best first."""
    charted = [row for row in rows if row.fit.correlation is not None][:CHARTED_MAX]
    values: list[Decimal | None] = [row.fit.correlation for row in charted]
    options: dict[str, Any] = {"measure": "quantity", "unit": "", "category": "Meter"}
    return Chart(
        key="correlation",
        title="How well each meter follows cost",
        labels=[row.meter.name for row in charted],
        series=[Series(label="Correlation with cost", values=values)],
        note="1: twice the quantity, twice the cost. 0: the quantity says nothing of the cost.",
        **options,
    )
