"""Customers by margin, those below their floor first, and a payer's own floor."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.models import BillingEntity
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.margin_floors import remove_floor, set_floor
from billing.models import MarginAlert, PayerMarginFloor
from billing.reports.margins import PayerMargin, payer_margins, version_floors
from billing.views.margin_alerts import ALERTS, BELOW, described
from billing.views.money_forms import amount_field
from core import clock
from core.api.references import find_referenced
from core.display.html import ABSENT, money_html
from core.errors import TollgateError
from core.numbers import CONTEXT, plain
from core.pages import columns
from core.pages.cells import custom_column, not_comparable
from core.pages.columns import Reader
from core.pages.listing import Listing

HUNDRED: Final = Decimal(100)


def margin_cell(row: PayerMargin, reader: Reader) -> str:
    """Revenue less known cost; or why that says nothing."""
    if row.margin.margin is None and row.obstacle:
        return not_comparable(row.obstacle)
    return money_html(row.margin.margin, row.unit, reader.locale)


def below_cell(value: object, row: object, reader: Reader) -> str:
    """What happens below the floor; nothing where there is none."""
    return BELOW[str(value)].capitalize() if value else ABSENT


MARGINS = Listing(
    key="margins",
    title="Margins",
    columns=(
        columns.text("name", "Payer", sub="customer"),
        columns.status("state", "State", sort="order"),
        columns.percent("margin.margin_rate", "Margin %"),
        columns.percent("min_margin", "Floor", hint="The share of the revenue that must stay"),
        replace(columns.text("action", "Below it"), cell=below_cell),
        columns.money("margin.revenue", "Revenue", currency="unit", sort=None),
        columns.money("margin.cost", "Known cost", currency="unit", sort=None),
        custom_column(
            "margin",
            "Margin",
            margin_cell,
            is_numeric=True,
            csv=lambda row: row.margin.margin,
        ),
        columns.percent(
            "margin.cost_coverage", "Cost known", digits=0, hint="The part of the events whose cost is known"
        ),
        columns.instant("starts_at", "Since", zone_path="payer.time_zone", precision="day").extra(),
        columns.instant("ends_at", "Until", zone_path="payer.time_zone", precision="day").extra(),
    ),
    default_sort="state",
    search=("name", "customer", "payer.public_id"),
    search_hint="Search payer or customer",
    row_url=lambda row: reverse("margin_floor", args=[row.payer.public_id]),
    empty_title="Nothing was used yet",
    empty_text="A payer is listed here with its first usage or fee.",
)


class FloorForm(forms.Form):
    """A payer's own floor."""

    percent = forms.DecimalField(
        label="Must stay, %",
        min_value=Decimal(0),
        max_value=HUNDRED,
        max_digits=19,
        decimal_places=16,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text="Of the period's revenue, after vendor cost.",
    )
    min_volume = amount_field(
        label="Once revenue reached", min_value=Decimal(0), initial=Decimal(0), help_text="In the period."
    )
    action = forms.ChoiceField(
        label="Below it",
        choices=[("notify", "Tell staff, once a period"), ("deny", "Refuse calls, and tell staff")],
        widget=forms.RadioSelect,
        initial="notify",
    )


@staff_page()
def margins(request: HttpRequest) -> HttpResponseBase:
    """The list."""
    now = clock.now()
    rows, comparison = payer_margins(viewer_of(request), now)
    context = {
        "as_of": now,
        "comparison": comparison,
        "below": sum(row.state == "below_floor" for row in rows),
        "watched": sum(row.floor is not None for row in rows),
    }
    return MARGINS.respond(request, rows, "billing/margins/list.html", context)


@staff_page()
def margin_floor(request: HttpRequest, reference: str) -> HttpResponseBase:
    """A payer's floor and what was told of its margin; by POST its own floor is set."""
    payer = find_payer(request, reference)
    may_set = may(request.user, Right.MANAGE_LIMITS)
    own = visible(PayerMarginFloor, viewer_of(request)).filter(billing_entity=payer).first()
    data = request.POST if request.method == "POST" and may_set else None
    form = FloorForm(data, initial=first_values(own))
    form.fields["min_volume"].label = f"Once revenue reached, in {payer.currency}"
    if data is not None and form.is_valid():
        values = form.cleaned_data
        share = CONTEXT.divide(values["percent"], HUNDRED)
        set_floor(payer, min_margin=share, min_volume=values["min_volume"], action=values["action"])
        messages.success(request, f"The floor of {payer.name} holds from its next call on.")
        return redirect("margin_floor", reference)
    context = floor_context(request, payer) | {"own": own, "form": form, "may_set": may_set}
    return render(request, "billing/margins/floor.html", context, status=422 if form.errors else 200)


def floor_context(request: HttpRequest, payer: BillingEntity) -> dict[str, Any]:
    """What is known of a payer's margin: its running period, its plan's floor, and what was told."""
    viewer, now = viewer_of(request), clock.now()
    rows, _ = payer_margins(viewer, now)
    alerts = visible(MarginAlert, viewer).filter(billing_entity_id=payer.pk)
    return {
        "payer": payer,
        "row": next((row for row in rows if row.payer.pk == payer.pk), None),
        "of_version": version_floors(viewer, now).get(payer.pk),
        "table": described(ALERTS, viewer).table(request, alerts),
        "crumbs": [("Margins", reverse("margins")), (payer.name, "")],
    }


@require_POST
@staff_page(Right.MANAGE_LIMITS)
def margin_floor_remove(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Let the floors of its plan versions hold again."""
    payer = find_payer(request, reference)
    try:
        remove_floor(payer)
        messages.success(request, f"{payer.name} has no floor of its own any more.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("margin_floor", reference)


def first_values(own: PayerMarginFloor | None) -> dict[str, Any]:
    """What stands in the form when it opens: the payer's own floor as it is."""
    if own is None:
        return {}
    percent = plain(CONTEXT.multiply(own.min_margin, HUNDRED))
    return {"percent": percent, "min_volume": plain(own.min_volume), "action": own.action}


def find_payer(request: HttpRequest, reference: str) -> BillingEntity:
    """The payer of an id; raises NotFound."""
    payers = visible(BillingEntity, viewer_of(request)).select_related("customer")
    payer: BillingEntity = find_referenced(payers, "be", reference)
    return payer
