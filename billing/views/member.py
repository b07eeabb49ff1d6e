"""What a member of a customer sees: own usage, running cost, balance. Never what it costs the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any, Concatenate, Final, ParamSpec
from zoneinfo import ZoneInfo

from babel.dates import format_date
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render

from accounts.models import BillingEntity, Currency, Customer, User
from accounts.scoping import viewer_of, visible
from billing.balances import balances_of
from billing.models import CreditGrant, Denial
from billing.reports.coming_prices import waiting_changes
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame, meter_courses
from billing.reports.latest_charges import charges_of, describe_charges
from billing.reports.running import running_periods
from billing.reports.spans import Span, read_span
from billing.views.customer_filters import PeriodForm, forget_unused_dates
from core import clock
from core.display.charts import Chart, Series
from core.display.locale import locale_of
from core.errors import NotFound
from metering.usage import UsageSeries

P = ParamSpec("P")
LATEST: Final = 15
DAY: Final = timedelta(days=1)
_COLOURS: Final = 6
MemberView = Callable[Concatenate[HttpRequest, CustomerFrame, P], HttpResponseBase]
GuardedView = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def member_page(view: MemberView[P]) -> GuardedView[P]:
    """Open the reader's own customer (`?customer=` chooses among several); staff go to their home."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        user = request.user
        if not isinstance(user, User) or not user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if user.is_staff:
            return redirect("home")
        viewer = viewer_of(request)
        customers = list(visible(Customer, viewer).order_by("name", "pk"))
        if not customers:
            return render(request, "billing/member/nothing.html")
        wanted = request.GET.get("customer", "")
        customer = next((one for one in customers if one.public_id == wanted), customers[0])
        payers = visible(BillingEntity, viewer).filter(customer=customer).order_by("pk")
        frame = CustomerFrame(customer, list(payers), 0, 0, 0)
        request.member_customers = customers  # type: ignore[attr-defined]
        try:
            return view(request, frame, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.message) from error

    return guarded


@member_page
def member_home(request: HttpRequest, frame: CustomerFrame) -> HttpResponseBase:
    """Balance, what the period has come to, when it ends, the latest charges."""
    viewer, now, units = viewer_of(request), clock.now(), currency_units()
    balances = balances_of(frame.payers, now)
    charges = charges_of(viewer, frame.customer.pk).order_by("-id")[:LATEST]
    grants = visible(CreditGrant, viewer).filter(
        customer_id=frame.customer.pk, is_open=True, voided_at=None, booked_at__isnull=False
    )
    refused = visible(Denial, viewer).filter(customer_id=frame.customer.pk, denied_at__gte=now - DAY)
    context = {
        "refused": refused.count(),
        "balances": [(one, units.get(one.currency, one.currency), balances[one.pk]) for one in frame.payers],
        "periods": [
            (period, units.get(period.payer.currency, period.payer.currency))
            for period in running_periods(viewer, frame.payers, now)
        ],
        "grants": _with_payers(frame, grants.order_by("priority", "expires_at", "pk")[:50], units),
        "charges": describe_charges(viewer, list(charges), units),
        "changes": list(waiting_changes(viewer, frame.payers, is_told=True).values()),
        "as_of": now,
    }
    return render(request, "billing/member/overview.html", framed(request, frame) | context)


@member_page
def member_usage(request: HttpRequest, frame: CustomerFrame) -> HttpResponseBase:
    """Usage by meter and day."""
    forget_unused_dates(request)
    viewer, now = viewer_of(request), clock.now()
    context: dict[str, Any] = {"charts": [], "as_of": now}
    if frame.payers:
        zone = ZoneInfo(frame.payers[0].time_zone)
        span = read_span(request.GET, now.astimezone(zone).date())
        together = None if frame.alike else frame.payers[0]
        meters = meter_courses(viewer, frame, together, span, now)
        context |= {
            "span": span,
            "zone": zone.key,
            "form": PeriodForm(request.GET, use_required_attribute=False),
            "charts": meter_charts(meters, span, request, now.astimezone(zone).date()),
        }
    return render(request, "billing/member/usage.html", framed(request, frame) | context)


def meter_charts(
    meters: Sequence[tuple[UsageSeries, list[Decimal]]], span: Span, request: HttpRequest, today: date
) -> list[Chart]:
    """A chart for each meter that counted something."""
    days = [span.first + timedelta(days=n) for n in range(span.days)]
    labels = [format_date(day, "d MMM", locale=locale_of(request)) for day in days]
    return [
        Chart(
            key=f"meter-{place}",
            title=series.meter.name,
            labels=labels,
            series=[Series(label=series.meter.name, values=daily, colour=place % _COLOURS + 1)],
            measure="quantity",
            unit=series.meter.unit,
            open_from=days.index(today) if today in days else None,
        )
        for place, (series, daily) in enumerate(meters)
    ]


def framed(request: HttpRequest, frame: CustomerFrame) -> dict[str, Any]:
    """Whose page it is, and whose else the reader may open."""
    return {"customer": frame.customer, "customers": request.member_customers}  # type: ignore[attr-defined]


def _with_payers(
    frame: CustomerFrame, grants: Iterable[CreditGrant], units: Mapping[str, Currency]
) -> list[tuple[CreditGrant, BillingEntity | None, str | Currency]]:
    found = []
    for grant in grants:
        payer = frame.payer(grant.billing_entity_id)
        code = payer.currency if payer else ""
        found.append((grant, payer, units.get(code, code)))
    return found
