"""The style guide's pages. They need no database and show nothing but made figures."""

from __future__ import annotations

from decimal import Decimal
from functools import wraps
from typing import Any, Protocol

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from core.pages import columns
from core.pages.confirm import Confirmation, ask, wrong_word
from core.pages.listing import Listing
from core.pages.shell import Shell
from core.styleguide.examples import NOW, ExampleCustomer, example_charts, example_course, example_customers


class View(Protocol):
    """A view function."""

    __name__: str

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""


class ExampleShell(Shell):
    """The shell as staff see it, or a member with `?as=member`."""

    is_staff = property(lambda self: self.request.GET.get("as") != "member")


class ExampleFilters:
    """Filters of a list of plain objects, in the shape of a django-filter `FilterSet`."""

    class Form(forms.Form):
        status = forms.ChoiceField(
            required=False,
            choices=[("", "Any"), ("active", "Active"), ("past_due", "Past due"), ("suspended", "Suspended")],
        )
        currency = forms.ChoiceField(
            required=False, choices=[("", "Any"), ("USD", "USD"), ("EUR", "EUR"), ("JPY", "JPY")]
        )

    def __init__(self, data: Any, queryset: Any, request: HttpRequest) -> None:
        self.form = self.Form(data)
        self.rows: list[ExampleCustomer] = queryset

    @property
    def qs(self) -> list[ExampleCustomer]:
        """The rows that fit."""
        self.form.is_valid()
        wanted = {name: value for name, value in self.form.cleaned_data.items() if value}
        return [
            row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items())
        ]


CUSTOMERS = Listing(
    key="example-customers",
    title="Customers",
    columns=(
        columns.text("name", "Customer", sub="external_id"),
        columns.status("status", "Status"),
        columns.quantity("calls", "Calls"),
        columns.money("revenue", "Revenue", currency="currency"),
        columns.money("cost", "Cost", currency="currency", hint="What vendors charged, where it is known"),
        columns.percent("margin", "Margin"),
        columns.money("balance", "Balance", currency="currency"),
        columns.ago("last_call_at", "Last call"),
        columns.instant("last_call_at", "Last call at", zone_path="zone").extra(),
        columns.text("plan", "Plan").extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-revenue",
    search=("name", "external_id", "public_id"),
    search_hint="Search name or id",
    filters=ExampleFilters,
    row_url=lambda row: f"{reverse('styleguide')}?customer={row.public_id}",
    page_size=25,
    live_seconds=2,
)


def for_builders(view: View) -> View:
    """Only with DEBUG or in the demo; elsewhere there is no such page."""

    @wraps(view)
    def guarded(request: HttpRequest) -> HttpResponseBase:
        if not (settings.DEBUG or getattr(settings, "TOLLGATE_DEMO", False)):
            raise Http404
        return view(request)

    return guarded


@for_builders
def styleguide(request: HttpRequest) -> HttpResponseBase:
    """Every component on one page."""
    context = {
        "shell": ExampleShell(request),
        "crumbs": [("Customers", reverse("styleguide_list")), ("Northwind Labs", "")],
        "charts": example_charts(),
        "course": example_course(1),
        "at": NOW,
        "numbers": {"large": Decimal("1284310.275"), "small": Decimal("0.00025"), "loss": Decimal("-312.4")},
        "tabs": [
            ("Overview", "#", True, None),
            ("Usage charges", "#", False, "8,819"),
            ("Grants", "#", False, 3),
        ],
        "form": ExampleForm({"name": "Quill & Co", "amount": "abc", "currency": "EUR"}),
        "curl": "curl http://127.0.0.1:8000/v1/charges \\\n  -H 'Authorization: Bearer tg_example' -d @a",
    }
    return render(request, "styleguide/index.html", context)


@for_builders
def styleguide_list(request: HttpRequest) -> HttpResponseBase:
    """A list page with everything a list can have."""
    rows = [] if "empty" in request.GET else example_customers()
    return CUSTOMERS.respond(request, rows, context={"shell": ExampleShell(request), "search_text": ""})


@for_builders
def styleguide_confirm(request: HttpRequest) -> HttpResponseBase:
    """A question before money moves."""
    back = reverse("styleguide")
    confirmation = Confirmation(
        title="Write off the receivable?",
        effect="The receivable is closed and the amount is booked to leakage. The customer is not charged.",
        facts=[("Payer", "Northwind Labs GmbH"), ("Amount", "USD 1,284.31"), ("Charges", "412")],
        verb="Write off USD 1,284.31",
        url=reverse("styleguide_confirm"),
        back_url=back,
        word="northwind",
        is_danger=True,
    )
    if request.method != "POST":
        return ask(request, confirmation)
    if again := wrong_word(request, confirmation):
        return again
    messages.success(request, "Written off: USD 1,284.31.")
    return HttpResponseRedirect(back)


class ExampleForm(forms.Form):
    """A form with a mistake in it."""

    name = forms.CharField(label="Company name", help_text="As it stands on documents.")
    reference = forms.CharField(label="Reference", required=False)
    amount = forms.DecimalField(
        label="Amount", help_text="Debited at once.", widget=forms.TextInput(attrs={"inputmode": "decimal"})
    )
    currency = forms.ChoiceField(choices=[("USD", "USD"), ("EUR", "EUR")])
    note = forms.CharField(label="Note", required=False, widget=forms.Textarea(attrs={"rows": 3}))
    notify = forms.BooleanField(label="Tell the customer by e-mail", required=False)
