"""A list whose rows get what goes with them (names, events) after the page of them is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.pages.export import csv_response
from core.pages.listing import Listing
from core.pages.paging import Page
from core.pages.rows import Rows
from core.pages.state import ListState

_CHUNK: Final = 500
Describe = Callable[[list[Any]], list[Any]]


@dataclass(frozen=True, kw_only=True)
class DescribedListing(Listing):
    """`describe` turns the rows of a page, or a chunk of the CSV, into what the columns show.

    A view makes one for each request: `replace(CHARGES, describe=...)`.
    """

    describe: Describe = list

    def csv(self, request: HttpRequest, rows: Rows) -> HttpResponseBase:
        """Every row of the current filter, described chunk by chunk."""
        selected = self._select(self.state(request), self._filters(request, rows), rows)
        source = selected.iterator(chunk_size=_CHUNK) if isinstance(selected, QuerySet) else selected
        return csv_response(self.key, self.columns, _Described(source, self.describe))  # type: ignore[arg-type]

    def _page(self, state: ListState, rows: Rows) -> Page:
        page = super()._page(state, rows)
        return replace(page, rows=self.describe(page.rows))


class _Described:
    """Rows described on the way, so that no more than a chunk of them is in memory."""

    def __init__(self, rows: Iterable[Any], describe: Describe) -> None:
        self._rows = rows
        self._describe = describe

    def __iter__(self) -> Iterator[Any]:
        rows = iter(self._rows)
        while chunk := list(islice(rows, _CHUNK)):
            yield from self._describe(chunk)
