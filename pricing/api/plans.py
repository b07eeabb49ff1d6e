"""`/v1/plans` and `/v1/plan-versions`."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request

from core.api.fields import InstantField
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable
from core.api.serializers import ShownSerializer
from core.errors import NotFound
from core.ids import row_id
from pricing.api.documents import PlanDocument
from pricing.models import Plan, PlanVersion
from pricing.plans import apply_plan, publish_version

DRAFT, PUBLISHED = PlanVersion.Status.DRAFT, PlanVersion.Status.PUBLISHED
WITH_VERSIONS: Final = Plan.objects.annotate(
    draft_id=Subquery(PlanVersion.objects.filter(plan=OuterRef("pk"), status=DRAFT).values("pk")[:1]),
    published_id=Subquery(
        PlanVersion.objects.filter(plan=OuterRef("pk"), status=PUBLISHED).order_by("-number").values("pk")[:1]
    ),
)


def find_plan(reference: str, param: str | None = None) -> Plan:
    """The plan of an id or a key; raises NotFound."""
    try:
        found = WITH_VERSIONS.filter(pk=row_id("plan", reference)).first()
    except NotFound:
        found = None
    if found is None and "\x00" not in reference:
        found = WITH_VERSIONS.filter(key=reference).first()
    if found is None:
        raise NotFound("not_found", f"There is no plan {reference[:80]!r}.", param)
    return found


class PlanFilter(django_filters.CharFilter):  # type: ignore[misc]
    """Rows of a plan, named by id or key."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows of that plan."""
        return qs.filter(**{self.field_name: find_plan(value, "plan").pk}) if value else qs


class PlanSerializer(ShownSerializer):
    """A plan: its newest published version, and its draft, where there is one."""

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


class PlanVersionSerializer(ShownSerializer):
    """A version: `content` is the canonical form of its file, `content_hash` the SHA-256 of that."""

    plan = IdField(prefix="plan", source="plan_id")
    plan_key = serializers.CharField(source="plan.key")
    number = serializers.IntegerField()
    status = serializers.ChoiceField(PlanVersion.Status.choices)
    content = serializers.JSONField()
    content_hash = serializers.CharField()
    created_at = InstantField()
    published_at = InstantField(allow_null=True)


class PlanVersionFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which versions."""

    plan = PlanFilter(field_name="plan_id")
    status = django_filters.ChoiceFilter(choices=PlanVersion.Status.choices)


class DocumentCreatable(Creatable):
    """Made from a plan document, which `pricing.catalog` checks."""

    input_class = PlanDocument

    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Make or update the draft of a plan. The same content as what is there changes nothing."""
        return self.write(
            "create",
            lambda: self.of_version(apply_plan(dict(request.data))),
            answer_status=status.HTTP_201_CREATED,
        )

    def of_version(self, version: PlanVersion) -> Model:
        """The row to show for the version that the document made."""
        raise NotImplementedError


class PlanResource(Listable, Readable, DocumentCreatable):
    """Plans; one is named by its id or its key."""

    prefix, noun = "plan", "plans"
    queryset = WITH_VERSIONS
    serializer_class = PlanSerializer
    filterset_class = PlanFilters

    def get_object(self) -> Plan:
        """The plan that the path names."""
        return find_plan(self.kwargs[self.lookup_field])

    def of_version(self, version: PlanVersion) -> Plan:
        """The version's plan."""
        return WITH_VERSIONS.get(pk=version.plan_id)


class PlanVersionResource(Listable, Readable, DocumentCreatable):
    """Plan versions: drafts, published and retired ones."""

    prefix, noun = "pv", "plan_versions"
    queryset = PlanVersion.objects.select_related("plan")
    serializer_class = PlanVersionSerializer
    filterset_class = PlanVersionFilters

    def of_version(self, version: PlanVersion) -> PlanVersion:
        """The version itself."""
        return version

    @extend_schema(request=None, responses=PlanVersionSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Freeze a draft and the meters that it names; subscriptions may then start on it."""
        return self.write("publish", lambda: publish_version(self.get_object()))
