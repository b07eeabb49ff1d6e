"""Query parameters of lists. An unknown one is an error: a misspelt filter would show everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import django_filters
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.request import Request

from core.api.pagination import PARAMETERS
from core.api.references import find_referenced
from core.api.validation import first_error
from core.errors import InvalidRequest
from core.instants import parse_instant

if TYPE_CHECKING:
    from rest_framework.views import APIView  # rest_framework.views imports this module


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]
    """django-filter that answers 400 to parameters nobody declared and to values that do not fit."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        """The rows that the parameters ask for."""
        filterset = self.get_filterset(request, queryset, view)
        known = set(PARAMETERS) | (set(filterset.filters) if filterset is not None else set())
        refuse_unknown(request, known)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            param, code, message = first_error(ValidationError(filterset.errors.as_data()))
            raise InvalidRequest(code, message, param)
        rows: QuerySet[Any] = filterset.qs
        return rows


def refuse_unknown(request: Request, known: set[str]) -> None:
    """Raise InvalidRequest for query parameters that are not `known`, are empty or stand twice."""
    for name, values in request.query_params.lists():
        if name not in known:
            there = ", ".join(sorted(known))
            raise InvalidRequest(
                "unknown_parameter",
                f"There is no parameter {name[:80]!r} here; there are {there}.",
                name[:80],
            )
        if len(values) > 1:
            raise InvalidRequest("repeated_parameter", f"{name} may stand once.", name)
        if not values[0]:
            raise InvalidRequest("blank", f"{name} is empty; leave it out to see all.", name)
        if "\x00" in values[0]:
            raise InvalidRequest("invalid_text", f"{name} may not contain the NUL character.", name)


class ReferenceFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Rows that belong to another object, named by public id or external id; NotFound when there is none.

    `find_in` gives the rows among which it is looked for.
    """

    def __init__(
        self, *args: Any, find_in: Callable[[], QuerySet[Any]] | None = None, prefix: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.find_in = find_in
        self.prefix = prefix

    def rows(self) -> QuerySet[Any]:
        """Where the object is looked for."""
        if self.find_in is None:
            raise NotImplementedError
        return self.find_in()

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows of the object that `value` names."""
        if not value:
            return qs
        return qs.filter(**{self.field_name: self.find(value).pk})

    def find(self, value: str) -> Any:
        """The object that `value` names; raises NotFound."""
        return find_referenced(self.rows(), self.prefix, value, self.field_name)


class InstantFilter(django_filters.CharFilter):  # type: ignore[misc]
    """An instant with an offset; use with lookup_expr `gte` (from) and `lt` (to): periods are half-open."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows on that side of the instant."""
        if not value:
            return qs
        name = next((name for name, each in self.parent.filters.items() if each is self), None)
        return qs.filter(**{f"{self.field_name}__{self.lookup_expr}": parse_instant(value, name)})
