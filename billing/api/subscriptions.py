"""`/v1/subscriptions`."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.subscriptions import cancel_subscription, start_subscription
from core.api.fields import InstantField, QuantityField, TextField
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable
from core.api.serializers import ShownSerializer, StrictSerializer
from core.errors import NotFound
from pricing.api.plans import PlanFilter, find_plan
from pricing.models import PlanVersion, Subscription
from pricing.versions import latest_published


@extend_schema_field({"type": "string", "maxLength": 200})
class PublishedPlanField(serializers.Field[PlanVersion, Any, str, Any]):
    """The newest published version of a plan, which is named by id or key."""

    default_error_messages = {
        "invalid": "A text was expected.",
        "nothing_published": "No version of this plan is published.",
    }

    def to_internal_value(self, data: Any) -> PlanVersion:
        """The version; that there is none is this field's error."""
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            plan = find_plan(data)
        except NotFound as error:
            raise serializers.ValidationError(error.message, error.code) from error
        version = latest_published(plan)
        if version is None:
            self.fail("nothing_published")
        return version


class SubscriptionSerializer(ShownSerializer):
    """A payer on a pinned version in `[starts_at, ends_at)`; `ends_at` null = until canceled."""

    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    plan = IdField(prefix="plan", source="version.plan_id")
    plan_version = IdField(prefix="pv", source="version_id")
    external_id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(Subscription.Status.choices)
    starts_at = InstantField()
    ends_at = InstantField(allow_null=True)
    anchor_at = InstantField()
    quantities = serializers.DictField(child=serializers.CharField())
    created_at = InstantField()


class SubscriptionInput(StrictSerializer):
    """Who is to pay by which prices. Give `plan_version`, or `plan` for its newest published version."""

    billing_entity = TenantField(BillingEntity, prefix="be")
    plan = PublishedPlanField(required=False)
    plan_version = TenantField(PlanVersion, prefix="pv", required=False)
    external_id = TextField(required=False, allow_null=True)
    starts_at = InstantField(required=False)
    ends_at = InstantField(required=False, allow_null=True)
    anchor_at = InstantField(required=False)
    quantities = serializers.DictField(child=QuantityField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values, with `version` for whichever of the two was given."""
        given = [attrs.pop(name) for name in ("plan", "plan_version") if name in attrs]
        if len(given) != 1:
            says = ErrorDetail("Give one of plan and plan_version.", "required")
            raise serializers.ValidationError({"plan_version": says})
        return attrs | {"version": given[0]}


class CancellationInput(StrictSerializer):
    """When it ends; left out = now."""

    at = InstantField(required=False)


class SubscriptionFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which subscriptions."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity", BillingEntity, prefix="be")
    plan = PlanFilter(field_name="version__plan_id")
    plan_version = TenantFilter("version_id", PlanVersion, prefix="pv")
    status = django_filters.ChoiceFilter(choices=Subscription.Status.choices)
    external_id = django_filters.CharFilter()


class SubscriptionResource(Listable, Readable, Creatable, TenantResource):
    """Subscriptions: payers on pinned plan versions."""

    model, prefix, noun = Subscription, "sub", "subscriptions"
    serializer_class = SubscriptionSerializer
    input_class = SubscriptionInput
    filterset_class = SubscriptionFilters

    def get_queryset(self) -> QuerySet[Any]:
        """The subscriptions that the caller may see."""
        return super().get_queryset().select_related("version")

    def perform_create(self, values: dict[str, Any]) -> Subscription:
        """Start one."""
        entity: BillingEntity = values.pop("billing_entity")
        return start_subscription(entity, values.pop("version"), **values)

    @extend_schema(request=CancellationInput, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """End it now, or at a given instant."""
        return self.write("cancel", self._cancel)

    def _cancel(self) -> Subscription:
        values = self.written(CancellationInput)
        return cancel_subscription(self.get_object(), at=values.get("at"))
