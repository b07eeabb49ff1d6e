"""Vendors' bills: loaded with a preview, looked at, applied or thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.models import BillingEntity
from accounts.permissions import Right, may
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import VendorBill, VendorBillShare
from billing.vendor_bills import begin_bill, discard_bill, load_bill
from billing.vendor_bills.verbs import unattributed
from billing.views.listings import DescribedListing
from billing.views.money_forms import amount_field
from billing.views.price_changes import name_of
from core.api.references import find_referenced
from core.errors import TollgateError
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Words, filter_by
from core.pages.confirm import Confirmation, ask
from core.pages.listing import Listing

Status = VendorBill.Status
MONTH: Final = forms.DateInput(attrs={"type": "month"}, format="%Y-%m")


def month_text(row: VendorBill) -> str:
    """`2026-01`."""
    return f"{row.month:%Y-%m}"


BILLS = Listing(
    key="vendor-bills",
    title="Vendor bills",
    columns=(
        columns.text("vendor", "Vendor", sub="model"),
        custom_column("month", "Month", lambda row, reader: month_text(row), sort="month", csv=month_text),
        columns.status("status", "Status"),
        columns.money("total", "Bill", currency="currency"),
        columns.money("booked", "Booked", currency="currency"),
        columns.money("spread", "Spread", currency="currency", hint="Added to the cost of calls"),
        columns.money("rest", "Unattributed", currency="currency", sort=None, hint="Explained by no call"),
        columns.quantity("calls", "Calls"),
        columns.instant("created_at", "Loaded"),
        columns.text("created_by", "By").extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-created_at",
    filters=filter_by(Words("status", "status", Status.choices)),
    search=("vendor", "model", "reference"),
    search_hint="Search vendor or model",
    row_url=lambda row: reverse("vendor_bill", args=[row.public_id]),
    empty_title="No bills yet",
    empty_text="Load what a vendor asked for a month, to spread what differs from what was booked.",
)


@dataclass(frozen=True, slots=True)
class ShareRow:
    """A payer's share of a bill, with its name."""

    share: VendorBillShare
    payer: BillingEntity
    currency: str

    @property
    def name(self) -> str:
        """The payer's name."""
        return self.payer.name

    @property
    def customer(self) -> str:
        """The customer's."""
        return self.payer.customer.name


SHARES = DescribedListing(
    key="bill-shares",
    title="By payer",
    columns=(
        columns.text("name", "Payer", sort=None, sub="customer"),
        columns.quantity("share.calls", "Calls", sort="calls"),
        columns.money("share.booked", "Booked", currency="currency", sort="booked", exact=True),
        columns.money("share.amount", "Its share", currency="currency", sort="amount", exact=True),
        columns.money("share.spread", "Applied", currency="currency", sort="spread", exact=True),
        columns.instant("share.applied_at", "At", sort="applied_at"),
    ),
    default_sort="-share_booked",
    row_url=lambda row: reverse("margin_floor", args=[row.payer.public_id]),
    empty_title="No call explains this bill",
    empty_text="No event of that month has a cost of this vendor: all of it stays unattributed.",
)


class BillForm(forms.Form):
    """A vendor's bill."""

    vendor = forms.CharField(max_length=100, help_text="As it stands in the costs of events.")
    month = forms.CharField(
        max_length=7, widget=forms.TextInput(attrs={"type": "month"}), help_text="Its UTC days: 2026-01."
    )
    model = forms.CharField(max_length=200, required=False, help_text="Empty: the bill is of all its models.")
    currency = forms.CharField(max_length=3, initial="USD")
    total = amount_field(
        required=False,
        min_value=Decimal(0),
        help_text="Empty: nothing is known of it; takes back the bill that was applied.",
    )
    not_usage = amount_field(
        label="Of it not for calls", required=False, min_value=Decimal(0), help_text="Stays unattributed."
    )
    uplift = amount_field(
        label="Spread at most, %",
        required=False,
        min_value=Decimal(0),
        help_text="Of what was booked; empty: all of the difference.",
    )
    reference = forms.CharField(max_length=200, required=False, help_text="The bill's number.")

    def clean_month(self) -> datetime:
        """Its first day."""
        try:
            return datetime.strptime(self.cleaned_data["month"], "%Y-%m")  # noqa: DTZ007 - a month, no instant
        except ValueError as error:
            raise forms.ValidationError("A month such as 2026-01 is expected.") from error

    def terms(self) -> dict[str, Any]:
        """What `load_bill` takes of a valid form."""
        values = dict(self.cleaned_data)
        uplift = values.pop("uplift")
        return values | {
            "month": values["month"].date(),
            "not_usage": values["not_usage"] or Decimal(0),
            "max_uplift": None if uplift is None else uplift / 100,
        }


