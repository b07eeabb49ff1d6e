"""What the address says of a list: search text, order, page, chosen columns. All of it, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, QueryDict

from core.pages.columns import Column

_TEXT_MAX = 200
_PLACE = ("page", "after", "before")


@dataclass(frozen=True)
class ListState:
    """The parsed query of a list. `prefix` keeps two lists on one page apart."""

    query: QueryDict
    prefix: str
    search: str
    sort: str
    is_descending: bool
    page: str
    after: str
    before: str
    shown: frozenset[str]
    is_live: bool

    def url(self, **changes: str | None) -> str:
        """The address with these parameters changed (None or empty removes one); it begins with `?`.

        Any change but one of place leads back to the first page.
        """
        query = self.query.copy()
        for name in _PLACE:
            query.pop(f"{self.prefix}{name}", None)
        for name, value in changes.items():
            query.pop(f"{self.prefix}{name}", None)
            if value:
                query[f"{self.prefix}{name}"] = value
        return _address(query)

    def without(self, name: str, value: str = "") -> str:
        """The address without a parameter, or without one value of it; the prefix is part of `name`."""
        query = self.query.copy()
        kept = [other for other in query.getlist(name) if value and other != value]
        query.setlist(name, kept)
        for place in _PLACE:
            query.pop(f"{self.prefix}{place}", None)
        return _address(query)

    def bare_url(self, keeps: Sequence[str] = ()) -> str:
        """The address with nothing but the order, the chosen columns and the parameters named."""
        query = QueryDict(mutable=True)
        for name in (*keeps, f"{self.prefix}sort", f"{self.prefix}show"):
            query.setlist(name, self.query.getlist(name))
        return _address(query)

    def canonical(self) -> str:
        """The same address without its empty parameters: what the browser's address bar shows."""
        return _address(self.query.copy())


def read_state(
    request: HttpRequest, columns: Sequence[Column], default_sort: str, prefix: str = ""
) -> ListState:
    """Parse the query; what makes no sense falls back to the default instead of failing."""
    query = request.GET

    def read(name: str) -> str:
        return query.get(f"{prefix}{name}", "").replace("\x00", "").strip()

    sortable = {column.key for column in columns if column.sort}
    sort = read("sort")
    if sort.removeprefix("-") not in sortable:
        sort = default_sort
    extras = {column.key for column in columns if column.is_extra}
    return ListState(
        query=query,
        prefix=prefix,
        search=read("q")[:_TEXT_MAX],
        sort=sort.removeprefix("-"),
        is_descending=sort.startswith("-"),
        page=read("page"),
        after=read("after"),
        before=read("before"),
        shown=frozenset(query.getlist(f"{prefix}show")) & extras,
        is_live=read("live") == "1",
    )


def _address(query: QueryDict) -> str:
    for name in list(query):
        values = [value for value in query.getlist(name) if value]
        if values:
            query.setlist(name, values)
        else:
            del query[name]
    return f"?{query.urlencode()}"
