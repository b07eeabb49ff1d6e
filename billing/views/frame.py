"""What stands around every page of a customer: breadcrumbs, name, status, tabs."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest
from django.urls import reverse

from accounts.permissions import Right, may
from accounts.scoping import viewer_of
from billing.reports.customer import CustomerFrame, find_frame
from billing.reports.customers import worst_status

TABS: Final = (
    ("customer", "Overview"),
    ("customer_charges", "Usage charges"),
    ("customer_payers", "Payers"),
    ("customer_workspaces", "Workspaces"),
    ("customer_keys", "API keys"),
    ("customer_grants", "Grants"),
    ("customer_limits", "Limits"),
    ("customer_denials", "Denials"),
    ("customer_price_change", "Price to come"),
    ("customer_audit", "Audit"),
)


def open_frame(request: HttpRequest, reference: str) -> CustomerFrame:
    """The frame of the customer in the address; raises NotFound."""
    return find_frame(viewer_of(request), reference)


def frame_context(request: HttpRequest, frame: CustomerFrame, tab: str, below: str = "") -> dict[str, Any]:
    """The context of a page under `tab`; `below` names what of the tab is shown, as a last breadcrumb."""
    customer = frame.customer
    counts = {
        "customer_payers": len(frame.payers),
        "customer_workspaces": frame.workspaces,
        "customer_keys": frame.api_keys,
        "customer_grants": frame.open_grants,
    }
    here = reverse("customer", args=[customer.public_id])
    crumbs = [("Customers", reverse("customers")), (customer.name, here if below else "")]
    return {
        "frame": frame,
        "customer": customer,
        "status": worst_status(payer.status for payer in frame.payers),
        "crumbs": [*crumbs, (below, "")] if below else crumbs,
        "tabs": [
            (label, reverse(name, args=[customer.public_id]), name == tab, counts.get(name))
            for name, label in TABS
        ],
        "may_move_money": may(request.user, Right.MOVE_MONEY),
    }
