"""Usage charges: those of a customer, live, and one that explains itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.models import Workspace
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Charge
from billing.recompute import Rerated, is_proved, recompute_charge
from billing.reports.charge import explain_charge
from billing.reports.comparing import currency_units
from billing.reports.events import read_filter
from billing.reports.everyone import Everyone
from billing.reports.lags import lag_text
from billing.reports.latest_charges import charges_of, describe_charges
from billing.store_reports import latest_charges
from billing.views.customer_filters import forget_unused_dates
from billing.views.frame import frame_context, open_frame
from billing.views.listings import LatestListing
from billing.views.row_filters import ReadFilters, RecordedForm
from core import clock
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Choice, filter_by
from core.pages.columns import Column

PROVED_MAX: Final = 20_000
"""How many of a payer's running numbers a page reads to prove one charge; the API proves any."""

CHARGES = LatestListing(
    key="charges",
    title="Usage charges",
    columns=(
        columns.text("event_name", "Event", sort=None),
        columns.instant("charge.recorded_at", "Recorded", zone_path="zone", sort=None, precision="second"),
        custom_column(
            "lag",
            "After the call",
            lambda row, reader: lag_text(row.lag),
            is_numeric=True,
            hint="From occurred_at to recorded_at",
            csv=lambda row: row.lag.total_seconds(),
        ),
        columns.text("workspace.name", "Workspace", sort=None),
        columns.text("payer.name", "Payer", sort=None),
        columns.money("cost", "Cost", currency="unit", sort=None, exact=True),
        columns.money("charge.amount", "Amount", currency="unit", sort=None, exact=True),
        columns.money("margin", "Margin", currency="unit", sort=None, exact=True),
        columns.money("charge.settled_after", "Wallet after", currency="unit", sort=None),
        columns.identifier("public_id", "Id").extra(),
        columns.instant("charge.occurred_at", "Occurred", zone_path="zone", sort=None).extra(),
        columns.text("event.idempotency_key", "Idempotency key", sort=None).extra(),
        columns.text("event.user", "User", sort=None).extra(),
        columns.text("event.trace", "Trace", sort=None).extra(),
    ),
    order=("-id",),
    row_url=lambda row: reverse("charge", args=[row.public_id]),
    live_seconds=3,
    empty_title="No charges yet",
    empty_text="Charges appear here as calls come in.",
)
_NAME, _RECORDED, *_OTHERS = CHARGES.columns
EVERYONES = replace(
    CHARGES,
    columns=(
        *(_NAME, _RECORDED, columns.text("payer.customer.name", "Customer", sort=None)),
        *(
            column.extra() if column.key in {"payer_name", "charge_settled_after"} else column
            for column in _OTHERS
        ),
    ),
    filters=partial(ReadFilters, RecordedForm),
    empty_title="No charges in this time",
    empty_text="Choose a longer time, or charge a call.",
)


@staff_page()
def charges(request: HttpRequest) -> HttpResponseBase:
    """The charges of all customers, or of one, the latest recorded first."""
    forget_unused_dates(request)
    viewer = viewer_of(request)
    wanted = read_filter(viewer, request.GET, clock.now())
    rows: Any = Everyone(viewer, Charge, partial(latest_charges, wanted.since, wanted.until))
    if wanted.customer_id is not None:
        own = charges_of(viewer, wanted.customer_id)
        rows = own.filter(recorded_at__gte=wanted.since, recorded_at__lt=wanted.until)
    listing = replace(EVERYONES, describe=partial(describe_charges, viewer, units=currency_units()))
    if wanted.problem:
        rows, listing = [], replace(listing, order=(), live_seconds=0)
        messages.warning(request, wanted.problem)
    return listing.respond(request, rows)


@staff_page()
def customer_charges(request: HttpRequest, reference: str) -> HttpResponseBase:
    """A customer's charges, the latest first."""
    frame, viewer = open_frame(request, reference), viewer_of(request)
    spaces = visible(Workspace, viewer).filter(customer=frame.customer).order_by("name", "pk")
    payers = [(payer.public_id, payer.name) for payer in frame.payers]
    listing = replace(
        CHARGES,
        columns=tuple(_shown(column, len(payers)) for column in CHARGES.columns),
        describe=partial(describe_charges, viewer, units=currency_units()),
        filters=filter_by(
            Choice("payer", "billing_entity_id", "be", payers),
            Choice("workspace", "workspace_id", "ws", [(space.public_id, space.name) for space in spaces]),
        ),
    )
    context = frame_context(request, frame, "customer_charges")
    return listing.respond(
        request, charges_of(viewer, frame.customer.pk), "billing/customer/list.html", context
    )


@staff_page()
def charge(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """One charge: how its amount came about, who paid it, what it cost."""
    explained = explain_charge(viewer_of(request), public_id)
    customer = explained.facts.customer
    home = reverse("customer", args=[customer.public_id])
    crumbs = [
        ("Customers", reverse("customers")),
        (customer.name, home),
        ("Usage charges", reverse("customer_charges", args=[customer.public_id])),
        (explained.facts.event.name, ""),
    ]
    context = {"explained": explained, "lag": lag_text(explained.facts.lag), "crumbs": crumbs}
    if "proof" in request.GET:
        context["proof"] = prove(explained.charge)
    return render(request, "billing/charges/charge.html", context)


@dataclass(frozen=True, slots=True)
class Proof:
    """A charge rated again from all that came before it. `again` None: too much for a page to wait for."""

    charges: int
    is_proved: bool = False
    again: Rerated | None = None


def prove(charge: Charge) -> Proof:
    """Rate a stored charge again, unless its payer has had too many charges before it."""
    if charge.seq > PROVED_MAX:
        return Proof(charge.seq)
    again = recompute_charge(charge)
    return Proof(charge.seq, is_proved(charge, again), again)


def _shown(column: Column, payers: int) -> Column:
    """Who paid is worth a column only where several do."""
    return column.extra() if column.key == "payer_name" and payers < 2 else column
