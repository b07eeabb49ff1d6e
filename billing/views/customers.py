"""The customers, with what they used and what they left: `/customers`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html

from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.reports.customers import CurrencyLine, CustomerRow, customer_rows, totals_of
from billing.reports.spans import read_span
from billing.views.customer_filters import CustomerFilters, forget_unused_dates
from core import clock
from core.display.html import money_html, percent_html
from core.htmx import target_of
from core.pages import columns
from core.pages.cells import custom_column, not_comparable, stacked, with_sub
from core.pages.columns import Column, Reader
from core.pages.export import csv_response
from core.pages.listing import Listing
from core.pages.rows import Rows


def money_lines(
    key: str, label: str, amount: Callable[[CurrencyLine], Decimal | None], *, hint: str = ""
) -> Column:
    """An amount in each of the customer's currencies, ordered by what can be compared."""

    def cell(row: CustomerRow, reader: Reader) -> str:
        return stacked(money_html(amount(line), line.unit, reader.locale) for line in row.lines)

    return custom_column(key, label, cell, sort=f"order.{key}", is_numeric=True, hint=hint)


def margin_rates(row: CustomerRow, reader: Reader) -> str:
    """The margin in per cent of the revenue, for each currency."""
    shown = stacked(_margin_rate(line, reader) for line in row.lines)
    if len(row.lines) > 1 and row.order["margin"] is None:
        return format_html("{}{}", shown, not_comparable("No exchange rate brings its currencies together."))
    return shown


def _margin_rate(line: CurrencyLine, reader: Reader) -> str:
    margin = line.margin
    if margin.margin is None and line.obstacle:
        return not_comparable(line.obstacle)
    return percent_html(margin.margin_rate, reader.locale)


def coverages(row: CustomerRow, reader: Reader) -> str:
    """How much of the usage has a known cost, for each currency."""
    return stacked(percent_html(line.margin.cost_coverage, reader.locale, 0) for line in row.lines)


def balances(row: CustomerRow, reader: Reader) -> str:
    """Wallets less what is owed, in each currency."""

    def balance(line: CurrencyLine) -> str:
        main = money_html(line.balance, line.unit, reader.locale)
        if not line.owed or not line.settled:
            return main
        return with_sub(main, format_html("{} owed", money_html(line.owed, line.unit, reader.locale)))

    return stacked(balance(line) for line in row.lines)


class CustomerListing(Listing):
    """The list of customers; its totals and its CSV follow the filter too."""

    def selected(self, request: HttpRequest, rows: Rows) -> list[CustomerRow]:
        """The rows of the current filter, on all pages."""
        return list(self._select(self.state(request), self._filters(request, rows), rows))


CUSTOMERS = CustomerListing(
    key="customers",
    title="Customers",
    columns=(
        columns.text("name", "Customer", sub="external_id"),
        columns.status("status", "Status"),
        columns.quantity("events", "Events"),
        money_lines("revenue", "Revenue", lambda line: line.margin.revenue),
        money_lines("cost", "Cost", lambda line: line.margin.cost, hint="What vendors charge, where known"),
        custom_column(
            "coverage",
            "Cost known",
            coverages,
            is_numeric=True,
            hint="The part of the events whose cost is known",
        ),
        money_lines("margin", "Margin", lambda line: line.margin.margin, hint="Revenue less known cost"),
        custom_column("margin_rate", "Margin %", margin_rates, sort="order.margin_rate", is_numeric=True),
        custom_column(
            "balance",
            "Balance",
            balances,
            sort="order.balance",
            is_numeric=True,
            hint="Wallets less what is owed, now",
        ),
        columns.identifier("public_id", "Id").extra(),
        columns.instant("created_at", "Since", precision="day").extra(),
    ),
    default_sort="-revenue",
    search=("name", "external_id", "public_id"),
    search_hint="Search name or id",
    filters=CustomerFilters,
    row_url=lambda row: reverse("customer", args=[row.public_id]),
    page_size=50,
    empty_title="No customers yet",
    empty_text="Customers come in over the API or by manage.py import_customers.",
)

CSV_FIELDS = (
    *("customer", "id", "external_id", "status", "currency", "events", "costed", "revenue", "cost"),
    *("cost_coverage", "margin", "margin_rate", "wallet", "owed", "balance", "payers"),
)


@staff_page()
def customers(request: HttpRequest) -> HttpResponseBase:
    """The list; its table and totals alone for htmx; its CSV with a line for each customer and currency."""
    now = clock.now()
    forget_unused_dates(request)
    span = read_span(request.GET, now.date())
    rows, comparison = customer_rows(viewer_of(request), span, now)
    selected = CUSTOMERS.selected(request, rows)
    if request.GET.get("export") == "csv":
        fields = [columns.text(name, name) for name in CSV_FIELDS]
        return csv_response(f"customers-{span.first}-{span.last}", fields, list(csv_rows(selected)))
    totals = totals_of(selected)
    context = {"span": span, "totals": totals, "comparison": comparison, "as_of": now}
    response = CUSTOMERS.respond(request, rows, "billing/customers/list.html", context)
    if isinstance(response, HttpResponse) and target_of(request) == "customers-table":
        response.write(
            render_to_string("billing/customers/_totals.html", context | {"is_oob": True}, request)
        )
    return response


def csv_rows(rows: Sequence[CustomerRow]) -> Iterator[dict[str, Any]]:
    """One line for each customer and currency; a customer without a payer has one without figures."""
    for row in rows:
        about = {
            "customer": row.name,
            "id": row.public_id,
            "external_id": row.external_id,
            "status": row.status,
        }
        if not row.lines:
            yield dict.fromkeys(CSV_FIELDS) | about
        for line in row.lines:
            margin = line.margin
            yield about | {
                "currency": line.currency,
                "events": margin.events,
                "costed": margin.costed,
                "revenue": margin.revenue,
                "cost": margin.cost,
                "cost_coverage": margin.cost_coverage,
                "margin": margin.margin,
                "margin_rate": margin.margin_rate,
                "wallet": line.settled,
                "owed": line.owed,
                "balance": line.balance,
                "payers": line.payers,
            }
