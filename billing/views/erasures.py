"""Erasures: whose customer's data, how far each has come, what had to stay and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts.models import Customer
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Erasure
from billing.views.listings import DescribedListing
from core.pages import columns
from core.pages.cells import custom_column, stacked
from core.pages.choices import Words, filter_by


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """An erasure with its customer."""

    erasure: Erasure
    customer: Customer

    @property
    def kept(self) -> list[str]:
        """What had to stay, and why."""
        return [f"{name}: {why}" for name, why in sorted(self.erasure.kept.items())]


ERASURES: Final = DescribedListing(
    key="erasures",
    title="Erasures",
    columns=(
        columns.text("customer.name", "Customer", sort=None, sub="erasure.reason"),
        columns.status("erasure.status", "Status", sort=None),
        columns.instant("erasure.created_at", "Asked for", sort=None),
        columns.instant("erasure.done_at", "Done", sort=None),
        columns.quantity("erasure.events", "Events", sort=None),
        columns.quantity("erasure.parts", "Values", sort=None, hint="Users and properties that were erased"),
        custom_column(
            "kept",
            "Had to stay",
            lambda row, reader: stacked(row.kept),
            csv=lambda row: "; ".join(row.kept),
        ),
        columns.quantity(
            "erasure.others", "Others", sort=None, hint="Authorizations, and events in quarantine"
        ).extra(),
        columns.text("erasure.created_by", "By", sort=None).extra(),
        columns.identifier("erasure.public_id", "Id").extra(),
    ),
    order=("-id",),
    filters=filter_by(Words("status", "status", Erasure.Status.choices)),
    row_url=lambda row: reverse("customer", args=[row.customer.public_id]),
    empty_title="Nothing was erased",
    empty_text="POST /v1/erasures, or manage.py erase_person, erases what is known of a person.",
)


@staff_page()
def erasures(request: HttpRequest) -> HttpResponseBase:
    """The erasures, the latest first."""
    viewer = viewer_of(request)
    listing = replace(ERASURES, describe=partial(describe_erasures, viewer))
    return listing.respond(request, visible(Erasure, viewer), "billing/proof/erasures.html")


def describe_erasures(viewer: Viewer, rows: Sequence[Erasure]) -> list[ErasureRow]:
    """Erasures of a page with their customers, in one statement."""
    found = visible(Customer, viewer).in_bulk({row.customer_id for row in rows})
    return [ErasureRow(row, customer) for row in rows if (customer := found.get(row.customer_id)) is not None]
