"""Messages of the queue that nobody could work off: looked at, sent again or dropped."""

from __future__ import annotations

import json
from typing import Final

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.permissions import Right, may
from accounts.staff_pages import staff_page
from billing.views.price_changes import name_of
from core.api.references import find_referenced
from core.errors import TollgateError
from core.jobs import drop, send_again
from core.models import JobRun, ParkedMessage
from core.pages import columns
from core.pages.cells import custom_column, with_sub
from core.pages.choices import Words, filter_by
from core.pages.confirm import Confirmation, ask
from core.pages.listing import Listing
from core.redaction import redact, redact_text

Status = ParkedMessage.Status
SHOWN: Final = 4000
"""So many letters of a message are shown."""
EFFECTS: Final = {
    "send-again": "It goes into the queue once more. If it cannot be worked off again, it is parked again.",
    "drop": "It is never worked off. What is due is found by the database, so no work of a job is lost.",
}
VERBS: Final = {"send-again": "Send again", "drop": "Drop"}

PARKED = Listing(
    key="parked-messages",
    title="Parked messages",
    prefix="p-",
    columns=(
        columns.text("task", "Task", sort=None),
        columns.status("status", "State", sort=None),
        custom_column(
            "reason",
            "Why",
            lambda row, reader: with_sub(row.get_reason_display(), row.error),
            csv=lambda row: row.reason,
        ),
        columns.quantity("attempts", "Attempts", sort=None),
        columns.instant("parked_at", "Parked", sort=None, precision="second"),
        columns.text("resolved_by", "Resolved by", sort=None).extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    order=("-id",),
    page_size=25,
    filters=filter_by(
        Words("p-status", "status", Status.choices), Words("p-reason", "reason", ParkedMessage.Reason.choices)
    ),
    row_url=lambda row: reverse("parked_message", args=[row.public_id]),
    empty_title="Nothing is parked",
    empty_text="A message that nobody can work off is put aside here, where it stops nothing else.",
)


def waiting() -> QuerySet[ParkedMessage]:
    """All of them, resolved ones too."""
    return ParkedMessage.objects.defer("body")


@staff_page()
def parked_message(request: HttpRequest, reference: str) -> HttpResponseBase:
    """One message: what it was, what was wrong, what may be done."""
    message = find_message(reference)
    context = {
        "message": message,
        "runs": JobRun.objects.filter(message_id=message.message_id).order_by("-id")[:10],
        "content": content_of(message),
        "may_resolve": message.status == Status.PARKED and may(request.user, Right.RUN_JOBS),
        "crumbs": [("Jobs", reverse("jobs")), ("Parked message", "")],
    }
    return render(request, "billing/jobs/message.html", context)


@staff_page(Right.RUN_JOBS)
def ask_parked_message(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Say what sending it again, or dropping it, does."""
    message = find_message(reference)
    if action not in VERBS:
        raise Http404
    question = Confirmation(
        title=f"{VERBS[action]}: this message?",
        effect=EFFECTS[action],
        verb=VERBS[action],
        url=reverse("parked_message_do", args=[reference, action]),
        back_url=reverse("parked_message", args=[reference]),
        facts=[("Task", message.task or "none"), ("Why", message.get_reason_display())],
        is_danger=action == "drop",
    )
    return ask(request, question)


@require_POST
@staff_page(Right.RUN_JOBS)
def do_parked_message(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Send it again, or drop it."""
    message = find_message(reference)
    if action not in VERBS:
        raise Http404
    try:
        (send_again if action == "send-again" else drop)(message, name_of(request))
        messages.success(request, "It is in the queue again." if action == "send-again" else "Dropped.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("parked_message", reference)


def content_of(message: ParkedMessage) -> str:
    """What it says, without secrets."""
    if message.body is not None:
        return redact_text(bytes(message.body).decode(errors="replace"))[:SHOWN]
    return json.dumps(redact(message.arguments), indent=2, ensure_ascii=False)[:SHOWN]


def find_message(reference: str) -> ParkedMessage:
    """The message of a public id; raises NotFound."""
    return find_referenced(ParkedMessage.objects.all(), "pmsg", reference)
