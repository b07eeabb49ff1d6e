"""Columns: what a row shows, sorts by and exports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from babel import Locale

from core.display.html import ABSENT
from core.pages import columns
from core.pages.columns import Column, Reader, follow
from tests.core.pages.rows import AT, LINES, Line, Payer

READER = Reader(Locale("en"), AT + timedelta(hours=1))
LINE = LINES[0]


def shown(column: Column, row: object = LINE) -> str:
    return str(column.cell(column.value(row), row, READER))


def test_a_path_is_followed_in_both_notations_and_ends_at_nothing() -> None:
    assert follow(LINE, "payer.name") == "Quill"
    assert follow(LINE, "payer__name") == "Quill"
    assert follow(LINES[2], "payer.name") is None
    assert follow({"payer": {"name": "Ink"}}, "payer.name") == "Ink"
    assert follow({}, "payer.name") is None


def test_a_misspelt_path_is_an_error_not_a_dash() -> None:
    with pytest.raises(AttributeError):
        follow(LINE, "payer.nme")


def test_text_is_escaped_and_may_have_a_second_line() -> None:
    row = Line("<b>", None, Payer("<i>"))
    assert (
        shown(columns.text("name", "Name", sub="payer.name"), row)
        == '&lt;b&gt;<span class="sub">&lt;i&gt;</span>'
    )
    assert shown(columns.text("payer.name", "Payer"), LINES[2]) == ABSENT


def test_money_takes_its_currency_from_the_row() -> None:
    column = columns.money("amount", "Amount", currency="payer.currency")
    assert "EUR" in shown(column, LINES[1])
    assert column.is_numeric
    assert column.csv_keys == ("amount", "amount_currency")
    assert column.csv(LINES[1]) == (Decimal(-10), "EUR")
    assert column.csv(LINES[2]) == (None, "")


def test_a_column_sorts_by_its_path_unless_told() -> None:
    assert columns.text("payer.name", "Payer").sort == "payer.name"
    assert columns.text("name", "Name", sort="payer__name").sort == "payer__name"
    assert columns.text("name", "Name", sort=None).sort is None
    assert columns.identifier("name", "Id").sort is None
    assert columns.text("payer__name", "Payer").key == "payer_name"


def test_an_instant_stands_in_the_zone_of_its_row() -> None:
    row = {"at": datetime(2026, 11, 23, 14, 5, tzinfo=UTC), "zone": "Asia/Tokyo"}
    assert "23:05" in shown(columns.instant("at", "At", zone_path="zone"), row)
    assert "15:05" in shown(columns.instant("at", "At", zone="Europe/Berlin"), row)
    assert "14:05" in shown(columns.instant("at", "At"), row)


def test_a_span_counts_from_the_readers_instant() -> None:
    assert "1 hour ago" in shown(columns.ago("at", "At"))


def test_other_kinds_show_their_html() -> None:
    row = {"share": "0.5", "calls": 1500, "state": "past_due", "none": None, "id": "cus_1"}
    assert "50.0%" in shown(columns.percent("share", "Share"), row)
    assert "1,500" in shown(columns.quantity("calls", "Calls", unit="calls"), row)
    assert "Past due" in shown(columns.status("state", "State"), row)
    assert shown(columns.status("none", "State"), row) == ABSENT
    assert 'data-copy="cus_1"' in shown(columns.identifier("id", "Id"), row)


def test_a_cell_may_have_a_template_of_its_own() -> None:
    column = columns.custom("name", "Name", template="components/note.html")
    assert 'class="note' in shown(column)


def test_an_extra_column_is_hidden_until_chosen() -> None:
    assert columns.text("name", "Name").extra().is_extra
