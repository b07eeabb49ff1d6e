"""Searching and ordering rows, be they a QuerySet or a list that a report has made already."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import F, Q, QuerySet

from core.pages.columns import follow

Rows = QuerySet[Any] | Sequence[Any]
Search = tuple[str, ...] | Callable[[Any, str], Any]


def search_rows(rows: Rows, search: Search, text: str) -> Rows:
    """Rows in which one of the fields contains `text`, whatever the case; or what the callable says."""
    if callable(search):
        found: Rows = search(rows, text)
        return found
    if isinstance(rows, QuerySet):
        condition = Q()
        for field in search:
            condition |= Q(**{f"{field}__icontains": text})
        return rows.filter(condition)
    needle = text.casefold()
    return [
        row for row in rows if any(needle in str(follow(row, field) or "").casefold() for field in search)
    ]


def sort_rows(rows: Rows, path: str, *, is_descending: bool) -> Rows:
    """Rows by the value at `path`, absent values last in both directions, ties in a stable order."""
    if isinstance(rows, QuerySet):
        field = F(path.replace(".", "__"))
        by = field.desc(nulls_last=True) if is_descending else field.asc(nulls_last=True)
        return rows.order_by(by, "pk")
    present = [row for row in rows if follow(row, path) is not None]
    absent = [row for row in rows if follow(row, path) is None]
    return sorted(present, key=lambda row: _ordered(follow(row, path)), reverse=is_descending) + absent


def _ordered(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value
