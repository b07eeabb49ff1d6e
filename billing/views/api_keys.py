"""A customer's API keys; their secrets are nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.models import ApiKey, Workspace
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.views.frame import frame_context, open_frame
from core import clock
from core.display.statuses import status_html
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Choice, filter_by
from core.pages.columns import Column
from core.pages.listing import Listing


def status_column(now: datetime) -> Column:
    """Whether a key may be used at `now`."""

    def word(key: ApiKey) -> str:
        if key.revoked_at is not None and key.revoked_at <= now:
            return "revoked"
        return "expired" if key.expires_at is not None and key.expires_at <= now else "active"

    return custom_column("status", "Status", lambda key, reader: status_html(word(key)), csv=word)


KEYS = Listing(
    key="api-keys",
    title="API keys",
    columns=(
        columns.text("name", "Key"),
        columns.text("prefix", "Begins with", hint="A key of your own shows nothing of itself"),
        columns.text("workspace.name", "Workspace", sort="workspace__name"),
        columns.text("user", "User"),
        columns.text("kind", "Kind"),
        columns.instant("created_at", "Created", precision="day"),
        columns.instant("expires_at", "Expires", precision="day"),
        columns.instant("revoked_at", "Revoked", precision="day").extra(),
        columns.identifier("public_id", "Id"),
    ),
    default_sort="name",
    search=("name", "prefix", "user", "workspace__name", "fingerprint"),
    search_hint="Search name, user, fingerprint",
    empty_title="No API keys",
    empty_text="Calls of this customer name its workspace or its payer instead.",
)


@staff_page()
def customer_keys(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The keys of a customer."""
    frame, viewer = open_frame(request, reference), viewer_of(request)
    spaces = visible(Workspace, viewer).filter(customer=frame.customer).order_by("name", "pk")
    name, *others = KEYS.columns
    listing = replace(
        KEYS,
        columns=(name, status_column(clock.now()), *others),
        filters=filter_by(
            Choice("workspace", "workspace_id", "ws", [(one.public_id, one.name) for one in spaces])
        ),
    )
    keys = visible(ApiKey, viewer).filter(customer=frame.customer).select_related("workspace")
    context = frame_context(request, frame, "customer_keys")
    return listing.respond(request, keys, "billing/customer/list.html", context)
