"""What a list page declares; `Listing` gives it its verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from django.forms import BaseForm

from core.pages.columns import Column
from core.pages.rows import Rows, Search


class Filters(Protocol):
    """What a list asks of its filters; a django-filter `FilterSet` has it."""

    @property
    def form(self) -> BaseForm:
        """The form of the bar above the list."""

    @property
    def qs(self) -> Rows:
        """The rows that fit."""


@dataclass(frozen=True, kw_only=True)
class ListSpec:
    """How rows become a list. `key` names it in the page, `title` is its heading and caption.

    `order` turns keyset paging on (see paging.py); `default_sort` is a column's key, with a minus
    for descending. `filters` is called with the query and the rows. `live_seconds` lets a reader
    switch on a refresh of that period. `keeps` names parameters of the page that filtering carries along,
    `narrow` the filters that stand behind a button.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    default_sort: str = ""
    search: Search = ()
    search_hint: str = "Search"
    filters: Callable[..., Filters] | None = None
    row_url: Callable[[Any], str] | None = None
    page_size: int = 50
    order: tuple[str, ...] = ()
    live_seconds: int = 0
    empty_title: str = "Nothing here yet"
    empty_text: str = ""
    prefix: str = ""
    keeps: tuple[str, ...] = ()
    narrow: tuple[str, ...] = ()
