"""`/v1/plans`: plans, and their documents validated, compared and applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import django_filters
from django.db.models import Model, QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.fields import InstantField
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable
from core.api.serializers import ShownSerializer
from core.errors import InvalidRequest, NotFound
from core.ids import row_id
from pricing.api.documents import AppliedAnswer, DiffAnswer, PlanDocument, ValidationAnswer
from pricing.applied import Applied
from pricing.catalog import Catalog, CatalogError, Document, Problem, read_catalog, read_documents
from pricing.catalog.schema import plan_file_schema
from pricing.models import Plan, PlanVersion
from pricing.plan_diffs import diff_catalog
from pricing.plans import apply_catalog, apply_single
from pricing.versions import with_versions

READING: Final = {"POST": "read"}
"""The scope of a POST that stores nothing."""


def find_plan(reference: str, param: str | None = None) -> Plan:
    """The plan of an id or a key; raises NotFound."""
    try:
        found = with_versions().filter(pk=row_id("plan", reference)).first()
    except NotFound:
        found = None
    if found is None and "\x00" not in reference:
        found = with_versions().filter(key=reference).first()
    if found is None:
        raise NotFound("not_found", f"There is no plan {reference[:80]!r}.", param)
    return found


def catalog_of(body: Any) -> Catalog:
    """The catalog of a request's body: one document as JSON, or `{"yaml": text}`. Raises CatalogError."""
    if not isinstance(body, Mapping):
        raise InvalidRequest("invalid_type", "The body must be a JSON object.")
    if "yaml" not in body:
        return read_catalog([Document(dict(body))])
    other = next((str(name) for name in body if name != "yaml"), None)
    if other is not None:
        raise InvalidRequest("not_applicable", f"{other} does not go with yaml.", other)
    if not isinstance(body["yaml"], str):
        raise InvalidRequest("invalid_type", "yaml must be a text.", "yaml")
    return read_catalog(read_documents(body["yaml"].encode("utf-8", "replace"), "yaml"))


class PlanFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Rows of a plan, named by id or key."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows of that plan."""
        return qs.filter(**{self.field_name: find_plan(value, "plan").pk}) if value else qs


class PlanSerializer(ShownSerializer):
    """A plan: its newest published version, and its draft, where there is one. Contracts do not count."""

    key = serializers.CharField()
    family = serializers.CharField()
    name = serializers.CharField()
    currency = serializers.CharField()
    published_version = IdField(prefix="pv", source="published_id")
    draft_version = IdField(prefix="pv", source="draft_id")
    created_at = InstantField()


class PlanFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which plans."""

    key = django_filters.CharFilter()
    family = django_filters.CharFilter()
    currency = django_filters.CharFilter()


class DocumentCreatable(Creatable):
    """Made from a plan document, which `pricing.catalog` checks."""

    input_class = PlanDocument

    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Make or update the draft of a plan. The same content as what is there changes nothing."""
        return self.write(
            "create",
            lambda: self.of_version(apply_single(catalog_of(request.data))),
            answer_status=status.HTTP_201_CREATED,
        )

    def of_version(self, version: PlanVersion) -> Model:
        """The row to show for the version that the document made."""
        raise NotImplementedError


class PlanResource(Listable, Readable, DocumentCreatable):
    """Plans; one is named by its id or its key."""

    prefix, noun = "plan", "plans"
    queryset = with_versions()
    serializer_class = PlanSerializer
    filterset_class = PlanFilters

    def get_object(self) -> Plan:
        """The plan that the path names."""
        return find_plan(self.kwargs[self.lookup_field])

    def of_version(self, version: PlanVersion) -> Plan:
        """The version's plan."""
        return with_versions().get(pk=version.plan_id)

    @extend_schema(request=PlanDocument, responses={200: ValidationAnswer})
    @action(detail=False, methods=["post"], scopes=READING)
    def validate(self, request: Request, **kwargs: Any) -> Response:
        """Check a document, and say everything that is wrong with it and where; stores nothing."""
        try:
            catalog = catalog_of(request.data)
        except CatalogError as error:
            problems = [_shown(problem) for problem in error.problems]
            return Response({"valid": False, "problems": problems, "notes": []})
        notes = [_shown(problem) for problem in catalog.unknown_meters()]
        return Response({"valid": True, "problems": [], "notes": notes})

    @extend_schema(request=PlanDocument, responses={200: DiffAnswer})
    @action(detail=False, methods=["post"], scopes=READING)
    def diff(self, request: Request, **kwargs: Any) -> Response:
        """What a document would change against what is published, and for whom; stores nothing."""
        return Response(diff_catalog(catalog_of(request.data)).as_dict())

    @extend_schema(request=PlanDocument, responses={200: AppliedAnswer})
    @action(detail=False, methods=["post"])
    def apply(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Make drafts of any number of plans, and what stands beside them, all or nothing."""
        return self.write("apply", lambda: apply_catalog(catalog_of(request.data)))

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    @action(detail=False, methods=["get"], url_path="schema", pagination_class=None, filter_backends=[])
    def file_schema(self, request: Request, **kwargs: Any) -> Response:
        """The JSON Schema of plan files, for editors."""
        return Response(plan_file_schema())

    def represent(self, row: Any) -> Any:
        """A plan, or what applying a document did."""
        if isinstance(row, list):
            return {"results": [_result(applied) for applied in row]}
        return super().represent(row)


def _result(applied: Applied) -> dict[str, Any]:
    version = None if applied.version is None else applied.version.public_id
    return {"noun": applied.noun, "key": applied.key, "action": applied.action.value, "version": version}


def _shown(problem: Problem) -> dict[str, Any]:
    return {
        "code": problem.code,
        "message": problem.message,
        "param": problem.path,
        "line": problem.line,
    }
