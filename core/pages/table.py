"""The table that a template draws: heads, rows of ready cells, chips, pager; only words and links."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

from django.forms import BaseForm, BoundField, MultiWidget

from core.display.numbers import quantity_text
from core.pages.columns import Column, Reader
from core.pages.paging import Page
from core.pages.spec import ListSpec
from core.pages.state import ListState

_COLUMNS_MAX: Final = 9


@dataclass(frozen=True)
class Head:
    """A column's head. `sort_url` is where a click leads; empty for a column that does not sort."""

    key: str
    label: str
    is_numeric: bool
    hint: str
    aria_sort: Literal["", "ascending", "descending"]
    sort_url: str

    @property
    def first_value(self) -> str:
        """The order that one wants first: the largest numbers, the words from A."""
        return f"-{self.key}" if self.is_numeric else self.key

    @property
    def second_value(self) -> str:
        """The other direction."""
        return self.key if self.is_numeric else f"-{self.key}"


@dataclass(frozen=True)
class Row:
    """A row: the address it opens, and its cells as (head, HTML)."""

    url: str
    cells: list[tuple[Head, str]]


@dataclass(frozen=True)
class Chip:
    """A filter in force, and the address without it."""

    label: str
    value: str
    url: str


@dataclass(frozen=True)
class Table:
    """A list as drawn."""

    listing: ListSpec
    state: ListState
    heads: list[Head]
    rows: list[Row]
    chips: list[Chip]
    form: BaseForm | None
    count_text: str
    newer_url: str
    older_url: str
    csv_url: str
    live_url: str
    is_live: bool
    canonical_url: str
    extras: list[tuple[Column, bool]]

    @property
    def element_id(self) -> str:
        """The id of the element that htmx replaces."""
        return f"{self.listing.key}-table"

    @property
    def sort_value(self) -> str:
        """The order as the address writes it."""
        return f"{'-' if self.state.is_descending else ''}{self.state.sort}"

    @property
    def sort_query(self) -> str:
        """The same, empty where it is what the list does anyway: addresses stay short."""
        return "" if self.sort_value == self.listing.default_sort else self.sort_value

    @property
    def has_sorting(self) -> bool:
        """Whether there is anything to sort by."""
        return any(head.sort_url for head in self.heads)

    @property
    def is_wide(self) -> bool:
        """Whether so many columns are shown that the table scrolls sideways in its frame."""
        return len(self.heads) > _COLUMNS_MAX

    @property
    def is_filtered(self) -> bool:
        """Whether a search or a filter narrows the rows."""
        return bool(self.chips)

    @property
    def clear_url(self) -> str:
        """The list without search and filters, in the same order."""
        return self.state.bare_url(self.listing.keeps)

    @property
    def kept(self) -> list[tuple[str, str]]:
        """What the form of the filters carries along of the page's own address."""
        query = self.state.query
        return [(name, value) for name in self.listing.keeps for value in query.getlist(name) if value]


def make_table(
    listing: ListSpec, state: ListState, page: Page, reader: Reader, form: BaseForm | None
) -> Table:
    """Turn a page of rows into what the template draws."""
    columns = [column for column in listing.columns if not column.is_extra or column.key in state.shown]
    heads = [_head(column, state, is_sortable=not listing.order) for column in columns]
    is_live = bool(listing.live_seconds) and state.is_live
    return Table(
        listing=listing,
        state=state,
        heads=heads,
        rows=[_row(listing, columns, heads, row, reader) for row in page.rows],
        chips=list(_chips(state, form)),
        form=form,
        count_text=_count_text(page, reader),
        newer_url="" if page.newer is None else state.url(**page.newer),
        older_url="" if page.older is None else state.url(**page.older),
        csv_url=state.url(export="csv"),
        live_url=state.url(live=None if is_live else "1") if listing.live_seconds else "",
        is_live=is_live,
        canonical_url=state.canonical(),
        extras=[(column, column.key in state.shown) for column in listing.columns if column.is_extra],
    )


def _head(column: Column, state: ListState, *, is_sortable: bool) -> Head:
    is_sorted = bool(column.sort) and column.key == state.sort
    descends = not state.is_descending if is_sorted else column.is_numeric
    sort = f"-{column.key}" if descends else column.key
    direction: Literal["ascending", "descending"] = "descending" if state.is_descending else "ascending"
    return Head(
        key=column.key,
        label=column.label,
        is_numeric=column.is_numeric,
        hint=column.hint,
        aria_sort=direction if is_sorted and is_sortable else "",
        sort_url=state.url(sort=sort) if column.sort and is_sortable else "",
    )


def _row(listing: ListSpec, columns: list[Column], heads: list[Head], row: Any, reader: Reader) -> Row:
    cells = [
        (head, column.cell(column.value(row), row, reader))
        for head, column in zip(heads, columns, strict=True)
    ]
    return Row(url=listing.row_url(row) if listing.row_url else "", cells=cells)


def _count_text(page: Page, reader: Reader) -> str:
    if page.total is None:
        return f"{len(page.rows)} on this page"
    total = quantity_text(Decimal(page.total), reader.locale)
    if page.total == 0:
        return "No rows"
    if page.newer is None and page.older is None:
        return f"{total} row{'' if page.total == 1 else 's'}"
    first, last = (quantity_text(Decimal(place), reader.locale) for place in (page.first, page.last))
    return f"{first} to {last} of {total}"


def _chips(state: ListState, form: BaseForm | None) -> Iterator[Chip]:
    if state.search:
        yield Chip("Search", state.search, state.without(f"{state.prefix}q"))
    for bound in form or ():
        for name in _names(bound):
            for value in state.query.getlist(name):
                if value:
                    yield Chip(str(bound.label), _shown(bound, name, value), state.without(name, value))


def _names(bound: BoundField) -> list[str]:
    widget = bound.field.widget
    if isinstance(widget, MultiWidget):
        return [f"{bound.html_name}{suffix}" for suffix in widget.widgets_names]  # type: ignore[attr-defined]
    return [bound.html_name]


def _shown(bound: BoundField, name: str, value: str) -> str:
    choices = dict(getattr(bound.field, "choices", ()))
    words = str(choices.get(value, value))[:60]
    if name.endswith(("_after", "_min")):
        return f"from {words}"
    return f"to {words}" if name.endswith(("_before", "_max")) else words
