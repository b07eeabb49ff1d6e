"""A customer's payers, and the tree of its workspaces with who pays for each."""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.reports.comparing import currency_units
from billing.reports.payers import payer_facts, workspace_tree
from billing.views.frame import frame_context, open_frame
from core import clock


@staff_page()
def customer_payers(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The payers of a customer."""
    frame, now = open_frame(request, reference), clock.now()
    context = frame_context(request, frame, "customer_payers")
    context["payers"] = payer_facts(viewer_of(request), frame, currency_units(), now)
    return render(request, "billing/customer/payers.html", context)


@staff_page()
def customer_workspaces(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Organizations and workspaces of a customer."""
    frame, now = open_frame(request, reference), clock.now()
    context = frame_context(request, frame, "customer_workspaces")
    context["rows"] = workspace_tree(viewer_of(request), frame, now)
    return render(request, "billing/customer/workspaces.html", context)