@staff_page()
def vendor_bills(request: HttpRequest) -> HttpResponseBase:
    """The list."""
    rows = with_rest(list(visible(VendorBill, viewer_of(request))))
    context = {"may_load": may(request.user, Right.MANAGE_COSTS)}
    return BILLS.respond(request, rows, "billing/vendor_bills/list.html", context)


def with_rest(rows: Sequence[VendorBill]) -> Sequence[VendorBill]:
    """The bills with what no call explains."""
    for row in rows:
        row.rest = unattributed(row)  # type: ignore[attr-defined]
    return rows


@staff_page(Right.MANAGE_COSTS)
def new_vendor_bill(request: HttpRequest) -> HttpResponseBase:
    """The form; by POST the bill is loaded and its preview shown."""
    data = request.POST if request.method == "POST" else None
    form = BillForm(data, initial={name: request.GET.get(name, "") for name in ("vendor", "month", "model")})
    if data is not None and form.is_valid():
        try:
            bill = load_bill(**form.terms(), by=name_of(request))
            return redirect("vendor_bill", bill.public_id)
        except TollgateError as error:
            form.add_error(error.param if error.param in form.fields else None, error.message)
    context = {"form": form, "crumbs": crumbs("New")}
    return render(request, "billing/vendor_bills/new.html", context, status=422 if form.errors else 200)


@staff_page()
def vendor_bill(request: HttpRequest, reference: str) -> HttpResponseBase:
    """One bill: its figures, and each payer's share."""
    bill, viewer = find_bill(request, reference), viewer_of(request)
    with_rest([bill])
    listing = replace(SHARES, describe=partial(describe_shares, viewer, bill))
    context = {
        "bill": bill,
        "month": month_text(bill),
        "may_apply": bill.status == Status.PREVIEWED and may(request.user, Right.MANAGE_COSTS),
        "crumbs": crumbs(f"{bill.vendor} {month_text(bill)}"),
    }
    shares = visible(VendorBillShare, viewer).filter(bill=bill)
    return listing.respond(request, shares, "billing/vendor_bills/bill.html", context)


@staff_page(Right.MANAGE_COSTS)
def ask_vendor_bill(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Say what applying it, or throwing it away, does."""
    bill = find_bill(request, reference)
    if action == "discard":
        effect = "Nothing was applied yet: the preview goes, and nothing else changes."
    elif bill.total is None:
        effect = "The calls' costs are again what was booked; the shares of the bill before it go."
    else:
        effect = (
            "The margins of that month move by each call's share, for every payer listed. No customer "
            "pays more or less. A new bill may take its place; it is never edited."
        )
    question = Confirmation(
        title="Throw this preview away?" if action == "discard" else "Apply this bill?",
        effect=effect,
        verb="Throw away" if action == "discard" else "Apply",
        url=reverse("vendor_bill_do", args=[bill.public_id, action]),
        back_url=reverse("vendor_bill", args=[bill.public_id]),
        facts=[("Vendor", bill.vendor), ("Month", month_text(bill)), ("Calls", str(bill.calls))],
    )
    return ask(request, question)


@require_POST
@staff_page(Right.MANAGE_COSTS)
def do_vendor_bill(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Apply it, or throw its preview away."""
    bill = find_bill(request, reference)
    if action not in ("apply", "discard"):
        raise Http404
    try:
        if action == "discard":
            discard_bill(bill)
            messages.success(request, "Thrown away; nothing was applied.")
            return redirect("vendor_bills")
        begin_bill(bill, by=name_of(request))
        messages.success(request, "It is being applied, one payer after the other.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("vendor_bill", reference)


def describe_shares(viewer: Viewer, bill: VendorBill, rows: Sequence[VendorBillShare]) -> list[ShareRow]:
    """Shares of a page with names; one statement."""
    payers = visible(BillingEntity, viewer).select_related("customer")
    found = payers.in_bulk({row.billing_entity_id for row in rows})
    return [ShareRow(row, found[row.billing_entity_id], bill.currency) for row in rows]


def find_bill(request: HttpRequest, reference: str) -> VendorBill:
    """The bill of a public id; raises NotFound."""
    bill: VendorBill = find_referenced(visible(VendorBill, viewer_of(request)), "vb", reference)
    return bill


def crumbs(name: str) -> list[tuple[str, str]]:
    """The breadcrumbs of a bill."""
    return [("Vendor bills", reverse("vendor_bills")), (name, "")]
