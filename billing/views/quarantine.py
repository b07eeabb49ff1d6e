"""Quarantine: what could not be taken, why, and what staff decide about it."""

from __future__ import annotations

from typing import Any

import msgspec
from django.contrib import messages
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.models import Customer, User
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.quarantine import release_quarantined
from core import clock
from core.api.references import find_referenced
from core.errors import Conflict, TollgateError
from core.pages import columns
from core.pages.choices import Words, filter_by
from core.pages.confirm import Confirmation, ask
from core.pages.listing import Listing
from metering.models import QuarantinedEvent
from metering.quarantine import with_payload_text, write_off_quarantined

WAITING = QuarantinedEvent.Status.WAITING

QUARANTINE = Listing(
    key="quarantine",
    title="Quarantine",
    columns=(
        columns.text("idempotency_key", "Key", sort=None),
        columns.text("event_name", "Event", sub="named", sort=None),
        columns.status("status", "Status", sort=None),
        columns.status("reason", "Reason", sort=None),
        columns.text("message", "Why", sort=None),
        columns.instant("received_at", "Received", sort=None),
        columns.instant("resolved_at", "Resolved", sort=None).extra(),
        columns.text("resolved_by", "By", sort=None).extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    order=("-received_at", "-id"),
    search=("idempotency_key",),
    search_hint="Search key",
    filters=filter_by(
        Words("status", "status", QuarantinedEvent.Status.choices),
        Words("reason", "reason", QuarantinedEvent.Reason.choices),
    ),
    row_url=lambda row: reverse("quarantined", args=[row.public_id]),
    empty_title="Nothing is in quarantine",
    empty_text="Events that cannot be attributed, are too late or too far ahead wait here.",
)


@staff_page()
def quarantine(request: HttpRequest) -> HttpResponseBase:
    """The list, the latest first."""
    named = Coalesce(
        KeyTextTransform("workspace", "payload"),
        KeyTextTransform("billing_entity", "payload"),
        KeyTextTransform("api_key", "payload"),
    )
    rows = visible(QuarantinedEvent, viewer_of(request)).defer("payload", "payload_hash")
    rows = rows.annotate(event_name=KeyTextTransform("event", "payload"), named=named)
    return QUARANTINE.respond(request, rows)


@staff_page()
def quarantined(request: HttpRequest, reference: str) -> HttpResponseBase:
    """One event: as it was sent, why it waits, what may be done."""
    row = find(request, reference)
    customer = visible(Customer, viewer_of(request)).filter(pk=row.customer_id).first()
    context = {
        "row": row,
        "customer": customer,
        "payload": msgspec.json.format(row.payload_text, indent=2),
        "may_resolve": row.status == WAITING and may(request.user, Right.RESOLVE_QUARANTINE),
        "crumbs": [("Quarantine", reverse("quarantine")), (row.idempotency_key, "")],
    }
    return render(request, "billing/quarantine/detail.html", context)


@staff_page(Right.RESOLVE_QUARANTINE)
def ask_resolve(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Say what a release or a write-off does, before it is done."""
    row, releases = find(request, reference), _is_release(action)
    question = Confirmation(
        title="Release this event?" if releases else "Write this event off?",
        effect=(
            "It is charged under its own key, at the instant it occurred, however old it is. If it cannot be "
            "taken still, it waits on."
            if releases
            else "It will never be charged under this row. It stays readable."
        ),
        verb="Release" if releases else "Write off",
        url=reverse("quarantine_resolve", args=[reference, action]),
        back_url=reverse("quarantined", args=[reference]),
        facts=[("Key", row.idempotency_key), ("Reason", row.get_reason_display())],
        is_danger=not releases,
    )
    return ask(request, question)


@require_POST
@staff_page(Right.RESOLVE_QUARANTINE)
def resolve(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Release or write off one event."""
    row = find(request, reference)
    try:
        message = _release(row, request) if _is_release(action) else _write_off(row, request)
        messages.success(request, message)
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("quarantined", reference)


def _is_release(action: str) -> bool:
    if action not in ("release", "write-off"):
        raise Http404
    return action == "release"


def _release(row: Any, request: HttpRequest) -> str:
    release = release_quarantined([row.pk], by=_name(request))
    if row.pk in release.refused:
        raise Conflict("still_quarantined", f"It waits on: {release.refused[row.pk]}")
    if not release.released:
        raise Conflict("not_waiting", "This event does not wait any more.")
    return "Released: the event is charged under its own key."


def _write_off(row: Any, request: HttpRequest) -> str:
    write_off_quarantined(row.pk, by=_name(request), at=clock.now())
    return "Written off: the event will not be charged."


def find(request: HttpRequest, reference: str) -> Any:
    """The row of a public id; raises NotFound."""
    rows = with_payload_text(visible(QuarantinedEvent, viewer_of(request)))
    return find_referenced(rows, "qe", reference)


def _name(request: HttpRequest) -> str:
    return request.user.email if isinstance(request.user, User) else ""
