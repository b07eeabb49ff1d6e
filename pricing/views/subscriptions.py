"""Who is on which version: the subscriptions of all customers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from core.display.html import ABSENT
from core.pages import columns
from core.pages.cells import custom_column, link
from core.pages.choices import Choice, RowFilters, Words, filter_by
from core.pages.columns import Reader
from core.pages.listing import Listing
from pricing.models import Plan, PlanVersion, Subscription
from pricing.plan_rows import version_label, with_labels


def version_cell(row: Subscription, reader: Reader) -> str:
    """The version as a link to its price sheet."""
    return link(reverse("plan_version", args=[row.version.public_id]), version_label(row.version))


def quantities_text(row: Subscription) -> str:
    """`seats 12`, or nothing."""
    return ", ".join(f"{key} {value}" for key, value in row.quantities.items())


def quantities_cell(row: Subscription, reader: Reader) -> str:
    """The same in the table."""
    return quantities_text(row) or ABSENT


STATUSES: Final = [(str(word), str(label)) for word, label in Subscription.Status.choices]
SUBSCRIPTIONS: Final = Listing(
    key="subscriptions",
    title="Subscriptions",
    columns=(
        columns.text("customer.name", "Customer", sort="customer__name", sub="customer.external_id"),
        columns.text("billing_entity.name", "Payer", sort="billing_entity__name"),
        columns.text("version.plan.name", "Plan", sort="version__plan__name"),
        custom_column(
            "version",
            "Version",
            version_cell,
            sort="version__number",
            csv=lambda row: version_label(row.version),
        ),
        columns.status("status", "Status"),
        columns.instant("starts_at", "From", zone_path="billing_entity.time_zone", precision="day"),
        columns.instant("ends_at", "Until", zone_path="billing_entity.time_zone", precision="day"),
        custom_column("quantities", "Quantities", quantities_cell, csv=quantities_text),
        columns.identifier("public_id", "Id").extra(),
        columns.text("external_id", "Your id").extra(),
        columns.identifier("version.public_id", "Version id").extra(),
    ),
    default_sort="customer_name",
    search=("customer__name", "customer__external_id", "billing_entity__name", "external_id"),
    search_hint="Search customer, payer, id",
    row_url=lambda row: (
        f"{reverse('customer_payers', args=[row.customer.public_id])}#{row.billing_entity.public_id}"
    ),
    empty_title="No subscriptions yet",
    empty_text="A subscription puts a payer on a version; start one over the API.",
)


@staff_page()
def subscriptions(request: HttpRequest) -> HttpResponseBase:
    """The list, narrowed by plan, version and status."""
    viewer = viewer_of(request)
    listing = replace(SUBSCRIPTIONS, filters=_filters(viewer))
    rows = visible(Subscription, viewer).select_related(
        "customer", "billing_entity", "version__plan", "version__customer"
    )
    return listing.respond(request, rows.defer("version__content"))


def _filters(viewer: Viewer) -> Callable[..., RowFilters]:
    """By plan, by version (contracts too) and by status."""
    plans = Plan.objects.order_by("name", "key")
    published = visible(PlanVersion, viewer).exclude(status=PlanVersion.Status.DRAFT).defer("content")
    versions = with_labels(published.order_by("plan__name", "base_id", "-number"))
    named = [(one.public_id, f"{one.plan.name} {label}") for one, label in versions]
    statuses = [(str(word), str(label)) for word, label in Subscription.Status.choices]
    return filter_by(
        Choice("plan", "version__plan_id", "plan", [(one.public_id, one.name) for one in plans]),
        Choice("version", "version_id", "pv", named),
        Words("status", "status", statuses),
    )
