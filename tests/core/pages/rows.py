"""A list of made rows, shared by the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.test import RequestFactory

from core.pages import columns
from core.pages.listing import Listing

AT = datetime(2026, 11, 23, 14, 5, 7, tzinfo=UTC)


@dataclass(frozen=True)
class Payer:
    name: str
    currency: str = "USD"


@dataclass(frozen=True)
class Line:
    name: str
    amount: Decimal | None
    payer: Payer | None = None
    status: str = "active"
    at: datetime = AT


LINES = [
    Line("beta", Decimal("2.5"), Payer("Quill")),
    Line("Alpha", Decimal("-10"), Payer("Ink", "EUR"), status="past_due"),
    Line("gamma", None),
    Line("=HYPERLINK(1)", Decimal("0.000000000000000001"), Payer("Quill")),
]
LISTING = Listing(
    key="lines",
    title="Lines",
    columns=(
        columns.text("name", "Name"),
        columns.money("amount", "Amount", currency="payer.currency"),
        columns.status("status", "Status"),
        columns.text("payer.name", "Payer", sort=None),
        columns.instant("at", "At", zone="Europe/Berlin").extra(),
    ),
    default_sort="name",
    search=("name", "payer__name"),
    row_url=lambda line: f"/lines/{line.name}",
    page_size=2,
)


def get(query: str = "", **headers: str) -> Any:
    """A GET request of the list with this query."""
    return RequestFactory().get(f"/lines{query}", headers=headers)
