"""`/v1/subscriptions`."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.tenants import TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.api.subscription_shapes import (
    CancellationInput,
    ChangeInput,
    PauseInput,
    PreviewSerializer,
    SubscriptionDetailSerializer,
    SubscriptionInput,
    SubscriptionSerializer,
    WithdrawalInput,
)
from billing.subscriptions import (
    cancel_subscription,
    change_subscription,
    pause_subscription,
    resume_subscription,
    start_subscription,
    withdraw_change,
)
from billing.subscriptions.previewing import preview_cancellation, preview_change
from core.api.references import find_referenced
from core.api.resources import Creatable, Listable, Readable
from pricing.api.plans import PlanFilter
from pricing.models import PlanVersion, Subscription


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
    serializer_class = SubscriptionDetailSerializer
    input_class = SubscriptionInput
    filterset_class = SubscriptionFilters

    def get_queryset(self) -> QuerySet[Any]:
        """The subscriptions that the caller may see."""
        return super().get_queryset().select_related("version", "billing_entity")

    def get_serializer_class(self) -> Any:
        """One subscription is shown with its segments and changes; in a list it is not."""
        return SubscriptionSerializer if self.action == "list" else SubscriptionDetailSerializer

    def perform_create(self, values: dict[str, Any]) -> Subscription:
        """Start one."""
        entity: BillingEntity = values.pop("billing_entity")
        return start_subscription(entity, values.pop("version"), **values)

    @extend_schema(request=ChangeInput, responses=SubscriptionDetailSerializer)
    @action(detail=True, methods=["post"])
    def change(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Another version or other quantities: now, at the period's end, or as of an instant."""
        return self.write(
            "change", lambda: change_subscription(self.get_object(), **self.written(ChangeInput))
        )

    @extend_schema(request=ChangeInput, responses=PreviewSerializer)
    @action(detail=True, methods=["post"], url_path="change/preview")
    def preview_change(self, request: Request, **kwargs: Any) -> Response:
        """What the change would book; nothing is changed."""
        preview = preview_change(self.get_object(), **self.written(ChangeInput))
        return Response(PreviewSerializer(preview).data)

    @extend_schema(request=CancellationInput, responses=SubscriptionDetailSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """End it: now, at the period's end, or at a given instant."""
        return self.write(
            "cancel", lambda: cancel_subscription(self.get_object(), **self.written(CancellationInput))
        )

    @extend_schema(request=CancellationInput, responses=PreviewSerializer)
    @action(detail=True, methods=["post"], url_path="cancel/preview")
    def preview_cancel(self, request: Request, **kwargs: Any) -> Response:
        """What the cancellation would book; nothing is changed."""
        preview = preview_cancellation(self.get_object(), **self.written(CancellationInput))
        return Response(PreviewSerializer(preview).data)

    @extend_schema(request=PauseInput, responses=SubscriptionDetailSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Let it rest until it is resumed: no charges, no base fees."""
        return self.write("pause", lambda: pause_subscription(self.get_object(), **self.written(PauseInput)))

    @extend_schema(request=PauseInput, responses=SubscriptionDetailSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """End its pause."""
        return self.write(
            "resume", lambda: resume_subscription(self.get_object(), **self.written(PauseInput))
        )

    @extend_schema(request=WithdrawalInput, responses=SubscriptionDetailSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Take back what is scheduled: a change, a pause, a cancellation."""
        return self.write("withdraw", self._withdraw)

    def _withdraw(self) -> Subscription:
        values = self.written(WithdrawalInput)
        changes = self.get_object().changes.select_related("subscription__billing_entity")
        change = find_referenced(changes, "subch", values["change"], "change")
        return withdraw_change(change, reason=values.get("reason", ""))
