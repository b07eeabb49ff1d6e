"""What was refused and what went below the floor, over all customers: two lists, each with its sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts.models import BillingEntity, Currency
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Denial, Overspend
from billing.reports.comparing import currency_units
from billing.reports.refusals import REFUSING, Group, denial_groups, overspend_groups, sum_of
from billing.views.denials import DENIALS, OVERSPENDS, DenialRow, OverspendRow, denial_rows
from core import clock
from core.pages import columns
from core.pages.choices import Words, filter_by

PERIODS: Final = {"day": 1, "week": 7, "month": 30, "quarter": 92}
"""The word of a period -> its days."""
CHOICES: Final = [
    ("day", "Last 24 hours"),
    ("week", "Last 7 days"),
    ("month", "Last 30 days"),
    ("quarter", "Last 92 days"),
]
CUSTOMER: Final = columns.text("payer.customer.name", "Customer", sort=None, sub="payer.name")
ALL_DENIALS: Final = replace(
    DENIALS,
    prefix="",
    columns=(CUSTOMER, *(one for one in DENIALS.columns if one.key != "payer_name")),
    filters=filter_by(
        Words("reason", "reason", Denial.Reason.choices), Words("level", "level", list(REFUSING.items()))
    ),
    row_url=lambda row: reverse("customer_denials", args=[row.payer.customer.public_id]),
    keeps=("period",),
)
ALL_OVERSPENDS: Final = replace(
    OVERSPENDS,
    prefix="",
    columns=(CUSTOMER, *(one for one in OVERSPENDS.columns if one.key != "payer_name")),
    order=("-recorded_at", "-billing_entity_id", "-seq"),
    filters=filter_by(Words("cause", "cause", Overspend.Cause.choices)),
    keeps=("period",),
)


class PeriodForm(forms.Form):
    """Of how long."""

    period = forms.ChoiceField(choices=CHOICES)


@staff_page()
def denials(request: HttpRequest) -> HttpResponseBase:
    """Refused calls: how many by reason and level, then each."""
    viewer, units = viewer_of(request), currency_units()
    period, since = chosen_period(request)
    context = sums_context(period, denial_groups(viewer, since), units)
    listing = replace(ALL_DENIALS, describe=partial(describe_denials, viewer, units))
    rows = visible(Denial, viewer).filter(denied_at__gte=since)
    return listing.respond(request, rows, "billing/refusals/denials.html", context)


@staff_page()
def overspends(request: HttpRequest) -> HttpResponseBase:
    """Usage that went below the floor: how much by cause, then each."""
    viewer, units = viewer_of(request), currency_units()
    period, since = chosen_period(request)
    context = sums_context(period, overspend_groups(viewer, since), units)
    listing = replace(ALL_OVERSPENDS, describe=partial(describe_overspends, viewer, units))
    rows = visible(Overspend, viewer).filter(recorded_at__gte=since)
    return listing.respond(request, rows, "billing/refusals/overspends.html", context)


def chosen_period(request: HttpRequest) -> tuple[str, datetime]:
    """The word of the period in the address (a week where it makes no sense), and when it begins."""
    word = request.GET.get("period", "")
    word = word if word in PERIODS else "week"
    return word, clock.now() - timedelta(days=PERIODS[word])


def sums_context(period: str, groups: Sequence[Group], units: Mapping[str, Currency]) -> dict[str, Any]:
    """What stands above the list."""
    return {
        "form": PeriodForm(initial={"period": period}),
        "as_of": clock.now(),
        "groups": [
            (group, REFUSING.get(group.words[-1], group.words[-1]), with_units(group.amounts, units))
            for group in groups
        ],
        "number": sum(group.number for group in groups),
        "sums": with_units(sum_of(groups), units),
    }


def with_units(amounts: Mapping[str, Any], units: Mapping[str, Currency]) -> list[tuple[Any, Any]]:
    """(amount, unit) of each currency."""
    return [(amount, units.get(code, code)) for code, amount in sorted(amounts.items())]


def describe_denials(
    viewer: Viewer, units: Mapping[str, Currency], rows: Sequence[Denial]
) -> list[DenialRow]:
    """Denials of a page with names: a statement more than those of one customer, for their payers."""
    return denial_rows(viewer, _payers(viewer, rows), units, rows)


def describe_overspends(
    viewer: Viewer, units: Mapping[str, Currency], rows: Sequence[Overspend]
) -> list[OverspendRow]:
    """Overspend of a page with names, in one statement."""
    payers = _payers(viewer, rows)
    return [
        OverspendRow(row, payer, units.get(payer.currency, payer.currency))
        for row in rows
        if (payer := payers.get(row.billing_entity_id)) is not None
    ]


def _payers(viewer: Viewer, rows: Sequence[Denial] | Sequence[Overspend]) -> dict[int, BillingEntity]:
    payers = visible(BillingEntity, viewer).select_related("customer")
    return payers.in_bulk({row.billing_entity_id for row in rows})
