"""A declared list: search, order, pages, chips, fragment and address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.pages.listing import fragment
from core.pages.table import Table
from tests.core.pages.rows import LINES, LISTING, get


def table_of(query: str = "") -> Table:
    return LISTING.table(get(query), LINES)


def names(query: str = "") -> list[str]:
    wide = replace(LISTING, page_size=100)
    return [str(row.cells[0][1]) for row in wide.table(get(query), LINES).rows]


def test_a_list_begins_in_its_default_order() -> None:
    assert names() == ["=HYPERLINK(1)", "Alpha", "beta", "gamma"]


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("?sort=-name", "gamma", "=HYPERLINK(1)"),
        ("?sort=amount", "Alpha", "gamma"),
        ("?sort=-amount", "beta", "gamma"),
        ("?sort=payer_name", "=HYPERLINK(1)", "gamma"),
        ("?sort=nonsense", "=HYPERLINK(1)", "gamma"),
    ],
)
def test_rows_are_ordered_with_absent_values_last(query: str, first: str, last: str) -> None:
    found = names(query)
    assert (found[0], found[-1]) == (first, last)


def test_a_search_looks_into_related_names_too_whatever_the_case() -> None:
    assert names("?q=QUILL") == ["=HYPERLINK(1)", "beta"]
    assert names("?q=nothing") == []


def test_a_search_with_a_nul_character_is_harmless() -> None:
    assert names("?q=be%00ta") == ["beta"]


def test_a_head_says_its_direction_and_turns_it() -> None:
    head = table_of("?sort=-amount").heads[1]
    assert head.aria_sort == "descending"
    assert head.sort_url == "?sort=amount"


def test_a_first_click_shows_the_largest_number_and_the_first_word() -> None:
    heads = table_of("?sort=status").heads
    assert heads[0].sort_url == "?sort=name"
    assert heads[1].sort_url == "?sort=-amount"
    assert heads[3].sort_url == ""


def test_pages_lead_on_and_back() -> None:
    first, second = table_of(), table_of("?page=2")
    assert (first.newer_url, first.older_url) == ("", "?page=2")
    assert (second.newer_url, second.older_url) == ("?", "")
    assert first.count_text == "1 to 2 of 4"
    assert second.count_text == "3 to 4 of 4"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("0", "1 to 2 of 4"),
        ("-1", "1 to 2 of 4"),
        ("x", "1 to 2 of 4"),
        ("99", "3 to 4 of 4"),
        ("9" * 40, "1 to 2 of 4"),
        ("٣", "1 to 2 of 4"),
    ],
)
def test_a_page_that_makes_no_sense_is_another(page: str, text: str) -> None:
    assert table_of(f"?page={page}").count_text == text


def test_a_change_of_order_leads_to_the_first_page_and_keeps_the_search() -> None:
    assert table_of("?q=a&page=2").heads[1].sort_url == "?q=a&sort=-amount"


def test_a_search_is_a_chip_that_can_be_taken_away() -> None:
    table = table_of("?q=quill&sort=-amount")
    assert [(chip.label, chip.value, chip.url) for chip in table.chips] == [
        ("Search", "quill", "?sort=-amount")
    ]
    assert table.clear_url == "?sort=-amount"
    assert table.is_filtered


def test_the_address_is_kept_short() -> None:
    assert table_of("?q=&status=&sort=-amount").canonical_url == "?sort=-amount"
    assert table_of().sort_query == ""
    assert table_of("?sort=-name").sort_query == "-name"


def test_extra_columns_show_when_chosen() -> None:
    assert len(table_of().heads) == 4
    assert [head.label for head in table_of("?show=at").heads][-1] == "At"
    assert len(table_of("?show=name&show=secret").heads) == 4


def test_a_row_opens_its_page() -> None:
    assert table_of("?q=beta").rows[0].url == "/lines/beta"


def test_htmx_gets_the_table_alone_and_the_address() -> None:
    response = LISTING.respond(get("?q=beta&x=", **{"hx-request": "true", "hx-target": "lines-table"}), LINES)
    text = response.getvalue().decode()
    assert text.lstrip().startswith('<div class="listing-region"')
    assert "<html" not in text
    assert response["HX-Push-Url"] == "http://testserver/lines?q=beta"


def test_a_refresh_of_the_same_address_adds_no_history() -> None:
    headers = {
        "hx-request": "true",
        "hx-target": "lines-table",
        "hx-current-url": "http://testserver/lines?q=beta",
    }
    response = LISTING.respond(get("?q=beta", **headers), LINES)
    assert not response.has_header("HX-Push-Url")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"hx-request": "true", "hx-target": "other-table"},
        {"hx-request": "true", "hx-target": "lines-table", "hx-boosted": "true"},
        {"hx-request": "true", "hx-target": "lines-table", "hx-history-restore-request": "true"},
    ],
)
def test_everyone_else_gets_the_page(headers: dict[str, str]) -> None:
    assert fragment(get(**headers), table_of()) is None


def test_two_lists_on_one_page_keep_their_parameters_apart() -> None:
    other = replace(LISTING, prefix="b-")
    request = get("?sort=-name&b-sort=amount&b-page=2")
    assert LISTING.table(request, LINES).sort_value == "-name"
    table = other.table(request, LINES)
    assert table.sort_value == "amount"
    assert table.newer_url == "?sort=-name&b-sort=amount"
    assert table.canonical_url == "?sort=-name&b-sort=amount&b-page=2"


def test_a_live_list_can_be_switched_on_and_off() -> None:
    live = replace(LISTING, live_seconds=3)
    assert live.table(get(), LINES).live_url == "?live=1"
    table = live.table(get("?live=1"), LINES)
    assert table.is_live
    assert table.live_url == "?"
    assert not table_of("?live=1").is_live


def test_an_empty_list_counts_nothing() -> None:
    assert LISTING.table(get(), []).count_text == "No rows"
    assert LISTING.table(get(), LINES[:1]).count_text == "1 row"


def test_a_table_of_many_columns_scrolls_in_its_frame() -> None:
    wide = replace(LISTING, columns=LISTING.columns * 3)
    assert wide.table(get(), LINES).is_wide
    assert not table_of().is_wide


def test_a_list_keeps_the_parameters_of_its_page_that_it_names() -> None:
    of_page = replace(LISTING, keeps=("of", "period"))
    table = of_page.table(get("?of=1&period=&other=2&q=alpha&sort=-amount"), LINES)
    assert table.kept == [("of", "1")]
    assert table.clear_url == "?of=1&sort=-amount"
