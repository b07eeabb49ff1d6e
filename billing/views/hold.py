"""One hold: what it reserves and for whom, what became of it, its charges and what they moved."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.reports.hold import explain_hold
from core import clock


@staff_page()
def hold(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """One authorization or lease."""
    facts = explain_hold(viewer_of(request), public_id, clock.now())
    customer = facts.payer.customer
    context = {
        "facts": facts,
        "customer": customer,
        "as_of": facts.now,
        "crumbs": [
            ("Customers", reverse("customers")),
            (customer.name, reverse("customer", args=[customer.public_id])),
            ("Holds", reverse("holds")),
            (facts.hold.event or ("Lease" if facts.is_lease else "Any event"), ""),
        ],
    }
    return render(request, "billing/holds/hold.html", context)
