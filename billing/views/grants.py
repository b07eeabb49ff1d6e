"""A customer's credit grants: what is left, until when, and which charges consumed each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html

from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import CreditGrant
from billing.reports.comparing import currency_units
from billing.reports.grants import GrantMove, GrantRow, describe_grants, describe_moves, find_grant, moves_of
from billing.views.frame import frame_context, open_frame
from billing.views.listings import DescribedListing
from core import clock
from core.display.html import money_html
from core.display.sparklines import share_html
from core.pages import columns
from core.pages.cells import custom_column, link
from core.pages.choices import Choice, Words, filter_by
from core.pages.columns import Reader


def remaining_cell(row: GrantRow, reader: Reader) -> str:
    """What is left, over a bar of how much of the whole that is."""
    share = share_html([(row.grant.remaining, 1)], row.grant.amount, "left of the whole")
    return format_html("{}{}", money_html(row.grant.remaining, row.unit, reader.locale), share)


def charge_link(row: GrantMove) -> str:
    """The charge that consumed it; else what the transfer itself refers to."""
    url = reverse("charge", args=[row.charge_id]) if row.charge_id else ""
    return link(url, row.charge_id or row.transfer.reference)


GRANTS = DescribedListing(
    key="grants",
    title="Credit grants",
    columns=(
        columns.text("title", "Grant", sort="name", sub="public_id"),
        columns.status("status", "Status", sort=None),
        columns.text("payer_name", "Payer", sort=None),
        columns.text("grant.kind", "Kind", sort="kind"),
        custom_column("remaining", "Left", remaining_cell, sort="remaining", is_numeric=True),
        columns.money("grant.amount", "Of", currency="unit", sort="amount"),
        columns.quantity("grant.priority", "Priority", sort="priority", hint="The lower one burns first"),
        columns.text("scope", "Only for", sort=None, hint="Component keys; empty: all"),
        columns.instant("grant.expires_at", "Expires", zone_path="zone", sort="expires_at"),
        columns.instant("grant.effective_at", "Effective", zone_path="zone", sort="effective_at").extra(),
        columns.money("grant.cost_basis", "Cost basis", currency="unit", sort=None, exact=True).extra(),
    ),
    default_sort="-grant_effective_at",
    search=("name",),
    search_hint="Search name",
    empty_title="No grants",
    empty_text="Top-ups and promotional credit appear here as blocks with what is left of them.",
)

MOVES = DescribedListing(
    key="grant-moves",
    title="What moved",
    columns=(
        columns.instant("transfer.recorded_at", "Recorded", zone_path="zone", sort=None, precision="second"),
        columns.text("transfer.reason", "Reason", sort=None),
        custom_column(
            "charge",
            "Charge",
            lambda row, reader: charge_link(row),
            csv=lambda row: row.charge_id or row.transfer.reference,
        ),
        columns.text("transfer.source", "From", sort=None),
        columns.text("transfer.destination", "To", sort=None),
        columns.money("transfer.amount", "Amount", currency="unit", sort=None, exact=True),
        columns.quantity("transfer.seq", "Transaction", sort=None),
    ),
    order=("-seq", "-position"),
    empty_title="Nothing moved yet",
    empty_text="A grant that begins later enters the wallet then.",
)


@staff_page()
def customer_grants(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The grants of a customer."""
    frame = open_frame(request, reference)
    payers = [(payer.public_id, payer.name) for payer in frame.payers]
    listing = replace(
        GRANTS,
        describe=partial(describe_grants, frame, currency_units(), clock.now()),
        row_url=lambda row: reverse("customer_grant", args=[frame.customer.public_id, row.public_id]),
        filters=filter_by(
            Choice("payer", "billing_entity_id", "be", payers),
            Words("kind", "kind", CreditGrant.Kind.choices),
        ),
    )
    grants = visible(CreditGrant, viewer_of(request)).filter(customer_id=frame.customer.pk)
    context = frame_context(request, frame, "customer_grants")
    return listing.respond(request, grants, "billing/customer/list.html", context)


@staff_page()
def customer_grant(request: HttpRequest, reference: str, public_id: str) -> HttpResponseBase:
    """One grant and every transfer into and out of it."""
    frame, viewer = open_frame(request, reference), viewer_of(request)
    grant = find_grant(viewer, frame, public_id)
    (row,) = describe_grants(frame, currency_units(), clock.now(), [grant])
    listing = replace(MOVES, describe=partial(describe_moves, row))
    context: dict[str, Any] = frame_context(request, frame, "customer_grants", below=row.title)
    return listing.respond(
        request, moves_of(viewer, grant), "billing/customer/grant.html", context | {"row": row}
    )
