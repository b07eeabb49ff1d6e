"""The plans, and one plan with its versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html

from accounts.permissions import Right, may
from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from core import clock
from core.display.html import ABSENT
from core.display.statuses import status_html
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import ANY
from core.pages.columns import Reader
from core.pages.listing import Listing
from pricing.api.plans import find_plan
from pricing.plan_rows import PlanRow, plan_rows


def draft_cell(row: PlanRow, reader: Reader) -> str:
    """Whether something waits to be published."""
    return status_html("draft", f"v{row.draft.number} draft") if row.draft else ABSENT


def latest_cell(row: PlanRow, reader: Reader) -> str:
    """The newest published version."""
    return format_html("v{}", row.latest.number) if row.latest else ABSENT


PLANS = Listing(
    key="plans",
    title="Plans",
    columns=(
        columns.text("plan.name", "Plan", sub="plan.key"),
        columns.text("plan.family", "Family"),
        columns.text("plan.currency", "Currency"),
        custom_column("latest", "Published", latest_cell, csv=lambda row: row.latest and row.latest.number),
        custom_column("draft", "Draft", draft_cell, csv=lambda row: row.draft and row.draft.number),
        columns.instant("latest.published_at", "Since", precision="day"),
        columns.quantity("running", "Subscriptions"),
        columns.quantity("behind", "On older versions", hint="They stay there until something moves them"),
        columns.identifier("plan.public_id", "Id").extra(),
    ),
    default_sort="plan_name",
    search=("plan.name", "plan.key", "plan.family"),
    search_hint="Search name or key",
    row_url=lambda row: reverse("plan", args=[row.plan.key]),
    empty_title="No plans yet",
    empty_text="Write the first one in the editor, or apply a directory with manage.py plans apply.",
)


class PlanFilters:
    """The plans of a currency or a family."""

    def __init__(self, data: Mapping[str, Any], queryset: Sequence[PlanRow], request: HttpRequest) -> None:
        self.form = forms.Form(data, use_required_attribute=False)
        self._rows = queryset
        for name in ("currency", "family"):
            found = sorted({getattr(row.plan, name) for row in queryset} - {""})
            choices = [ANY, *((word, word) for word in found)]
            self.form.fields[name] = forms.ChoiceField(required=False, choices=choices)

    @property
    def qs(self) -> list[PlanRow]:
        """The rows that fit; a choice that is not offered narrows nothing."""
        self.form.is_valid()
        wanted = {name: word for name, word in self.form.cleaned_data.items() if word}
        return [
            row for row in self._rows if all(getattr(row.plan, name) == word for name, word in wanted.items())
        ]


@staff_page()
def plans(request: HttpRequest) -> HttpResponseBase:
    """The list."""
    rows = plan_rows(viewer_of(request), clock.now())
    listing = replace(PLANS, filters=PlanFilters)
    context = {"may_change": may(request.user, Right.MANAGE_PRICES)}
    return listing.respond(request, rows, "pricing/plans/list.html", context)


@staff_page()
def plan(request: HttpRequest, reference: str) -> HttpResponseBase:
    """One plan: its versions, and who is on each."""
    found = find_plan(reference)
    (row,) = plan_rows(viewer_of(request), clock.now(), [found])
    context = {
        "row": row,
        "plan": found,
        "may_change": may(request.user, Right.MANAGE_PRICES),
        "crumbs": [("Plans", reverse("plans")), (found.name, "")],
    }
    return render(request, "pricing/plans/plan.html", context)
