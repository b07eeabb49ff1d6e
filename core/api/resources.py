"""The base of every resource: list, read, create, change, each the same way for all of them.

A resource names its rows, its serializers and its verbs; scopes, ids, filters, pages, transactions,
`Idempotency-Key` and the audit trail are here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from django.db.models import Model, QuerySet
from django.http.response import HttpResponseBase
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from core.api.idempotency import answer_once, by_value, idempotency_key
from core.api.references import find_referenced
from core.api.serializers import StrictSerializer
from core.audit import Source, audited
from core.errors import InvalidRequest


class Resource(GenericViewSet[Any]):
    """One noun of the API; `prefix` is that of its public ids, `noun` its name in paths."""

    prefix: ClassVar[str]
    noun: ClassVar[str]
    scopes: ClassVar[Mapping[str, str]] = {}
    input_class: ClassVar[type[StrictSerializer]]
    change_class: ClassVar[type[StrictSerializer]]
    secrets: ClassVar[Collection[str]] = ()
    lookup_field = "id"
    lookup_value_regex = "[^/]+"

    def get_object(self) -> Any:
        """The row that the path names, by public id or external id; NotFound when the caller sees none."""
        return find_referenced(self.get_queryset(), self.prefix, self.kwargs[self.lookup_field])

    def represent(self, row: Any) -> Any:
        """`row` as the API shows it."""
        return self.get_serializer_class()(row, context=self.get_serializer_context()).data

    def written(self, serializer_class: type[StrictSerializer], *, partial: bool = False) -> dict[str, Any]:
        """The body's validated values."""
        serializer = serializer_class(
            data=self.request.data, partial=partial, context=self.get_serializer_context()
        )
        serializer.is_valid(raise_exception=True)
        values: dict[str, Any] = serializer.validated_data
        return values

    def request_key(self) -> str | None:
        """Under which key a write is done once; where a body has a key of its own, that one's rules hold."""
        return idempotency_key(self.request)

    def write(
        self,
        verb: str,
        work: Callable[[], Any],
        *,
        input_class: type[StrictSerializer] | None = None,
        answer_status: int = status.HTTP_200_OK,
    ) -> HttpResponseBase:
        """Do `work` once under the Idempotency-Key, audited, in one transaction; show its result."""
        numbers = input_class().decimal_fields() if input_class else set()
        payload = self.request.data
        if not isinstance(payload, Mapping):
            raise InvalidRequest("invalid_type", "The body must be a JSON object.")
        with audited(Source.API, actor_of(self.request), getattr(self.request, "id", None)):
            return answer_once(
                operation=f"{self.noun}.{verb}",
                key=self.request_key(),
                payload=by_value(payload, numbers)
                | {f"path.{name}": value for name, value in self.kwargs.items()},
                work=lambda: (answer_status, self.represent(work())),
                secrets=self.secrets,
            )


def actor_of(request: Request) -> str | None:
    """The public id of the credential behind `request`."""
    return getattr(request.auth, "public_id", None)


class Listable(Resource):
    """`GET /v1/<noun>`."""

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A page of the list, filtered by query parameters, the newest first."""
        rows: QuerySet[Model] = self.filter_queryset(self.get_queryset())
        page = self.paginate_queryset(rows)
        return self.get_paginated_response([self.represent(row) for row in page or ()])


class Readable(Resource):
    """`GET /v1/<noun>/{id}`."""

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One of them, by its id or external id."""
        return Response(self.represent(self.get_object()))


class Creatable(Resource):
    """`POST /v1/<noun>`."""

    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Make one. With an Idempotency-Key header, a repetition gets the first answer."""
        input_class = self.input_class
        return self.write(
            "create",
            lambda: self.perform_create(self.written(input_class)),
            input_class=input_class,
            answer_status=status.HTTP_201_CREATED,
        )

    def perform_create(self, values: dict[str, Any]) -> Any:
        """Call the verb with the body's values and give the new row."""
        raise NotImplementedError


class Changeable(Resource):
    """`PATCH /v1/<noun>/{id}`."""

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Change the fields that are given."""
        change_class = self.change_class
        return self.write(
            "change",
            lambda: self.perform_change(self.get_object(), self.written(change_class, partial=True)),
            input_class=change_class,
        )

    def perform_change(self, row: Any, values: dict[str, Any]) -> Any:
        """Call the verb with what changes and give the row as it is then."""
        raise NotImplementedError
