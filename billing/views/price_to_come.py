""" "Your price is changing": the member's page, and the same as staff see it of a customer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel.dates import format_date
from dateutil.relativedelta import relativedelta
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from accounts.models import Currency, User
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.reports.coming_prices import ComingPrice, coming_prices
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame
from billing.rollouts import acknowledge_member
from billing.views.frame import frame_context, open_frame
from billing.views.member import framed, member_page
from billing.views.price_change_forms import LimitsForm
from billing.views.price_change_members import overage_meters
from core import clock
from core.api.references import find_referenced
from core.display.charts import Chart, Series
from core.display.locale import locale_of
from core.errors import TollgateError
from pricing.comparing import UNCHANGED, Comparison, price_change
from pricing.models import RolloutMember
from pricing.views.versions import find_version

OPERATORS_OWN: Final = frozenset({"margin_floor", "family", "plan", "proration"})
"""Terms of a plan that are no price."""


@member_page
def member_price_change(request: HttpRequest, frame: CustomerFrame) -> HttpResponseBase:
    """What is coming, in the customer's own usage; by POST it is accepted, with limits or without."""
    viewer, now = viewer_of(request), clock.now()
    may_accept = may(request.user, Right.MANAGE_LIMITS, frame.customer.pk)
    if request.method == "POST":
        if not may_accept:
            raise PermissionDenied
        _accept(request, frame)
        return redirect(request.get_full_path())
    coming = coming_prices(viewer, frame.payers, now)
    context = {"coming": [shown(request, one) for one in coming], "as_of": now, "may_accept": may_accept}
    return render(request, "billing/member/price_change.html", framed(request, frame) | context)


@staff_page()
def customer_price_change(request: HttpRequest, reference: str, version_id: str = "") -> HttpResponseBase:
    """The same for staff, before the customer is told; with a version, as if that one came."""
    frame, viewer, now = open_frame(request, reference), viewer_of(request), clock.now()
    version = find_version(viewer, version_id) if version_id else None
    coming = coming_prices(viewer, frame.payers, now, is_told=False, hypothetical=version)
    context = frame_context(request, frame, "customer_price_change")
    context |= {"coming": [shown(request, one) for one in coming], "as_of": now, "version": version}
    return render(request, "billing/customer/price_change.html", context)


def shown(request: HttpRequest, coming: ComingPrice) -> dict[str, Any]:
    """A price to come with what a page needs to draw it."""
    assert coming.upcoming.upcoming is not None
    units: Mapping[str, Currency] = currency_units()
    code = coming.payer.currency
    unit = units.get(code, code)
    comparison = for_customers(coming.comparison)
    return {
        "coming": coming,
        "unit": unit,
        "old": coming.upcoming.current.terms,
        "new": coming.upcoming.upcoming.terms,
        "periods": [
            (label_of(request, coming, kind, statement), kind, statement, coming.lines_of(statement))
            for kind, statement in coming.statements
        ],
        "chart": periods_chart(request, coming, unit),
        "components": [
            (pair, coming.labels.get(pair.key), [(row, price_change(row)) for row in pair.prices])
            for pair in comparison.components
        ],
        "comparison": comparison,
        "changes_prices": not comparison.is_same,
        "form": LimitsForm(None, coming.overages, coming.member.limits if coming.member else None),
    }


def for_customers(comparison: Comparison) -> Comparison:
    """What a customer sees of a comparison: what changes for it, and nothing of the operator's margin."""
    facts = [pair for pair in comparison.facts if pair.key not in OPERATORS_OWN]
    return replace(
        comparison,
        facts=tuple(facts),
        fees=tuple(pair for pair in comparison.fees if pair.mark != UNCHANGED),
        credits=tuple(pair for pair in comparison.credits if pair.mark != UNCHANGED),
        entitlements=tuple(pair for pair in comparison.entitlements if pair.mark != UNCHANGED),
        components=tuple(pair for pair in comparison.components if pair.mark != UNCHANGED),
    )


def periods_chart(request: HttpRequest, coming: ComingPrice, unit: str | Currency) -> Chart:
    """The customer's periods under both prices, beside each other."""
    statements = coming.statements
    labels = [label_of(request, coming, kind, statement) for kind, statement in statements]
    olds = [statement.current for _, statement in statements]
    news: Sequence[Any] = [statement.upcoming for _, statement in statements]
    return Chart(
        key=f"periods-{coming.upcoming.id}",
        title="Your periods under both prices",
        labels=labels,
        series=[
            Series(label="Price now", values=olds, colour=6),
            Series(label="Price to come", values=news, colour=1),
        ],
        unit=unit,
        category="Period",
    )


def label_of(request: HttpRequest, coming: ComingPrice, kind: str, statement: Any) -> str:
    """How a period is called: by its month or its days, or what it is of the present one."""
    if kind == "so_far":
        return "This period so far"
    if kind == "projection":
        return "This period, projected"
    zone, locale = ZoneInfo(coming.payer.time_zone), locale_of(request)
    first, end = (at.astimezone(zone).date() for at in (statement.start, statement.end))
    if first.day == 1 and end == first + relativedelta(months=1):
        return format_date(first, "MMM y", locale=locale)
    last = end - timedelta(days=1)
    return f"{format_date(first, 'd MMM', locale=locale)} to {format_date(last, 'd MMM y', locale=locale)}"


def _accept(request: HttpRequest, frame: CustomerFrame) -> None:
    """Accept one price change; another customer's is not found."""
    rows = visible(RolloutMember, viewer_of(request)).filter(customer=frame.customer)
    rows = rows.exclude(notified_at=None).select_related(
        "rollout", "subscription__version", "from_version__plan", "to_version__plan"
    )
    row = find_referenced(rows, "rom", request.POST.get("member", ""))
    form = LimitsForm(request.POST, overage_meters(row))
    if not form.is_valid():
        messages.error(request, "A limit is a number of 0 or more. Nothing was changed.")
        return
    by = request.user.email if isinstance(request.user, User) else ""
    try:
        acknowledge_member(row.rollout, row.subscription, limits=form.limits(), by=by)
        messages.success(request, "Accepted. You can change your limits until then.")
    except TollgateError as error:
        messages.error(request, error.message)
