"""Spend limits and their fill: over all customers, of one customer, and the customer's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html

from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Alert, SpendLimit
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame
from billing.reports.entitlements import entitlement_rows
from billing.reports.limits import (
    AlertRow,
    LimitRow,
    describe_alerts,
    describe_limits,
    standing_limits,
    with_fill,
)
from billing.reports.refusals import LEVELS
from billing.views.frame import frame_context, open_frame
from billing.views.listings import DescribedListing
from billing.views.member import framed, member_page
from core import clock
from core.display.html import money_html
from core.display.sparklines import fill_html
from core.display.statuses import status_html
from core.numbers import ONE, plain
from core.pages import columns
from core.pages.cells import custom_column, with_sub
from core.pages.choices import Words, filter_by
from core.pages.columns import Reader
from core.pages.listing import fragment

SET_BY: Final = [("staff", "Operator"), ("customer", "Customer")]
KINDS: Final = [("soft", "Tells"), ("hard", "Refuses")]


def amount_cell(value: object, row: LimitRow, reader: Reader) -> str:
    """The amount, to its last decimal, over its window."""
    return with_sub(money_html(value, row.unit, reader.locale, exact=True), row.window)


def used_cell(value: object, row: LimitRow, reader: Reader) -> str:
    """What is used over what is held."""
    used = money_html(value, row.unit, reader.locale)
    if not row.fill.held:
        return used
    return with_sub(used, format_html("{} held", money_html(row.fill.held, row.unit, reader.locale)))


def fill_cell(row: LimitRow, reader: Reader) -> str:
    """How full it is: the share in words, over a bar of what is used and held."""
    return fill_html(row.fill.used, row.fill.held, row.limit.amount, reader.locale, "limit")


def kind_cell(row: LimitRow, reader: Reader) -> str:
    """What happens at it, and whether it is there: none where another currency is paid."""
    if row.fill.passed_over_in is not None:
        return status_html("passed_over", f"Paid in {row.fill.passed_over_in}", "warn")
    is_reached = row.filled is None or row.filled >= ONE  # one of nothing is reached by the first call
    if row.limit.kind == SpendLimit.Kind.SOFT:
        return status_html("soft", "Reached, tells", "warn") if is_reached else status_html("soft", "Tells")
    return status_html("denied", "Refuses now") if is_reached else status_html("hard", "Refuses", "info")


def set_by_cell(value: object, row: LimitRow, reader: Reader) -> str:
    """Who set it, as the filter has it."""
    return dict(SET_BY)[row.limit.set_by]


def threshold_cell(row: AlertRow, reader: Reader) -> str:
    """`80 %` of a limit, or the amount that was crossed."""
    alert = row.alert
    if alert.kind == Alert.Kind.SPEND_LIMIT:
        return format_html("{}%", plain(alert.threshold))
    return money_html(alert.threshold, row.unit, reader.locale)


LIMITS: Final = DescribedListing(
    key="limits",
    title="Spend limits",
    columns=(
        custom_column(
            "name", "Whose spend", lambda row, reader: with_sub(row.name, row.level), csv=lambda row: row.name
        ),
        replace(columns.money("limit.amount", "At most", currency="unit", sort=None), cell=amount_cell),
        custom_column("filled", "Full", fill_cell, is_numeric=True, csv=lambda row: row.filled),
        replace(columns.money("fill.used", "Used", currency="unit", sort=None), cell=used_cell),
        columns.instant("fill.resets_at", "Resets", zone_path="limit.time_zone", sort=None),
        custom_column("kind", "At the limit", kind_cell, csv=lambda row: row.limit.kind),
        replace(columns.text("limit.set_by", "Set by", sort=None), cell=set_by_cell),
        columns.money("fill.held", "Held", currency="unit", sort=None, hint="By open holds").extra(),
        columns.text("window", "Window", sort=None).extra(),
        columns.instant("limit.created_at", "Since", precision="day", sort=None).extra(),
        columns.identifier("limit.public_id", "Id").extra(),
    ),
    order=("-id",),
    filters=filter_by(
        Words("level", "level", list(LEVELS.items())),
        Words("kind", "kind", KINDS),
        Words("set_by", "set_by", SET_BY),
    ),
    empty_title="No limits",
    empty_text="A spend limit bounds what a key, workspace, meter, organization or payer may spend.",
)
_HIDDEN: Final = {"limit_set_by", "fill_held", "window", "limit_public_id"}
FILLS: Final = [("0.8", "80% or more"), ("1", "Reached")]
_SORTED: Final = {"filled": "filled", "limit_created_at": "pk"}  # as they came is as they are numbered
ALL_LIMITS: Final = replace(
    LIMITS,
    columns=(
        LIMITS.columns[0],
        columns.text("limit.customer.name", "Customer", sort=None),
        *(replace(one, sort=_SORTED.get(one.key), is_extra=one.key in _HIDDEN) for one in LIMITS.columns[1:]),
    ),
    order=(),
    default_sort="-limit_created_at",
    filters=filter_by(
        Words("full", "filled__gte", FILLS),
        Words("level", "level", list(LEVELS.items())),
        Words("kind", "kind", KINDS),
        Words("set_by", "set_by", SET_BY),
    ),
    row_url=lambda row: reverse("customer_limit", args=[row.limit.customer.public_id, row.limit.public_id]),
)
ALERTS: Final = DescribedListing(
    key="alerts",
    title="Alerts",
    prefix="a-",
    columns=(
        columns.instant("alert.fired_at", "When", sort=None),
        columns.status("alert.kind", "About", sort=None),
        custom_column(
            "name", "Whose", lambda row, reader: with_sub(row.name, row.level), csv=lambda row: row.name
        ),
        custom_column(
            "threshold", "Crossed", threshold_cell, is_numeric=True, csv=lambda row: row.alert.threshold
        ),
        columns.money("alert.used", "Was at", currency="unit", sort=None),
        columns.money("alert.bound", "Of", currency="unit", sort=None, exact=True),
        columns.instant("alert.ends_at", "Window ends", sort=None).extra(),
    ),
    order=("-id",),
    page_size=20,
    empty_title="No alerts",
    empty_text="Each threshold tells once in a window, and again in the next.",
)


@staff_page()
def limits(request: HttpRequest) -> HttpResponseBase:
    """The limits of all customers, the newest or the fullest first."""
    viewer, units, now = viewer_of(request), currency_units(), clock.now()
    listing = replace(ALL_LIMITS, describe=partial(describe_limits, units, now))
    rows = with_fill(standing_limits(viewer), now)
    return listing.respond(request, rows, "billing/limits/all.html", {"as_of": now})


@staff_page()
def customer_limits(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The limits and alerts of a customer."""
    frame = open_frame(request, reference)
    context = frame_context(request, frame, "customer_limits")
    context |= {
        "may_set": may(request.user, Right.MANAGE_LIMITS),
        "new_url": reverse("customer_limit_new", args=[frame.customer.public_id]),
    }

    def one(row: LimitRow) -> str:
        return reverse("customer_limit", args=[frame.customer.public_id, row.limit.public_id])

    listing = replace(LIMITS, row_url=one)
    return _respond(request, frame, listing, "billing/limits/customer.html", context)


