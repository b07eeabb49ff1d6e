"""What was changed of a customer, by whom, from which value to which."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

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
from accounts.staff_pages import staff_page
from billing.views.frame import frame_context, open_frame
from core.display.instants import utc_text
from core.ids import public_id
from core.numbers import plain
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


def shown(change: Change) -> dict[str, Any]:
    """A change in a page's words: its noun, the public id of its row, and the fields as texts."""
    noun, prefix = NAMES[change.noun.lower()]
    fields = [(field.field, _text(field.old), _text(field.new)) for field in change.fields]
    return {"change": change, "noun": noun, "id": public_id(prefix, int(change.row_id)), "fields": fields}


def _text(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, Decimal):
        return plain(value)
    return utc_text(value) if isinstance(value, datetime) else str(value)


@staff_page()
def customer_audit(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The latest changes of a customer and all that belongs to it; for those who may see the audit trail."""
    frame = open_frame(request, reference)
    context = frame_context(request, frame, "customer_audit")
    context["may_view"] = may(request.user, Right.VIEW_AUDIT)
    if context["may_view"]:
        only = Viewer(customer_ids=frozenset({frame.customer.pk}))
        changes = latest_changes(only, models=NOUNS, limit=CHANGES_SHOWN)
        context["changes"] = [shown(change) for change in changes]
    return render(request, "billing/customer/audit.html", context)
