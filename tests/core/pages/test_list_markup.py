"""A list page as HTML: what a screen reader, a keyboard and a browser without script find in it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from django import forms

from core.pages.listing import Listing
from tests.core.pages.rows import LINES, LISTING, Line, get


class Filters:
    """A filter of one choice and a range of two dates, in the shape of a `FilterSet`."""

    class Form(forms.Form):
        status = forms.ChoiceField(required=False, choices=[("", "Any"), ("past_due", "Past due")])
        note = forms.CharField(required=False)

    def __init__(self, data: Any, queryset: list[Line], request: object) -> None:
        self.form = self.Form(data)
        self.rows = queryset

    @property
    def qs(self) -> list[Line]:
        self.form.is_valid()
        status = self.form.cleaned_data.get("status")
        return [row for row in self.rows if not status or row.status == status]


FILTERED = replace(LISTING, filters=Filters)


def page(query: str = "", listing: Listing = FILTERED, rows: list[Line] = LINES) -> str:
    response = listing.respond(get(query), rows)
    return response.getvalue().decode()


def test_the_table_has_a_caption_scopes_and_roles() -> None:
    text = page()
    assert re.search(r'<caption class="visually-hidden">Lines: 1 to 2 of 4</caption>', text)
    assert text.count('<th scope="col" role="columnheader"') == 4
    assert text.count('<th scope="row" role="rowheader"') == 2


def test_every_cell_names_its_column_for_the_cards_of_a_phone() -> None:
    assert page().count('data-label="Amount"') == 2


def test_only_the_sorted_head_says_a_direction() -> None:
    text = page("?sort=-amount")
    assert text.count("aria-sort=") == 1
    assert 'aria-sort="descending"' in text


def test_links_work_without_script_and_with_it() -> None:
    text = page()
    assert re.search(r'href="\?page=2" hx-get="\?page=2"', text)
    assert re.search(r'href="\?sort=-amount" hx-get="\?sort=-amount"', text)


def test_the_form_asks_the_same_address_with_and_without_script() -> None:
    text = page()
    assert 'action="/lines"' in text
    assert 'hx-get="/lines"' in text
    assert '<button type="submit" class="button without-script">Apply</button>' in text


def test_the_order_travels_with_the_form_from_the_part_that_is_replaced() -> None:
    assert '<input type="hidden" id="lines-sort" name="sort" value="-amount" form="lines-filters">' in page(
        "?sort=-amount"
    )


def test_a_filter_in_force_is_a_chip_with_its_words() -> None:
    text = page("?status=past_due")
    assert 'aria-label="Remove the filter Status: Past due"' in text
    assert "beta" not in text


def test_a_filter_that_is_no_choice_narrows_nothing_and_says_so() -> None:
    text = page("?status=nonsense")
    assert "1 to 2 of 4" in text
    assert "nonsense is not one of the available choices" in text


def test_what_a_reader_types_is_escaped_wherever_it_comes_back() -> None:
    text = page("?q=%3Cscript%3Ealert(1)%3C/script%3E&note=%22%3E%3Cimg%20src=x%3E&x=%3Cb%3E")
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "<b>alert" not in text


def test_a_search_without_result_offers_to_clear_it() -> None:
    text = page("?q=zzz&sort=-amount")
    assert "Nothing matches" in text
    assert 'href="?sort=-amount">Clear all filters' in text


def test_an_empty_list_says_what_would_stand_there() -> None:
    text = page(listing=replace(LISTING, empty_title="No lines yet", empty_text="They come."), rows=[])
    assert "No lines yet" in text
    assert "They come." in text
    assert "<table" not in text


def test_the_csv_link_keeps_the_filter() -> None:
    assert 'href="?q=a&amp;export=csv"' in page("?q=a")


def test_the_choice_of_order_for_narrow_screens_knows_the_present_one() -> None:
    assert '<option value="-amount" selected>Amount, largest first</option>' in page("?sort=-amount")


@pytest.mark.parametrize(
    "query", ["?page=%00", "?sort=%00", "?show=%00", "?status=%00", "?q=%00", "?after=%00"]
)
def test_a_nul_character_anywhere_is_harmless(query: str) -> None:
    assert "<table" in page(query)


def test_a_row_without_an_address_is_no_link() -> None:
    assert "row-link" not in page(listing=replace(LISTING, row_url=None))
