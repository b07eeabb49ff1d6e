"""Names that no meter hears and events that nothing prices: what they are, and charging them by choice."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

from django.contrib import messages
from django.db.models import Q, Sum
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.models import BillingEntity
from accounts.permissions import Right, may
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import MarginBucket
from billing.rerating import rerate_events
from billing.unmatched import UnheardName, sample_event, unheard_names
from core import clock
from core.api.references import find_referenced
from core.numbers import plain
from core.pages.confirm import Confirmation, ask

LOOK_BACK: Final = timedelta(days=90)


@staff_page()
def unmatched(request: HttpRequest) -> HttpResponseBase:
    """The names of the last 90 days, each with one event to look at and the payers concerned."""
    viewer, now = viewer_of(request), clock.now()
    names = unheard_names(viewer, since=now - LOOK_BACK)
    payers = payers_by_name(viewer, [name.event for name in names])
    found = [
        {"name": name, "payers": payers[name.event], "sample": describe_sample(viewer, name)}
        for name in names
    ]
    context = {"names": found, "as_of": now, "may_rerate": may(request.user, Right.RESOLVE_QUARANTINE)}
    return render(request, "billing/unmatched/list.html", context)


def describe_sample(viewer: Viewer, name: UnheardName) -> dict[str, Any] | None:
    """One event of the name, to look at."""
    event = sample_event(viewer, name.event, name.last_hour)
    if event is None:
        return None
    properties = json.dumps(event.properties, ensure_ascii=False)
    return {"id": event.public_id, "recorded_at": event.recorded_at, "properties": properties}


@staff_page(Right.RESOLVE_QUARANTINE)
def ask_rerate(request: HttpRequest) -> HttpResponseBase:
    """Say what re-rating a payer's events of a name does, before it is done."""
    payer, name = _payer(request, request.GET.get("payer", "")), request.GET.get("event", "")
    counts = payers_by_name(viewer_of(request), [name])[name]
    number = next((found["events"] for found in counts if found["payer"].pk == payer.pk), 0)
    question = Confirmation(
        title=f"Charge the events {name!r}?",
        effect=(
            "Each event that brought nothing is priced at the plan that covers it now, and paid from the "
            "payer's wallet or accrued. What nothing prices still stays as it is. No event is charged twice."
        ),
        verb="Charge them",
        url=reverse("unmatched_rerate"),
        back_url=reverse("unmatched"),
        facts=[("Payer", payer.name), ("Event", name), ("Events", str(number))],
        hidden={"payer": payer.public_id, "event": name},
    )
    return ask(request, question)


@require_POST
@staff_page(Right.RESOLVE_QUARANTINE)
def rerate(request: HttpRequest) -> HttpResponseBase:
    """Charge a payer's events of one name at the prices of now."""
    payer, name = _payer(request, request.POST.get("payer", "")), request.POST.get("event", "")
    done = rerate_events(payer, event=name)
    if done.charged:
        text = f"{done.charged} of {done.looked_at} events were charged to {payer.name}"
        messages.success(request, f"{text}: {plain(done.amount)} {payer.currency}.")
    elif not done.looked_at:
        messages.info(request, f"All of these events of {payer.name} are charged already.")
    else:
        messages.warning(request, f"Nothing prices these {done.looked_at} events yet; nothing was charged.")
    return redirect("unmatched")


def payers_by_name(viewer: Viewer, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The payers of events that brought nothing, by event name; two statements."""
    rows = (
        visible(MarginBucket, viewer)
        .filter(Q(unmatched__gt=0) | Q(unpriced__gt=0), event__in=names, hour__gte=clock.now() - LOOK_BACK)
        .values("event", "billing_entity_id")
        .annotate(number=Sum("unmatched") + Sum("unpriced"))
        .order_by("-number")
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    listed = list(rows)
    payers = (
        visible(BillingEntity, viewer)
        .select_related("customer")
        .in_bulk({row["billing_entity_id"] for row in listed})
    )
    for row in listed:
        found[row["event"]].append({"payer": payers[row["billing_entity_id"]], "events": row["number"]})
    return found


def _payer(request: HttpRequest, reference: str) -> BillingEntity:
    if not reference:
        raise Http404
    payer: BillingEntity = find_referenced(visible(BillingEntity, viewer_of(request)), "be", reference)
    return payer
