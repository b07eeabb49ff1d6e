"""The gateway as staff see it: what passed while nobody decided, how far its logs are settled."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import AccessLog, UnreadLine
from billing.models.access_logs import COUNTS
from billing.reports.comparing import currency_units
from billing.reports.passed_calls import passed_calls
from core import clock

LOOK_BACK: Final = timedelta(days=90)
LOGS_SHOWN: Final = 20
LINES_SHOWN: Final = 50


@staff_page()
def gateway(request: HttpRequest) -> HttpResponseBase:
    """Exposure by payer, access logs, and lines that nobody could settle."""
    viewer, now, units = viewer_of(request), clock.now(), currency_units()
    logs = visible(AccessLog, viewer).order_by("-last_read_at", "-pk")
    unread = visible(UnreadLine, viewer).order_by("-read_at", "-pk").select_related("log")
    context = {
        "as_of": now,
        "exposures": [
            (passed, units.get(passed.payer.currency, passed.payer.currency))
            for passed in passed_calls(since=now - LOOK_BACK)
        ],
        "logs": [(log, [(name, getattr(log, name)) for name in COUNTS[1:]]) for log in logs[:LOGS_SHOWN]],
        "unread": unread[:LINES_SHOWN],
        "unread_count": unread.count(),
    }
    return render(request, "billing/gateway/gateway.html", context)
