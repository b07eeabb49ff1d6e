"""The CSV of a list: all rows of the filter, exact values, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.http import StreamingHttpResponse

from core.pages.export import csv_cell
from tests.core.pages.rows import LINES, LISTING, get


def exported(query: str = "") -> list[dict[str, str]]:
    response = LISTING.respond(get(f"?export=csv{query}"), LINES)
    assert isinstance(response, StreamingHttpResponse)
    return list(csv.DictReader(response.getvalue().decode().splitlines()))


def test_every_row_and_column_is_exported_not_only_one_page() -> None:
    rows = exported()
    assert len(rows) == 4
    assert list(rows[0]) == ["name", "amount", "amount_currency", "status", "payer_name", "at"]


def test_values_are_exact_and_plain() -> None:
    row = exported("&q=hyper")[0]
    assert row["amount"] == "0.000000000000000001"
    assert row["amount_currency"] == "USD"
    assert row["at"] == "2026-11-23T14:05:07Z"
    assert exported("&q=gamma")[0]["amount"] == ""


def test_a_negative_amount_stays_a_number() -> None:
    assert exported("&q=alpha")[0]["amount"] == "-10"


def test_the_filter_and_the_order_of_the_page_hold() -> None:
    assert [row["name"] for row in exported("&q=quill&sort=-amount")] == ["beta", "'=HYPERLINK(1)"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0d1"]
)
def test_text_that_a_spreadsheet_would_run_is_defused(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (-3, "-3"),
        (Decimal("-1.50"), "-1.5"),
        (Decimal("1E+3"), "1000"),
        ("plain, with comma", "plain, with comma"),
        ("nul\x00", "nul"),
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-01T00:00:00Z"),
        (datetime(2026, 1, 1, tzinfo=UTC), "2026-01-01T00:00:00Z"),
    ],
)
def test_a_value_has_one_cell(value: object, cell: str) -> None:
    assert csv_cell(value) == cell


def test_an_empty_list_has_its_header() -> None:
    assert exported("&q=nothing") == []
    response = LISTING.respond(get("?export=csv&q=nothing"), LINES)
    assert response.getvalue() == b"name,amount,amount_currency,status,payer_name,at\r\n"


def test_the_download_is_named_and_not_cached() -> None:
    response = LISTING.respond(get("?export=csv"), LINES)
    assert response["Content-Disposition"] == 'attachment; filename="lines.csv"'
    assert response["Cache-Control"] == "no-store"
