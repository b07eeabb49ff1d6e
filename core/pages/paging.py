"""Two ways to page: by number with a count, and by keyset for tables that only grow.

Keyset paging costs the same on every page. The rows' order is then fixed (`order`), every field of
it is not null, and together the fields are unique. A cursor is those fields of the row it follows.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model, Q, QuerySet

from core.pages.columns import follow
from core.pages.rows import Rows

_PAGE_MAX = 10**6


@dataclass(frozen=True)
class Page:
    """The rows of one page, and the query parameters that lead to its neighbours (None: there is none)."""

    rows: list[Any]
    newer: dict[str, str] | None
    older: dict[str, str] | None
    total: int | None = None
    first: int = 0

    @property
    def last(self) -> int:
        """The position of the last row; `first` is 1-based and 0 when nothing is counted."""
        return self.first + len(self.rows) - 1


def numbered_page(rows: Rows, number: str, size: int) -> Page:
    """The page of that number; a number that makes no sense is the first, one too high the last."""
    total = rows.count() if isinstance(rows, QuerySet) else len(rows)
    pages = max(1, -(-total // size))
    wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 8 else 1
    current = min(max(1, wanted), pages, _PAGE_MAX)
    start = (current - 1) * size
    return Page(
        rows=list(rows[start : start + size]),
        newer={"page": str(current - 1) if current > 2 else ""} if current > 1 else None,
        older={"page": str(current + 1)} if current < pages else None,
        total=total,
        first=start + 1 if total else 0,
    )


def keyset_page(rows: QuerySet[Any], order: tuple[str, ...], after: str, before: str, size: int) -> Page:
    """The page that follows the cursor `after`, or precedes `before`; without either the first."""
    back = bool(before)
    cursor = _cursor_values(rows.model, order, before or after)
    if cursor is None:
        back = False
    directed = tuple(_turned(name) for name in order) if back else order
    query = rows.order_by(*directed)
    if cursor is not None:
        query = query.filter(_beyond(directed, cursor))
    found = list(islice(query[: size + 1], size + 1))
    has_more, shown = len(found) > size, found[:size]
    if back:
        shown.reverse()
    has_newer = has_more if back else cursor is not None
    has_older = True if back else has_more
    return Page(
        rows=shown,
        newer={"before": _cursor(shown[0], order)} if has_newer and shown else None,
        older={"after": _cursor(shown[-1], order)} if has_older and shown else None,
    )


def _turned(name: str) -> str:
    return name[1:] if name.startswith("-") else f"-{name}"


def _beyond(order: tuple[str, ...], values: list[Any]) -> Q:
    """Rows strictly after `values`; the first field is bounded alone too, so that its index is used."""
    condition = Q()
    equal = Q()
    for name, value in zip(order, values, strict=True):
        field, beyond = (name[1:], "lt") if name.startswith("-") else (name, "gt")
        condition |= equal & Q(**{f"{field}__{beyond}": value})
        equal &= Q(**{field: value})
    field, bound = (order[0][1:], "lte") if order[0].startswith("-") else (order[0], "gte")
    return Q(**{f"{field}__{bound}": values[0]}) & condition


def _cursor(row: Any, order: tuple[str, ...]) -> str:
    values = [follow(row, name.lstrip("-")) for name in order]
    text = json.dumps(values, cls=_ExactEncoder, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class _ExactEncoder(DjangoJSONEncoder):
    """Instants to the microsecond: Django's own cuts them to milliseconds, which would repeat rows."""

    def default(self, o: Any) -> Any:
        return o.isoformat() if hasattr(o, "isoformat") else super().default(o)


def _cursor_values(model: type[Model], order: tuple[str, ...], cursor: str) -> list[Any] | None:
    """The values in a cursor as their fields read them; None for one that is missing or made up."""
    if not cursor or len(cursor) > 1000:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(order):
            return None
        if any(value is None or "\x00" in str(value) for value in values):
            return None
        fields = [model._meta.get_field(name.lstrip("-")) for name in order]
        return [field.to_python(value) for field, value in zip(fields, values, strict=True)]  # type: ignore[union-attr]
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, ValidationError):
        return None
