"""`/v1/plan-versions`: drafts, published and retired versions, and the contracts of customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.tenants import TenantField, TenantFilter
from accounts.models import Customer
from accounts.scoping import viewer_of, visible
from core.api.fields import InstantField
from core.api.references import IdField
from core.api.resources import Listable, Readable
from core.api.serializers import ShownSerializer, StrictSerializer
from pricing.api.documents import ExportAnswer, PlanDocument
from pricing.api.plans import DocumentCreatable, PlanFilter
from pricing.contracts import create_contract
from pricing.exporting import export_versions
from pricing.models import PlanVersion
from pricing.versions import publish_version, retire_version


class PlanVersionSerializer(ShownSerializer):
    """A version: `content` is the canonical form of its file, `content_hash` the SHA-256 of that.

    `base` null: one of the plan's own versions. `customer`: a contract, which is for nobody else, and whose
    `number` counts the customer's contracts of the plan. `phase`: what a ramp of `base` comes to.
    """

    plan = IdField(prefix="plan", source="plan_id")
    plan_key = serializers.CharField(source="plan.key")
    number = serializers.IntegerField()
    status = serializers.ChoiceField(PlanVersion.Status.choices)
    base = IdField(prefix="pv", source="base_id")
    customer = IdField(prefix="cus", source="customer_id")
    phase = serializers.IntegerField(allow_null=True)
    content = serializers.JSONField()
    content_hash = serializers.CharField()
    created_at = InstantField()
    published_at = InstantField(allow_null=True)
    retired_at = InstantField(allow_null=True)


class ContractInput(StrictSerializer):
    """A customer's own version: a base, and what is different in it. docs/plan-files.md has the overrides."""

    base = TenantField(PlanVersion, prefix="pv")
    customer = TenantField(Customer, prefix="cus")
    overrides = serializers.DictField(required=False)


class PlanVersionFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which versions."""

    plan = PlanFilter(field_name="plan_id")
    status = django_filters.ChoiceFilter(choices=PlanVersion.Status.choices)
    base = TenantFilter("base_id", PlanVersion, prefix="pv")
    customer = TenantFilter("customer_id", Customer, prefix="cus")


class PlanVersionResource(Listable, Readable, DocumentCreatable):
    """Plan versions: drafts, published and retired ones, contracts too."""

    prefix, noun = "pv", "plan_versions"
    serializer_class = PlanVersionSerializer
    filterset_class = PlanVersionFilters

    def get_queryset(self) -> QuerySet[Any]:
        """The versions that the caller may see."""
        return visible(PlanVersion, viewer_of(self.request)).select_related("plan")

    def of_version(self, version: PlanVersion) -> PlanVersion:
        """The version itself."""
        return version

    @extend_schema(
        request=PolymorphicProxySerializer(
            component_name="PlanVersionInput",
            serializers=[PlanDocument, ContractInput],
            resource_type_field_name=None,
        )
    )
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Make or update the draft of a plan from its document; or, with base, a customer's contract."""
        if isinstance(request.data, Mapping) and "base" in request.data:
            return self.write("create", self._contract, answer_status=status.HTTP_201_CREATED)
        return super().create(request, *args, **kwargs)

    def _contract(self) -> PlanVersion:
        values = self.written(ContractInput)
        return create_contract(values["base"], values["customer"], values.get("overrides", {}))

    @extend_schema(request=None, responses=PlanVersionSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Freeze a draft and the meters that it names; subscriptions may then start on it."""
        return self.write("publish", lambda: publish_version(self.get_object()))

    @extend_schema(request=None, responses=PlanVersionSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Let nobody start on a published version any more; whoever is on it stays."""
        return self.write("retire", lambda: retire_version(self.get_object()))

    @extend_schema(responses={200: ExportAnswer})
    @action(detail=True, methods=["get"])
    def export(self, request: Request, **kwargs: Any) -> Response:
        """The version as the text of a plan file, which applies unchanged, with the meters that it names."""
        return Response({"yaml": export_versions([self.get_object()])})
