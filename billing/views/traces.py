"""A trace: the events of one job, its one price, its costs and its margin."""

from __future__ import annotations

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.reports.comparing import currency_units
from billing.reports.customer import find_customer
from billing.reports.lags import lag_text
from billing.reports.traces import find_trace


@staff_page()
def trace(request: HttpRequest, reference: str, name: str) -> HttpResponseBase:
    """The trace that a customer calls `name`."""
    if "\x00" in name:
        raise Http404
    viewer = viewer_of(request)
    customer = find_customer(viewer, reference)
    found = find_trace(viewer, customer.pk, name, currency_units())
    home = reverse("customer", args=[customer.public_id])
    context = {
        "customer": customer,
        "trace": found,
        "name": name,
        "duration": lag_text(found.duration),
        "steps": [(step, lag_text(step.after)) for step in found.steps],
        "crumbs": [("Customers", reverse("customers")), (customer.name, home), ("Trace", "")],
    }
    return render(request, "billing/traces/trace.html", context)
