"""Events: those that fit a filter, with a live tail, and one with all that is known of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.reports.charge import charge_of_event, find_event
from billing.reports.comparing import currency_units
from billing.reports.events import (
    FLAGS,
    describe_events,
    events_matching,
    everyones_events,
    read_filter,
)
from billing.reports.lags import lag_text
from billing.views.customer_filters import forget_unused_dates
from billing.views.listings import LatestListing
from billing.views.row_filters import ReadFilters, RecordedForm
from core import clock
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.columns import Column


class EventForm(RecordedForm):
    """The filters of the list; `read_filter` reads the same fields."""

    name = forms.CharField(required=False, max_length=200, label="Event name")
    flag = forms.ChoiceField(required=False, choices=[("", "All events"), *FLAGS], label="Show")
    user = forms.CharField(required=False, max_length=200)
    trace = forms.CharField(required=False, max_length=200)
    payer = forms.CharField(required=False, max_length=200)
    workspace = forms.CharField(required=False, max_length=200)
    key = forms.CharField(required=False, max_length=200, label="API key")


EVENTS = LatestListing(
    key="events",
    title="Events",
    columns=(
        columns.text("event.name", "Event", sort=None),
        columns.status("flag", "Status", sort=None),
        columns.instant("event.recorded_at", "Recorded", zone_path="zone", sort=None, precision="second"),
        columns.text("customer.name", "Customer", sort=None),
        columns.text("workspace.name", "Workspace", sort=None),
        columns.text("event.user", "User", sort=None),
        columns.money("event.cost", "Cost", currency="unit", sort=None, exact=True),
        columns.money("amount", "Amount", currency="unit", sort=None, exact=True),
        custom_column(
            "lag",
            "After the call",
            lambda row, reader: lag_text(row.lag),
            is_numeric=True,
            csv=lambda row: row.lag.total_seconds(),
        ).extra(),
        columns.instant("event.occurred_at", "Occurred", zone_path="zone", sort=None).extra(),
        columns.text("event.trace", "Trace", sort=None).extra(),
        columns.text("payer.name", "Payer", sort=None).extra(),
        columns.text("event.source", "Came by", sort=None).extra(),
        columns.text("event.idempotency_key", "Idempotency key", sort=None).extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    filters=partial(ReadFilters, EventForm),
    narrow=("user", "trace", "payer", "workspace", "key"),  # whoever needs these knows an id
    order=("-id",),
    row_url=lambda row: reverse("event", args=[row.public_id]),
    live_seconds=3,
    empty_title="No events in this time",
    empty_text="Choose a longer time, or send an event.",
)


@staff_page()
def events(request: HttpRequest) -> HttpResponseBase:
    """The events that fit, the latest recorded first."""
    forget_unused_dates(request)
    viewer = viewer_of(request)
    wanted = read_filter(viewer, request.GET, clock.now())
    rows: Any = everyones_events(viewer, wanted)
    if wanted.problem:
        rows = []
        messages.warning(request, wanted.problem)
    elif wanted.customer_id is not None:
        rows = events_matching(viewer, wanted)
    listing = replace(
        EVENTS,
        columns=shown_columns(is_of_one=wanted.customer_id is not None),
        describe=partial(describe_events, viewer, units=currency_units()),
    )
    if wanted.problem:
        listing = replace(listing, order=(), live_seconds=0)
    return listing.respond(request, rows)


def shown_columns(*, is_of_one: bool) -> tuple[Column, ...]:
    """Whose events these are is a column of its own, unless they all are one customer's."""
    needless = "customer_name" if is_of_one else "workspace_name"
    return tuple(column.extra() if column.key == needless else column for column in EVENTS.columns)


@staff_page()
def event(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """One event: who called, what was sent, what it cost, its charge."""
    viewer = viewer_of(request)
    facts = find_event(viewer, public_id)
    context = {
        "facts": facts,
        "event": facts.event,
        "unit": facts.unit,
        "lag": lag_text(facts.lag),
        "charge": charge_of_event(viewer, facts.event),
        "crumbs": [("Events", reverse("events")), (facts.event.name, "")],
    }
    return render(request, "billing/events/event.html", context)
