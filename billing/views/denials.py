"""Calls of a customer that were refused, and usage that went below the floor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.html import format_html

from accounts.models import BillingEntity, Currency, Workspace
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Denial, Overspend
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame
from billing.reports.levels import find_levels, level_name
from billing.reports.refusals import REFUSING
from billing.views.frame import frame_context, open_frame
from billing.views.listings import DescribedListing
from core.display.html import money_html, quantity_html
from core.ids import hot_id, public_id
from core.pages import columns
from core.pages.cells import custom_column, link, with_sub
from core.pages.choices import Choice, Words, filter_by
from core.pages.columns import Reader
from core.pages.listing import fragment

R = TypeVar("R", Denial, Overspend)
LEVEL_PAGES = {
    "api_key": ("customer_keys", ""),
    "workspace": ("customer_workspaces", ""),
    "organization": ("customer_workspaces", ""),
    "meter": ("customer_limits", "?level=meter"),
    "billing_entity": ("customer_payers", "#{id}"),
    "entitlement": ("customer_limits", "#entitlements"),
}
"""The tab of a customer on which a level is looked after, and where on it."""


@dataclass(frozen=True, slots=True)
class DenialRow:
    """A refused call with the names of whom it concerns. `whose`: the row of the level, where it is one."""

    denial: Denial
    payer: BillingEntity
    workspace: Workspace | None
    unit: str | Currency
    whose: Any | None

    @property
    def level_name(self) -> str:
        """Whose the level is, as people call it; a feature and a hold by what the refusal said."""
        denial = self.denial
        return level_name(denial.level, self.whose) if self.whose is not None else denial.level_id

    @property
    def level_url(self) -> str:
        """The page on which the level is looked after, or of a hold its own; none for one that is gone."""
        if self.denial.level == "authorization":
            return reverse("hold", args=[self.denial.level_id])
        if self.whose is None and self.denial.level != "entitlement":
            return ""
        if self.whose is not None and self.denial.level == "subscription":
            return reverse("plan_version", args=[self.whose.version.public_id])
        page, rest = LEVEL_PAGES[self.denial.level]
        place = reverse(page, args=[public_id("cus", self.denial.customer_id)])
        return place + rest.format(id=self.denial.level_id)


@dataclass(frozen=True, slots=True)
class OverspendRow:
    """Usage below the floor, and the charge that it came with."""

    overspend: Overspend
    payer: BillingEntity
    unit: str | Currency

    @property
    def charge_id(self) -> str:
        """The charge's public id."""
        return hot_id("ch", self.overspend.customer_id, self.overspend.charge_id)


def level_cell(row: DenialRow, reader: Reader) -> str:
    """Which level refused, and whose it is."""
    return with_sub(REFUSING.get(row.denial.level, row.denial.level), link(row.level_url, row.level_name))


def bound_cell(value: object, row: DenialRow, reader: Reader) -> str:
    """Of a quota, a feature or a ceiling of usage a quantity; of a spend limit or a hold money."""
    if row.denial.reason == Denial.Reason.ENTITLEMENT:
        return quantity_html(value, reader.locale)
    return money_html(value, row.unit, reader.locale, exact=True)


def limit_cell(value: object, row: DenialRow, reader: Reader) -> str:
    """What the level allows, over what of it was used and held by then."""
    limit = bound_cell(value, row, reader)
    if row.denial.used is None:
        return limit
    return with_sub(limit, format_html("{} taken", bound_cell(row.denial.used, row, reader)))


