"""The gateway as staff see it: what passed while nobody decided, how far its logs are settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.access_log.retrying import retry_lines
from billing.models import AccessLog, UnreadLine
from billing.models.access_logs import COUNTS
from billing.reports.comparing import currency_units
from billing.reports.passed_calls import passed_calls
from core import clock
from core.pages.confirm import Confirmation, ask

LOOK_BACK: Final = timedelta(days=90)
LOGS_SHOWN: Final = 20
LINES_SHOWN: Final = 50


@staff_page()
def gateway(request: HttpRequest) -> HttpResponseBase:
    """Exposure by payer, access logs, and lines that nobody could settle."""
    viewer, now, units = viewer_of(request), clock.now(), currency_units()
    logs = visible(AccessLog, viewer).order_by("-last_read_at", "-pk")
    unread = visible(UnreadLine, viewer).filter(settled_at=None).order_by("-read_at", "-pk")
    context = {
        "as_of": now,
        "exposures": [
            (passed, units.get(passed.payer.currency, passed.payer.currency))
            for passed in passed_calls(since=now - LOOK_BACK)
        ],
        "logs": [(log, [(name, getattr(log, name)) for name in COUNTS[1:]]) for log in logs[:LOGS_SHOWN]],
        "unread": unread.select_related("log")[:LINES_SHOWN],
        "unread_count": unread.count(),
        "may_retry": may(request.user, Right.RESOLVE_QUARANTINE),
    }
    return render(request, "billing/gateway/gateway.html", context)


@staff_page(Right.RESOLVE_QUARANTINE)
def ask_retry(request: HttpRequest) -> HttpResponseBase:
    """Say what trying again does, before it is done."""
    count = visible(UnreadLine, viewer_of(request)).filter(settled_at=None).count()
    question = Confirmation(
        title="Try these lines again?",
        effect=(
            "Each is settled under its request's own key, so it counts once, however often it is tried. A "
            "line that cannot be settled still waits on."
        ),
        verb="Try again",
        url=reverse("gateway_retry"),
        back_url=reverse("gateway_page"),
        facts=[("Lines", f"{count:,}")],
    )
    return ask(request, question)


@require_POST
@staff_page(Right.RESOLVE_QUARANTINE)
def retry(request: HttpRequest) -> HttpResponseBase:
    """Try the lines again that could not be settled."""
    by = request.user.email if isinstance(request.user, User) else ""
    retried = retry_lines(visible(UnreadLine, viewer_of(request)), by=by)
    waiting = retried.counts["unread"]
    tell = messages.warning if waiting else messages.success
    tell(request, f"Settled: {retried.settled:,} lines. Waiting on: {waiting:,}.")
    return redirect("gateway_page")
