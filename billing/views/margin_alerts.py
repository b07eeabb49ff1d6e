"""What staff was told of margins, and the rules on margins that fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.models import BillingEntity, Currency
from accounts.permissions import Right, may
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.margin_rules import create_rule, end_rule
from billing.margin_rules.verbs import DAYS_MAX
from billing.margins import Margin
from billing.models import MarginAlert, MarginRule
from billing.reports.comparing import currency_units
from billing.views.listings import DescribedListing
from billing.views.money_forms import amount_field
from billing.views.price_changes import name_of
from core.api.references import find_referenced
from core.errors import TollgateError
from core.numbers import plain
from core.pages import columns
from core.pages.cells import custom_column, link
from core.pages.choices import Words, filter_by
from core.pages.confirm import Confirmation, ask
from core.pages.listing import Listing, fragment

BELOW: Final = {"notify": "staff told", "deny": "calls refused"}
"""What happens below a floor, in words."""
WHY: Final = {
    "no_cost": "the first call whose cost nobody says; figures before it",
    "no_exchange_rate": "no exchange rate for the cost",
    "later_cost": "a cost that became known later",
}


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert with whom it is of."""

    alert: MarginAlert
    payer: BillingEntity | None
    unit: str | Currency

    @property
    def about(self) -> str:
        """Whose margin it is."""
        if self.payer is not None:
            return self.payer.name
        scope = self.alert.detail["scope"]
        return f"{scope.capitalize()} {self.alert.subject}".strip()

    @property
    def url(self) -> str:
        """The page of the payer; none for the whole, a plan or a model."""
        return "" if self.payer is None else reverse("margin_floor", args=[self.payer.public_id])

    @property
    def margin(self) -> Margin:
        """As it was when staff was told."""
        row = self.alert
        return Margin(events=row.events, costed=row.costed, revenue=row.revenue, known_cost=row.cost)

    @property
    def says(self) -> str:
        """The bound, in words."""
        row = self.alert
        if row.kind == MarginAlert.Kind.FALL:
            return f"fell {plain(row.bound)} points in {row.detail['days']} days"
        floor = f"floor {plain(row.bound * 100)} %, {BELOW[row.detail['action']]}"
        why = WHY.get(row.detail.get("why", ""), "")
        return f"{floor}; {why}" if why else floor


ALERTS = DescribedListing(
    key="margin-alerts",
    title="Alerts",
    prefix="a-",
    columns=(
        custom_column("about", "Of", lambda row, reader: link(row.url, row.about), csv=lambda row: row.about),
        columns.status("alert.kind", "What", sort=None),
        columns.text("says", "Bound", sort=None),
        columns.percent("margin.margin_rate", "Margin %", sort=None),
        columns.money("alert.revenue", "Revenue", currency="unit", sort=None),
        columns.money("alert.cost", "Known cost", currency="unit", sort=None),
        columns.percent("margin.cost_coverage", "Cost known", digits=0, sort=None),
        columns.instant("alert.raised_at", "Told", sort=None),
        columns.instant("alert.starts_at", "Period from", sort=None, precision="day").extra(),
        columns.instant("alert.ends_at", "To", sort=None, precision="day").extra(),
    ),
    order=("-id",),
    page_size=25,
    filters=filter_by(Words("a-kind", "kind", MarginAlert.Kind.choices)),
    empty_title="No margin asked for attention",
    empty_text="A period below its floor, a cost that nobody knows and a margin that fell are listed here.",
)


def scope_word(rule: MarginRule) -> str:
    """What a rule is about, in one word."""
    return str(rule.scope)


