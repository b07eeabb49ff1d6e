"""What gateways counted and payment providers list: looked at, and loaded from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.imports.rows import FORMATS, Row, read_rows
from billing.models import GatewayCount, ProviderPayment
from billing.outside.gateway_counts import SOURCE, LoadReport, RowProblem, counts_in, load_counts
from billing.outside.payments import PaymentRow, load_payments, payments_in
from billing.views.listings import DescribedListing
from billing.views.price_changes import name_of
from core.audit import Source, audited
from core.display.statuses import status_html
from core.errors import InvalidRequest, TollgateError
from core.ids import public_id
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Words, filter_by
from core.pages.listing import Listing

FILE_MAX: Final = 20 << 20
ROWS_MAX: Final = 100_000
PROBLEMS_MAX: Final = 20
STANDING: Final = custom_column(
    "standing",
    "Status",
    lambda row, reader: standing_html(row),
    csv=lambda row: "superseded" if row.superseded_at else "standing",
)
COUNTS: Final = DescribedListing(
    key="gateway-counts",
    title="Gateway counts",
    columns=(
        columns.instant("hour", "Hour"),
        custom_column(
            "api_key",
            "Key",
            lambda row, reader: public_id("key", row.api_key_id),
            csv=lambda row: public_id("key", row.api_key_id),
        ),
        columns.text("event", "Event"),
        columns.text("source", "Gateway"),
        columns.quantity("calls", "Calls"),
        columns.instant("counted_until", "Counted until"),
        STANDING,
        columns.instant("loaded_at", "Loaded").extra(),
        columns.text("loaded_by", "By").extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    order=("-hour", "-id"),
    search=("source", "event"),
    search_hint="Search gateway or event",
    empty_title="No gateway has been heard of yet",
    empty_text="Load what your gateway counted per key and hour, and it is held against what was recorded.",
)
PAYMENTS: Final = Listing(
    key="provider-payments",
    title="Provider payments",
    columns=(
        columns.text("external_id", "Payment", sub="reference"),
        columns.text("provider", "Provider"),
        columns.text("kind", "Kind"),
        columns.money("amount", "Amount", currency="currency"),
        columns.instant("happened_at", "At"),
        STANDING,
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-happened_at",
    filters=filter_by(Words("kind", "kind", ProviderPayment.Kind.choices)),
    search=("external_id", "provider", "reference"),
    search_hint="Search payment, provider or reference",
    empty_title="No list has been loaded yet",
    empty_text="Load a provider's list, and it is held against top-ups and adjustments that name a payment.",
)


def standing_html(row: Any) -> str:
    """Whether it stands, or a newer statement took its place."""
    return status_html("superseded") if row.superseded_at else status_html("accepted", "Standing")


class FileForm(forms.Form):
    """A file, and what it is."""

    file = forms.FileField(help_text="CSV with a header, or JSONL; 20 MB at most.")
    format = forms.ChoiceField(choices=[(one, one.upper()) for one in FORMATS], initial=FORMATS[0])

    def clean_file(self) -> UploadedFile[Any]:
        """A file that is not too large to be read at once."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if file.size is None or file.size > FILE_MAX:
            raise forms.ValidationError("A file may have 20 MB here; larger ones are loaded by the command.")
        return file


class CountsForm(FileForm):
    """A gateway's counts."""

    source = forms.CharField(max_length=100, initial=SOURCE, help_text="Which gateway counted.")


class PaymentsForm(FileForm):
    """A provider's list."""

    provider = forms.CharField(
        max_length=40, help_text="The word before the colon in stripe:pi_1, small letters."
    )


@staff_page()
def gateway_counts(request: HttpRequest) -> HttpResponseBase:
    """The counts, the latest hour first."""
    context = {"new_url": _new(request, "gateway_counts_new"), "verb": "Load counts", "about": ABOUT_COUNTS}
    rows = visible(GatewayCount, viewer_of(request))
    return COUNTS.respond(request, rows, "billing/reconciliation/outside.html", context)