DENIALS = DescribedListing(
    key="denials",
    title="Denials",
    prefix="d-",
    columns=(
        columns.text("denial.event", "Event", sort=None),
        columns.instant(
            "denial.denied_at", "Denied", zone_path="payer.time_zone", sort=None, precision="second"
        ),
        columns.status("denial.reason", "Reason", sort=None),
        custom_column("level", "Level", level_cell, csv=lambda row: row.denial.level),
        columns.money("denial.expected_amount", "Would have cost", currency="unit", sort=None, exact=True),
        replace(columns.quantity("denial.limit", "Limit", sort=None), cell=limit_cell),
        columns.money("denial.available", "Was available", currency="unit", sort=None),
        columns.instant("denial.resets_at", "Resets", zone_path="payer.time_zone", sort=None).extra(),
        replace(columns.quantity("denial.used", "Taken of it", sort=None), cell=bound_cell).extra(),
        columns.text("level_name", "Whose level", sort=None).extra(),
        columns.identifier("denial.level_id", "Level's id").extra(),
        columns.text("workspace.name", "Workspace", sort=None).extra(),
        columns.text("denial.idempotency_key", "Idempotency key", sort=None).extra(),
        columns.text("payer.name", "Payer", sort=None).extra(),
    ),
    order=("-id",),
    page_size=25,
    empty_title="No call was refused",
    empty_text="A refused call is listed here with its reason; it uses up no idempotency key.",
)
OVERSPENDS = DescribedListing(
    key="overspend",
    title="Overspend",
    prefix="o-",
    columns=(
        columns.instant(
            "overspend.recorded_at", "Recorded", zone_path="payer.time_zone", sort=None, precision="second"
        ),
        columns.text("payer.name", "Payer", sort=None),
        columns.status("overspend.cause", "Cause", sort=None),
        columns.money("overspend.amount", "Below the floor", currency="unit", sort=None, exact=True),
        columns.identifier("charge_id", "Charge"),
    ),
    order=("-billing_entity_id", "-seq"),  # as the primary key has it
    page_size=25,
    row_url=lambda row: reverse("charge", args=[row.charge_id]),
    empty_title="Nothing below the floor",
    empty_text="Usage that took a payer below what it may go to is listed here with its cause.",
)


@staff_page()
def customer_denials(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Denials and overspend of a customer."""
    frame, viewer, units = open_frame(request, reference), viewer_of(request), currency_units()
    payers = [(payer.public_id, payer.name) for payer in frame.payers]
    denials = replace(
        DENIALS,
        describe=partial(denial_rows, viewer, {one.pk: one for one in frame.payers}, units),
        filters=filter_by(
            Choice("d-payer", "billing_entity_id", "be", payers),
            Words("d-reason", "reason", Denial.Reason.choices),
        ),
    )
    overspends = replace(OVERSPENDS, describe=partial(describe_overspend, frame, units))
    own = {"customer_id": frame.customer.pk}
    refused, below = visible(Denial, viewer).filter(**own), visible(Overspend, viewer).filter(**own)
    for listing, rows in ((denials, refused), (overspends, below)):
        if request.GET.get(f"{listing.prefix}export") == "csv":
            return listing.csv(request, rows)
    tables = [denials.table(request, refused), overspends.table(request, below)]
    context = frame_context(request, frame, "customer_denials") | {"tables": tables}
    return fragment(request, *tables) or render(request, "billing/customer/denials.html", context)


def denial_rows(
    viewer: Viewer,
    payers: Mapping[int, BillingEntity],
    units: Mapping[str, Currency],
    rows: Sequence[Denial],
) -> list[DenialRow]:
    """Denials of a page with names: a statement for workspaces, and one for each other level there."""
    spaces = visible(Workspace, viewer).in_bulk({row.workspace_id for row in rows if row.workspace_id})
    places = [(row.level, row.level_id) for row in rows]
    levels = find_levels(viewer, places, {"billing_entity": payers, "workspace": spaces})
    return [
        DenialRow(
            row,
            payer,
            spaces.get(row.workspace_id or 0),
            units.get(payer.currency, payer.currency),
            levels.get((row.level, row.level_id)),
        )
        for row in rows
        if (payer := payers.get(row.billing_entity_id)) is not None
    ]


def describe_overspend(
    frame: CustomerFrame, units: Mapping[str, Currency], rows: Sequence[Overspend]
) -> list[OverspendRow]:
    """Overspend of a page with names; no statement."""
    return [
        OverspendRow(row, payer, units.get(payer.currency, payer.currency))
        for row, payer in _with_payers(frame, rows)
    ]


def _with_payers(frame: CustomerFrame, rows: Sequence[R]) -> Iterator[tuple[R, BillingEntity]]:
    for row in rows:
        payer = frame.payer(row.billing_entity_id)
        assert payer is not None, "the row belongs to a payer of its customer"
        yield row, payer
