"""Home: for staff the operator's own figures and what needs action; a member goes to its own overview."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.models import BillingEntity, User
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.reports import attention
from billing.reports.call_to_charge import LagReport, lag_report
from billing.reports.comparing import Comparison, currency_units, make_comparison
from billing.reports.gap import money_in_gap
from billing.reports.lags import lag_text
from billing.reports.operator import Overview, overview
from billing.reports.present import at_present
from billing.reports.reconciliation import open_discrepancies
from billing.reports.spans import Span, read_span
from billing.unmatched import unheard_names
from billing.views.customer_filters import PeriodForm, forget_unused_dates
from billing.views.jobs import SILENCE
from billing.views.member import member_home
from billing.views.unmatched import LOOK_BACK
from core import clock
from core.display.charts import Chart, Series
from core.display.locale import locale_of
from core.jobs import pulse
from metering.models import QuarantinedEvent

UTC_ZONE: Final = ZoneInfo("UTC")


def home(request: HttpRequest) -> HttpResponseBase:
    """The first page of whoever is signed in."""
    user = request.user
    if isinstance(user, User) and not user.is_staff:
        return member_home(request)
    return staff_home(request)


@staff_page()
def staff_home(request: HttpRequest) -> HttpResponseBase:
    """The operator's figures."""
    forget_unused_dates(request)
    now, viewer = clock.now(), viewer_of(request)
    span = read_span(request.GET, now.date())
    currencies = visible(BillingEntity, viewer).values_list("currency", flat=True)
    comparison = make_comparison(currencies, now)
    course = overview(span, comparison)
    units, lags = currency_units(), lag_report(viewer, now)
    context = {
        "span": span,
        "before": span.before(),
        "course": course,
        "comparison": comparison,
        "currency_rows": [
            (code, units.get(code, code), margin)
            for code, margin in sorted(course.now.by_currency.items(), key=lambda pair: -pair[1].events)
        ],
        "as_of": now,
        "lags": lags,
        "lag_rows": lag_rows(lags),
        "charts": day_charts(course, comparison.currency, locale_of(request), now.date()),
        "form": PeriodForm(request.GET, use_required_attribute=False),
    }
    return render(request, "billing/home/index.html", context | needs_action(viewer, span, comparison))


def needs_action(viewer: Viewer, span: Span, comparison: Comparison) -> dict[str, Any]:
    """What stands in the list of things to do, and the money in the gap."""
    now = comparison.at
    names = unheard_names(viewer, since=now - LOOK_BACK)
    waiting = visible(QuarantinedEvent, viewer).filter(status=QuarantinedEvent.Status.WAITING).count()
    return {
        "present": at_present(viewer, now),
        "names": names,
        "quarantined": waiting,
        "gap": money_in_gap(viewer, names, comparison),
        "low_wallets": attention.low_wallets(viewer, now),
        "below_cost": attention.below_cost(viewer, span, comparison),
        "overspends": attention.overspends(viewer, span.bounds(UTC_ZONE)[0]),
        "denials": attention.denials(viewer, now),
        "drift": open_discrepancies(),
        "pulse": pulse(),
        "silence": SILENCE,
    }


def lag_rows(report: LagReport) -> list[dict[str, Any]]:
    """The lags in words: each live source, these together when there are several, then what came later."""
    live = [lag for lag in report.sources if not lag.is_later]
    later = [lag for lag in report.sources if lag.is_later]
    return [
        {
            "source": lag.source,
            "is_later": lag.is_later,
            "events": lag.events,
            "p50": lag_text(lag.p50),
            "p95": lag_text(lag.p95),
            "longest": lag_text(lag.longest),
        }
        for lag in (*live, report.live, *later)
        if lag is not None
    ]


def day_charts(course: Overview, currency: str, locale: Locale, today: date) -> list[Chart]:
    """Revenue beside cost, and what is left of it, day by day."""
    labels = [format_date(day, "d MMM", locale=locale) for day in course.days]
    open_from = course.days.index(today) if today in course.days else None
    days = [course.now.usage_by_day.get(day) for day in course.days]
    common = {"labels": labels, "unit": currency, "open_from": open_from}
    revenue = [day.revenue if day else None for day in days]
    cost = [day.cost if day else None for day in days]
    margin: list[Decimal | None] = [day.margin if day else None for day in days]
    return [
        Chart(
            key="home-course",
            title="Revenue and cost of usage",
            series=[
                Series(label="Revenue", values=revenue, colour=1),
                Series(label="Known cost", values=cost, colour=4, kind="line"),
            ],
            note="Without base fees; converted at the rates of each day.",
            **common,  # type: ignore[arg-type]
        ),
        Chart(
            key="home-margin",
            title="Margin of usage",
            series=[Series(label="Margin", values=margin, colour=3)],
            note="Revenue less known cost.",
            **common,  # type: ignore[arg-type]
        ),
    ]
