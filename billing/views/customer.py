"""One customer at a glance: balance, the course of its days, its latest charges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.models import BillingEntity, Currency
from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.balances import balances_of
from billing.reports.comparing import currency_units, make_comparison
from billing.reports.customer import CustomerFrame, customer_course, meter_courses
from billing.reports.latest_charges import charges_of, describe_charges
from billing.reports.spans import read_span
from billing.views.course_charts import course_charts
from billing.views.customer_filters import PeriodForm, forget_unused_dates
from billing.views.frame import frame_context, open_frame
from core import clock
from core.display.locale import locale_of

LATEST: Final = 10
POLL_SECONDS: Final = 3
Units = Mapping[str, Currency]


class CourseForm(PeriodForm):
    """The period of a customer's figures, and whose they are where payers cannot be put together."""

    payer = forms.ChoiceField(required=False)

    def __init__(self, data: Any, frame: CustomerFrame) -> None:
        super().__init__(data, use_required_attribute=False)
        choices = [(payer.public_id, f"{payer.name} ({payer.currency})") for payer in frame.payers]
        together = [("", "All payers")] if frame.alike else []
        self.fields["payer"].choices = [*together, *choices]  # type: ignore[attr-defined]
        if len(frame.payers) < 2:
            del self.fields["payer"]


@staff_page()
def customer(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The overview of a customer."""
    forget_unused_dates(request)
    frame = open_frame(request, reference)
    units = currency_units()
    context = frame_context(request, frame, "customer") | latest(request, frame, units)
    if frame.payers:
        context |= figures(request, frame, units) | {"form": CourseForm(request.GET, frame)}
    return render(request, "billing/customer/overview.html", context)


@staff_page()
def customer_latest(request: HttpRequest, reference: str) -> HttpResponseBase:
    """What a live overview asks for again and again: the balances and the latest charges."""
    frame = open_frame(request, reference)
    context = {"frame": frame, "customer": frame.customer, "is_oob": True}
    return render(
        request, "billing/customer/_latest.html", context | latest(request, frame, currency_units())
    )


def latest(request: HttpRequest, frame: CustomerFrame, units: Units) -> dict[str, Any]:
    """Balances as they are now, and the latest charges."""
    viewer, now = viewer_of(request), clock.now()
    charges = charges_of(viewer, frame.customer.pk).order_by("-id")[:LATEST]
    balances = balances_of(frame.payers, now)
    return {
        "as_of": now,
        "poll_seconds": POLL_SECONDS,
        "charges": describe_charges(viewer, list(charges), units),
        "balances": [
            (payer, units.get(payer.currency, payer.currency), balances[payer.pk]) for payer in frame.payers
        ],
    }


def figures(request: HttpRequest, frame: CustomerFrame, units: Units) -> dict[str, Any]:
    """The course of the chosen days, of the chosen payer."""
    viewer, now = viewer_of(request), clock.now()
    payer = chosen_payer(frame, request.GET.get("payer", ""))
    of = payer or frame.payers[0]
    span = read_span(request.GET, now.astimezone(ZoneInfo(of.time_zone)).date())
    course = customer_course(viewer, frame, payer, span, now)
    unit = units.get(of.currency, of.currency)
    return {
        "span": span,
        "course": course,
        "unit": unit,
        "zone": of.time_zone,
        "obstacle": make_comparison([of.currency], now).obstacle(course.total, of.currency),
        "charts": course_charts(course, unit, of.time_zone, locale_of(request)),
        "meters": meter_courses(viewer, frame, payer, span, now),
    }


def chosen_payer(frame: CustomerFrame, reference: str) -> BillingEntity | None:
    """The payer that the address names; None = all together, which they must be able to be."""
    named = next((payer for payer in frame.payers if payer.public_id == reference), None)
    return named if named or frame.alike else frame.payers[0]