@staff_page()
def provider_payments(request: HttpRequest) -> HttpResponseBase:
    """The payments."""
    context = {"new_url": _new(request, "provider_payments_new"), "verb": "Load a list", "about": ABOUT_LISTS}
    rows = visible(ProviderPayment, viewer_of(request))
    return PAYMENTS.respond(request, rows, "billing/reconciliation/outside.html", context)


@staff_page(Right.MOVE_MONEY)
def new_gateway_counts(request: HttpRequest) -> HttpResponseBase:
    """Load a gateway's file."""
    form = CountsForm(request.POST, request.FILES) if request.method == "POST" else CountsForm()
    problems: list[RowProblem] = []
    if form.is_bound and form.is_valid():
        try:
            with audited(Source.UI, name_of(request)):
                report = _load_counts(form.cleaned_data, name_of(request))
            messages.success(request, f"{report.added} added, {report.unchanged} unchanged.")
            if not report.problems:
                return redirect("gateway_counts")
            problems = report.problems[:PROBLEMS_MAX]
        except TollgateError as error:
            form.add_error(error.param if error.param in form.fields else None, error.message)
    return _form(request, form, "Load a gateway's counts", "gateway_counts", ABOUT_COUNTS, problems)


@staff_page(Right.MOVE_MONEY)
def new_provider_payments(request: HttpRequest) -> HttpResponseBase:
    """Load a provider's file, whole or not at all."""
    form = PaymentsForm(request.POST, request.FILES) if request.method == "POST" else PaymentsForm()
    if form.is_bound and form.is_valid():
        values, by = form.cleaned_data, name_of(request)
        provider = UploadedProvider(values["provider"], _rows(values))
        try:
            with audited(Source.UI, by):
                made = load_payments(provider, name=str(values["file"].name)[:200], by=by)
            messages.success(request, f"{made.rows} rows: {made.added} added, {made.superseded} superseded.")
            return redirect("provider_payments")
        except TollgateError as error:
            form.add_error(error.param if error.param in form.fields else None, error.message)
    return _form(request, form, "Load a provider's list", "provider_payments", ABOUT_LISTS, [])


@dataclass(frozen=True, slots=True)
class UploadedProvider:
    """An uploaded list, as a payment provider."""

    name: str
    rows: Iterable[Row]

    def payments(self) -> Iterator[PaymentRow]:
        """Its rows; an error names the line."""
        return payments_in(self.rows)


def _load_counts(values: dict[str, Any], by: str) -> LoadReport:
    wrong = LoadReport()
    rows = list(islice(counts_in(_rows(values), wrong), ROWS_MAX + 1))
    if len(rows) > ROWS_MAX:
        raise InvalidRequest("too_many_rows", f"{ROWS_MAX:,} rows at most; load it in parts.", "file")
    report = load_counts(rows, source=values["source"], by=by)
    report.add(wrong)
    return report


def _rows(values: dict[str, Any]) -> Iterator[Row]:
    return read_rows(values["file"].file, values["format"])


def _new(request: HttpRequest, name: str) -> str:
    return reverse(name) if may(request.user, Right.MOVE_MONEY) else ""


def _form(
    request: HttpRequest, form: FileForm, title: str, back: str, about: str, problems: list[RowProblem]
) -> HttpResponseBase:
    context = {
        "form": form,
        "title": title,
        "about": about,
        "back_url": reverse(back),
        "problems": [(one.number + 1, one.error.message) for one in problems],
        "crumbs": [(back.replace("_", " ").capitalize(), reverse(back)), ("Load", "")],
    }
    status = 422 if form.errors or problems else 200
    return render(request, "billing/reconciliation/load.html", context, status=status)


ABOUT_COUNTS: Final = (
    "Columns: api_key (key_… or the SHA-256 of the secret), hour, calls, and event where calls of one event"
    " alone were counted. The same file again changes nothing; a newer count of an hour supersedes."
)
ABOUT_LISTS: Final = (
    "Columns: id, kind (payment, refund, payout), amount, currency, at, reference, and billing_entity where"
    " the list knows whose it is. The list is taken as all that happened in the time that it covers."
)