RULES = Listing(
    key="margin-rules",
    title="Rules",
    prefix="r-",
    columns=(
        custom_column(
            "scope", "Of", lambda row, reader: row.get_scope_display(), sort="scope", csv=scope_word
        ),
        columns.text("subject", "Plan or model", hint="Empty: each by itself"),
        columns.quantity("points", "Falls by", unit="points"),
        columns.quantity("days", "In", unit="days"),
        columns.instant("created_at", "Since", precision="day"),
        columns.text("created_by", "By"),
        custom_column("end", "", lambda row, reader: end_button(row)),
    ),
    default_sort="-created_at",
    empty_title="No rules yet",
    empty_text="A rule tells of the margin of the whole, a plan or a model when it falls.",
)


class RuleForm(forms.Form):
    """A rule to be."""

    scope = forms.ChoiceField(label="Margin of", choices=MarginRule.Scope.choices, required=True)
    subject = forms.CharField(
        label="Plan or model",
        max_length=200,
        required=False,
        help_text="A plan's key, or a model; empty: each.",
    )
    points = amount_field(label="Falls by, points", help_text="Percentage points: from 40 % to 35 % are 5.")
    days = forms.IntegerField(label="In days", min_value=1, max_value=DAYS_MAX, initial=7)


@staff_page()
def margin_alerts(request: HttpRequest) -> HttpResponseBase:
    """Alerts, rules, and the form of a new rule; by POST it is made."""
    viewer = viewer_of(request)
    may_rule = may(request.user, Right.MANAGE_COSTS)
    data = request.POST if request.method == "POST" and may_rule else None
    form = RuleForm(data)
    if data is not None and form.is_valid():
        try:
            create_rule(**form.cleaned_data, by=name_of(request))
            messages.success(request, "The rule holds from now on.")
            return redirect("margin_alerts")
        except TollgateError as error:
            form.add_error(error.param if error.param in form.fields else None, error.message)
    alerts, rules = visible(MarginAlert, viewer), visible(MarginRule, viewer).filter(ended_at=None)
    listing = described(ALERTS, viewer)
    if request.GET.get(f"{ALERTS.prefix}export") == "csv":
        return listing.csv(request, alerts)
    if request.GET.get(f"{RULES.prefix}export") == "csv":
        return RULES.csv(request, rules)
    tables = [listing.table(request, alerts), RULES.table(request, rules)]
    context: dict[str, Any] = {"tables": tables, "form": form, "may_rule": may_rule}
    status = 422 if form.errors else 200
    page = partial(render, request, "billing/margins/alerts.html", context, status=status)
    return fragment(request, *tables) or page()


@staff_page(Right.MANAGE_COSTS)
def ask_end_margin_rule(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Say what ending a rule does."""
    rule = find_referenced(visible(MarginRule, viewer_of(request)), "mr", reference)
    question = Confirmation(
        title="End this rule?",
        effect="Nobody is told of such a fall any more. What was told stays.",
        verb="End it",
        url=reverse("margin_rule_end", args=[rule.public_id]),
        back_url=reverse("margin_alerts"),
    )
    return ask(request, question)


@require_POST
@staff_page(Right.MANAGE_COSTS)
def end_margin_rule(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Look no more."""
    rule = find_referenced(visible(MarginRule, viewer_of(request)), "mr", reference)
    try:
        end_rule(rule)
        messages.success(request, "The rule has ended.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("margin_alerts")


def described(listing: DescribedListing, viewer: Viewer) -> DescribedListing:
    """The listing of alerts, with the names of payers."""
    return replace(listing, describe=partial(describe_alerts, viewer))


def describe_alerts(viewer: Viewer, rows: Sequence[MarginAlert]) -> list[AlertRow]:
    """Alerts of a page with names; two statements."""
    ids = {row.billing_entity_id for row in rows if row.billing_entity_id is not None}
    payers, units = visible(BillingEntity, viewer).in_bulk(ids), currency_units()
    return [
        AlertRow(row, payers.get(row.billing_entity_id or 0), units.get(row.currency, row.currency))
        for row in rows
    ]


def end_button(row: MarginRule) -> str:
    """Asks to end a rule."""
    return link(reverse("margin_rule_ask", args=[row.public_id]), "End")
