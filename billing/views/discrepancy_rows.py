"""The list of discrepancies, as several pages show it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from babel import Locale
from django.urls import reverse

from billing.models import Discrepancy
from billing.reconciliation.links import LINKS
from billing.reports.reconciliation import sentence_of
from core.display.html import figure_html
from core.pages import columns
from core.pages.cells import custom_column, with_sub
from core.pages.choices import Words, filter_by
from core.pages.columns import Column, Reader
from core.pages.listing import Listing


def title_of(link: str) -> str:
    """A link's name as pages show it."""
    return link.replace("_", " ").capitalize()


LINK_CHOICES: Final = [(link.name, title_of(link.name)) for link in LINKS]
TYPE_CHOICES: Final = sorted(
    {(kind, kind.replace("_", " ").capitalize()) for link in LINKS for kind in link.types}
)


def drift_html(amount: Any, unit: str, locale: Locale) -> str:
    """An amount in money, or a number of what is counted."""
    return figure_html(amount, unit, locale)


def _figure(path: str, label: str) -> Column:
    """One of a discrepancy's figures, in its unit."""

    def cell(row: Discrepancy, reader: Reader) -> str:
        value: Decimal | None = getattr(row, path)
        return drift_html(value, row.unit, reader.locale)

    def csv(row: Discrepancy) -> object:
        return getattr(row, path)

    return custom_column(path, label, cell, sort=path, is_numeric=True, csv=csv)


DISCREPANCIES: Final = Listing(
    key="discrepancies",
    title="Discrepancies",
    columns=(
        custom_column(
            "subject",
            "What",
            lambda row, reader: with_sub(sentence_of(row.link, row.type), row.subject),
            sort="subject",
            csv=lambda row: row.subject,
        ),
        custom_column(
            "link", "Link", lambda row, reader: title_of(row.link), sort="link", csv=lambda row: row.link
        ),
        columns.text("type", "Type").extra(),
        _figure("expected", "Expected"),
        _figure("actual", "Found"),
        _figure("amount", "Difference"),
        columns.text("unit", "Unit").extra(),
        columns.status("status", "Status"),
        columns.text("owner", "Owner"),
        columns.ago("first_found_at", "Since"),
        columns.instant("last_found_at", "Last found").extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-first_found_at",
    filters=filter_by(
        Words("link", "link", LINK_CHOICES),
        Words("type", "type", TYPE_CHOICES),
        Words("status", "status", Discrepancy.Status.choices),
    ),
    search=("subject", "owner", "cause"),
    search_hint="Search what, owner or cause",
    row_url=lambda row: reverse("discrepancy", args=[row.public_id]),
    empty_title="Everything agrees",
    empty_text="No discrepancy stands.",
    keeps=("unit",),
)
