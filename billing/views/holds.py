"""Live holds and leases: what is reserved for calls whose size is not known yet, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts.models import BillingEntity, Currency
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Authorization
from billing.reports.comparing import currency_units
from billing.reports.holds import held_sums, live_holds
from billing.views.listings import DescribedListing
from core import clock
from core.pages import columns
from core.pages.cells import with_sub
from core.pages.choices import Words, filter_by
from core.pages.columns import Reader

KINDS: Final = [(str(word), str(label)) for word, label in Authorization.Kind.choices]


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A hold with whose it is, and what it is at this instant."""

    hold: Authorization
    payer: BillingEntity
    unit: str | Currency
    status: str


def event_cell(value: object, row: HoldRow, reader: Reader) -> str:
    """The event that it is held for, if it names one, over what kind of hold it is."""
    return with_sub(str(value or "Any event"), dict(KINDS)[row.hold.kind])


HOLDS: Final = DescribedListing(
    key="holds",
    title="Holds and leases",
    columns=(
        columns.text("payer.customer.name", "Customer", sort=None, sub="payer.name"),
        replace(columns.text("hold.event", "Event", sort=None), cell=event_cell),
        columns.status("status", "Status", sort=None),
        columns.money("hold.held", "Held", currency="unit", sort=None, exact=True),
        columns.instant(
            "hold.authorized_at", "Since", zone_path="payer.time_zone", sort=None, precision="second"
        ),
        columns.instant(
            "hold.expires_at", "Expires", zone_path="payer.time_zone", sort=None, precision="second"
        ),
        columns.money("hold.captured_amount", "Captured", currency="unit", sort=None, exact=True).extra(),
        columns.text("hold.kind", "Kind", sort=None).extra(),
        columns.money("hold.amount", "First held", currency="unit", sort=None, exact=True).extra(),
        columns.text("hold.idempotency_key", "Idempotency key", sort=None).extra(),
        columns.identifier("hold.public_id", "Id").extra(),
    ),
    order=("-id",),
    filters=filter_by(Words("kind", "kind", KINDS)),
    row_url=lambda row: reverse("hold", args=[row.hold.public_id]),
    keeps=("all",),
    live_seconds=5,
    empty_title="Nothing is held",
    empty_text="A call whose size is not known yet holds what it is expected to cost, until it is captured.",
)


@staff_page()
def holds(request: HttpRequest) -> HttpResponseBase:
    """What is held now, by currency, and each hold; with `?all=1` those that are over too."""
    viewer, units, now = viewer_of(request), currency_units(), clock.now()
    is_all = request.GET.get("all") == "1"
    live = live_holds(viewer, now)
    context = {
        "as_of": now,
        "sums": [(amount, units.get(code, code), number) for code, number, amount in held_sums(live)],
        "tabs": [("Live", "?", not is_all, None), ("All", "?all=1", is_all, None)],
    }
    rows = visible(Authorization, viewer) if is_all else live
    listing = replace(HOLDS, describe=partial(describe_holds, viewer, units, now))
    return listing.respond(request, rows, "billing/holds/list.html", context)


def describe_holds(
    viewer: Viewer, units: Mapping[str, Currency], now: datetime, rows: Sequence[Authorization]
) -> list[HoldRow]:
    """Holds of a page with names, in one statement."""
    payers = visible(BillingEntity, viewer).select_related("customer")
    found = payers.in_bulk({row.billing_entity_id for row in rows})
    return [
        HoldRow(row, payer, units.get(payer.currency, payer.currency), row.status_at(now))
        for row in rows
        if (payer := found.get(row.billing_entity_id)) is not None
    ]
