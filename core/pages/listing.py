"""A list page, declared once: columns, search, filters, order, paging, CSV. The README shows the use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render

from core import clock
from core.display.locale import locale_of
from core.htmx import target_of, wants_fragment
from core.pages.columns import Reader
from core.pages.export import csv_response
from core.pages.paging import Page, keyset_page, numbered_page
from core.pages.rows import Rows, search_rows, sort_rows
from core.pages.spec import Filters, ListSpec
from core.pages.state import ListState, read_state
from core.pages.table import Table, make_table


class Listing(ListSpec):
    """A declared list page: `respond` is all that most views call."""

    def table(self, request: HttpRequest, rows: Rows) -> Table:
        """The rows of this request as a table, ready for `components/listing.html`."""
        state = self.state(request)
        filters = self._filters(request, rows)
        page = self._page(state, self._select(state, filters, rows))
        reader = Reader(locale_of(request), clock.now())
        return make_table(self, state, page, reader, filters.form if filters else None)

    def csv(self, request: HttpRequest, rows: Rows) -> HttpResponseBase:
        """Every row of the current filter as a CSV download, with all columns."""
        state = self.state(request)
        return csv_response(self.key, self.columns, self._select(state, self._filters(request, rows), rows))

    def respond(
        self,
        request: HttpRequest,
        rows: Rows,
        template: str = "pages/list.html",
        context: Mapping[str, Any] | None = None,
    ) -> HttpResponseBase:
        """The page, its table alone when htmx asks for that, or the CSV."""
        if request.GET.get(f"{self.prefix}export") == "csv":
            return self.csv(request, rows)
        table = self.table(request, rows)
        return fragment(request, table) or render(request, template, {"table": table, **(context or {})})

    def state(self, request: HttpRequest) -> ListState:
        """What the address says of this list."""
        return read_state(request, self.columns, self.default_sort, self.prefix)

    def _filters(self, request: HttpRequest, rows: Rows) -> Filters | None:
        return self.filters(data=request.GET, queryset=rows, request=request) if self.filters else None

    def _select(self, state: ListState, filters: Filters | None, rows: Rows) -> Rows:
        selected = filters.qs if filters else rows
        if state.search and self.search:
            selected = search_rows(selected, self.search, state.search)
        if self.order:
            return cast("QuerySet[Any]", selected).order_by(*self.order)
        column = next((column for column in self.columns if column.key == state.sort), None)
        if column is None or column.sort is None:
            return selected
        return sort_rows(selected, column.sort, is_descending=state.is_descending)

    def _page(self, state: ListState, rows: Rows) -> Page:
        if self.order:
            keyset = partial(keyset_page, cast("QuerySet[Any]", rows), self.order)
            return keyset(state.after, state.before, self.page_size)
        return numbered_page(rows, state.page, self.page_size)


def fragment(request: HttpRequest, *tables: Table) -> HttpResponse | None:
    """The one of these tables that htmx wants to replace, by itself; None when it wants the page."""
    if not wants_fragment(request):
        return None
    wanted = target_of(request)
    for table in tables:
        if table.element_id == wanted:
            response = render(request, "components/_table.html", {"table": table})
            address = request.build_absolute_uri(request.path + table.canonical_url)
            if address.removesuffix("?") != request.headers.get("HX-Current-URL", ""):
                response["HX-Push-Url"] = address.removesuffix("?")
            return response
    return None
