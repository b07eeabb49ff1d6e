"""A list whose rows get what goes with them (names, events) after the page of them is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from billing.reports.everyone import Everyone
from core.ids import decode, encode
from core.pages.export import csv_response
from core.pages.listing import Listing
from core.pages.paging import Page
from core.pages.rows import Rows
from core.pages.state import ListState

_CHUNK: Final = 500
_CURSOR_LETTERS: Final = 26
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


class LatestListing(DescribedListing):
    """A described list of one customer's rows of a hot table, or of everyone's."""

    def _select(self, state: ListState, filters: Any, rows: Any) -> Any:
        return rows if isinstance(rows, Everyone) else super()._select(state, filters, rows)

    def _page(self, state: ListState, rows: Any) -> Page:
        if not isinstance(rows, Everyone):
            return super()._page(state, rows)
        after, before = _cursor(state.after), _cursor(state.before)
        found = rows.page(after=after, before=before, size=self.page_size + 1)
        has_more = len(found) > self.page_size
        shown = found[-self.page_size :] if before else found[: self.page_size]
        has_newer, has_older = (has_more, True) if before else (after is not None, has_more)
        return Page(
            rows=self.describe(shown),
            newer={"before": _place(shown[0].id)} if has_newer and shown else None,
            older={"after": _place(shown[-1].id)} if has_older and shown else None,
        )


def _place(row_id: UUID) -> str:
    return encode(row_id.int).rjust(_CURSOR_LETTERS, "0")


def _cursor(text: str) -> UUID | None:
    """The id that a cursor stands for; None for one that is missing or made up."""
    try:
        number = decode(text) if len(text) == _CURSOR_LETTERS else 2**128
    except ValueError:
        return None
    return UUID(int=number) if number < 2**128 else None


class _Described:
    """Rows described on the way, so that no more than a chunk of them is in memory."""

    def __init__(self, rows: Iterable[Any], describe: Describe) -> None:
        self._rows = rows
        self._describe = describe

    def __iter__(self) -> Iterator[Any]:
        rows = iter(self._rows)
        while chunk := list(islice(rows, _CHUNK)):
            yield from self._describe(chunk)