@member_page
def member_limits(request: HttpRequest, frame: CustomerFrame) -> HttpResponseBase:
    """A customer's own limits and alerts."""
    asked = f"?customer={frame.customer.public_id}"
    context = framed(request, frame) | {
        "may_set": may(request.user, Right.MANAGE_LIMITS, frame.customer.pk),
        "new_url": f"{reverse('member_limit_new')}{asked}",
        "as_of": clock.now(),
    }

    def one(row: LimitRow) -> str:
        if row.limit.set_by != SpendLimit.SetBy.CUSTOMER:
            return ""
        return f"{reverse('member_limit', args=[row.limit.public_id])}{asked}"

    listing = replace(LIMITS, row_url=one, keeps=("customer",))
    return _respond(request, frame, listing, "billing/limits/member.html", context)


def _respond(
    request: HttpRequest,
    frame: CustomerFrame,
    listing: DescribedListing,
    template: str,
    context: Mapping[str, object],
) -> HttpResponseBase:
    """Both lists of a customer, one of them alone, or a CSV."""
    viewer, units, now = viewer_of(request), currency_units(), clock.now()
    listing = replace(listing, describe=partial(describe_limits, units, now))
    payers = {payer.pk: payer for payer in frame.payers}
    alerts = replace(ALERTS, describe=partial(describe_alerts, viewer, payers, units), keeps=listing.keeps)
    own = {"customer_id": frame.customer.pk}
    rows, fired = standing_limits(viewer).filter(**own), visible(Alert, viewer).filter(**own)
    if request.GET.get("export") == "csv":
        return listing.csv(request, rows)
    if request.GET.get("a-export") == "csv":
        return alerts.csv(request, fired)
    tables = [listing.table(request, rows), alerts.table(request, fired)]
    if (part := fragment(request, *tables)) is not None:
        return part
    entitlements = entitlement_rows(frame.payers, now)
    return render(request, template, {**context, "tables": tables, "entitlements": entitlements})
