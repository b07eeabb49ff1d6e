"""Cursor pagination by key: every page costs the same, and rows never shift between pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from django.core import signing
from django.db.models import Model, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from core.errors import InvalidRequest

if TYPE_CHECKING:
    from rest_framework.views import APIView  # rest_framework.views imports this module

LIMIT: Final = 50
LIMIT_MAX: Final = 500
PARAMETERS: Final = frozenset({"limit", "cursor"})
_SALT: Final = "core.api.pagination"


class _WithInstants(signing.JSONSerializer):
    def dumps(self, obj: Any) -> bytes:
        return msgspec.json.encode(obj)  # to the microsecond; Django's own encoder would cut instants short


class CursorPagination(BasePagination):
    """`{"data": [...], "has_more": bool, "next_cursor": text or null}`.

    `?limit=` (1 to 500, default 50), `?cursor=` from the page before. A view may set `ordering`: field names,
    `-` for descending, unique as a whole; default the newest first.
    """

    ordering: Sequence[str] = ("-pk",)

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        """The rows of the page that the request asks for."""
        limit, values = self.wanted(request, view)
        if values is not None:
            queryset = queryset.filter(self._after(values))
        rows = list(queryset.order_by(*self.ordering)[: limit + 1])
        self._has_more = len(rows) > limit
        self._page = rows[:limit]
        return self._page

    def wanted(self, request: Request, view: APIView | None = None) -> tuple[int, list[Any] | None]:
        """How many rows the page has, and the row (its values of `ordering`) that it follows: None = none."""
        self.ordering = getattr(view, "ordering", None) or self.ordering
        self._scope = f"{request.path}?{'&'.join(self.ordering)}"
        limit, cursor = _limit(request), request.query_params.get("cursor")
        return limit, None if cursor is None else self._read(cursor)

    def get_paginated_response(self, data: Any) -> Response:
        """The page as an answer."""
        cursor = self._cursor(self._page[-1]) if self._has_more else None
        return Response({"data": data, "has_more": self._has_more, "next_cursor": cursor})

    def _cursor(self, row: Model) -> str:
        values = [getattr(row, name.lstrip("-")) for name in self.ordering]
        return signing.dumps([self._scope, values], salt=_SALT, serializer=_WithInstants)

    def _read(self, cursor: str) -> list[Any]:
        try:
            scope, values = signing.loads(cursor, salt=_SALT)
        except (signing.BadSignature, ValueError) as error:
            raise _bad_cursor() from error
        if scope != self._scope:
            raise _bad_cursor()
        found: list[Any] = values
        return found

    def _after(self, values: Sequence[Any]) -> Q:
        """Rows behind the cursor: further in the first field, or equal there and further in the next."""
        condition, equal = Q(), Q()
        for name, value in zip(self.ordering, values, strict=True):
            field = name.lstrip("-")
            further = "lt" if name.startswith("-") else "gt"
            condition |= equal & Q(**{f"{field}__{further}": value})
            equal &= Q(**{field: value})
        # Implied by the rest; an index on the first field can be searched with it.
        first = self.ordering[0]
        reach = "lte" if first.startswith("-") else "gte"
        return Q(**{f"{first.lstrip('-')}__{reach}": values[0]}) & condition

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        """The two parameters, for OpenAPI."""
        return [
            _parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
                "Rows a page.",
            ),
            _parameter("cursor", {"type": "string"}, "`next_cursor` of the page before."),
        ]

    def get_paginated_response_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """The envelope, for OpenAPI."""
        return {
            "type": "object",
            "required": ["data", "has_more", "next_cursor"],
            "properties": {
                "data": schema,
                "has_more": {"type": "boolean"},
                "next_cursor": {"type": ["string", "null"]},
            },
        }


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and 1 <= int(text) <= LIMIT_MAX):
        raise InvalidRequest("invalid_limit", f"limit must be a whole number from 1 to {LIMIT_MAX}.", "limit")
    return int(text)


def _bad_cursor() -> InvalidRequest:
    return InvalidRequest("invalid_cursor", "This cursor does not belong to this list.", "cursor")


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
