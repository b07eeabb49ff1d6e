"""What was changed of a customer, by whom, from which value to which."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from accounts.audit import Change, latest_changes
from accounts.models import (
    ApiKey,
    BillingEntity,
    Customer,
    Membership,
    Organization,
    PayerAssignment,
    Workspace,
)
from accounts.permissions import Right, may
from accounts.scoping import Viewer
from billing.views.access import staff_page
from billing.views.frame import frame_context, open_frame
from core.ids import public_id
from pricing.models import Subscription

NOUNS: Final = (
    *(Customer, Organization, Workspace, BillingEntity, PayerAssignment, ApiKey, Membership, Subscription),
)
CHANGES_SHOWN: Final = 50
NAMES: Final = {
    "customer": ("Customer", "cus"),
    "organization": ("Organization", "org"),
    "workspace": ("Workspace", "ws"),
    "billing entity": ("Payer", "be"),
    "payer assignment": ("Payer of a workspace", "pa"),
    "api key": ("API key", "key"),
    "membership": ("Member", "mem"),
    "subscription": ("Subscription", "sub"),
}
"""What pages call a noun of the audit trail, and the prefix of its ids."""


def named(change: Change) -> tuple[str, str]:
    """What a page calls the row that changed, and its public id."""
    noun, prefix = NAMES[change.noun.lower()]
    return noun, public_id(prefix, int(change.row_id))


@staff_page()
def customer_audit(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The latest changes of a customer and all that belongs to it; for those who may see the audit trail."""
    frame = open_frame(request, reference)
    context = frame_context(request, frame, "customer_audit")
    context["may_view"] = may(request.user, Right.VIEW_AUDIT)
    if context["may_view"]:
        only = Viewer(customer_ids=frozenset({frame.customer.pk}))
        changes = latest_changes(only, models=NOUNS, limit=CHANGES_SHOWN)
        context["changes"] = [(change, *named(change)) for change in changes]
    return render(request, "billing/customer/audit.html", context)
