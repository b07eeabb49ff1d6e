"""`/v1/margin-floors`, `/v1/margin-rules`, `/v1/margin-alerts`: for the operator's eyes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import django_filters
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.margin_floors import remove_floor, set_floor
from billing.margin_rules import create_rule, end_rule
from billing.models import MarginAlert, MarginRule, PayerMarginFloor
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable, Resource, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer


class MarginFloorInput(StrictSerializer):
    """A payer's own floor, in place of its plan versions' and of the one it had.

    Once a period's revenue reached `min_volume`, `min_margin` of it ("0.20") must stay after cost.
    """

    billing_entity = TenantField(BillingEntity, prefix="be")
    min_margin = AmountField(min_value=Decimal(0))
    min_volume = AmountField(min_value=Decimal(0), required=False)
    action = serializers.ChoiceField(PayerMarginFloor.Action.choices, required=False)


class MarginFloorSerializer(ShownSerializer):
    """A payer's own floor."""

    billing_entity = IdField(prefix="be", source="billing_entity_id")
    customer = IdField(prefix="cus", source="customer_id")
    min_margin = AmountField()
    min_volume = AmountField()
    action = serializers.ChoiceField(PayerMarginFloor.Action.choices)
    created_at = InstantField()


class MarginFloorFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Whose floors."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity", BillingEntity, prefix="be")


class MarginFloorResource(Listable, Readable, Creatable, TenantResource):
    """Margin floors that payers have of their own."""

    model, prefix, noun = PayerMarginFloor, "mf", "margin_floors"
    serializer_class = MarginFloorSerializer
    input_class = MarginFloorInput
    filterset_class = MarginFloorFilters

    def perform_create(self, values: dict[str, Any]) -> PayerMarginFloor:
        """Set it; the next call obeys."""
        return set_floor(values.pop("billing_entity"), **values)

    @extend_schema(request=None, responses=MarginFloorSerializer)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Let the floors of its plan versions hold again; answers the floor that was removed."""
        return self.write("remove", self._remove)

    def _remove(self) -> PayerMarginFloor:
        row: PayerMarginFloor = self.get_object()
        remove_floor(row.billing_entity)
        return row


class MarginRuleInput(StrictSerializer):
    """Tell of a fall by `points` percentage points in `days` days: of the whole, a plan (key) or a model.

    Without `subject`, of each plan or model by itself.
    """

    scope = serializers.ChoiceField(MarginRule.Scope.choices)
    subject = TextField(required=False)
    points = AmountField()
    days = serializers.IntegerField(min_value=1, max_value=92)


class MarginRuleSerializer(ShownSerializer):
    """A rule on falling margins."""

    scope = serializers.ChoiceField(MarginRule.Scope.choices)
    subject = serializers.CharField()
    points = AmountField()
    days = serializers.IntegerField()
    created_at = InstantField()
    created_by = serializers.CharField()
    ended_at = InstantField(allow_null=True)


class MarginRuleResource(Listable, Readable, Creatable, Resource):
    """Rules on falling margins."""

    prefix, noun = "mr", "margin_rules"
    queryset = MarginRule.objects.all()
    serializer_class = MarginRuleSerializer
    input_class = MarginRuleInput

    def perform_create(self, values: dict[str, Any]) -> MarginRule:
        """Make a rule."""
        return create_rule(**values, by=actor_of(self.request) or "")

    @extend_schema(request=None, responses=MarginRuleSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Look no more."""
        return self.write("end", lambda: end_rule(self.get_object()))


class MarginAlertSerializer(ShownSerializer):
    """What was told of a margin. `bound`: the floor (0.2), or by how many points the margin fell."""

    kind = serializers.ChoiceField(MarginAlert.Kind.choices)
    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    rule = IdField(prefix="mr", source="rule_id")
    subject = serializers.CharField()
    starts_at = InstantField()
    ends_at = InstantField()
    currency = serializers.CharField()
    revenue = AmountField()
    cost = AmountField()
    events = serializers.IntegerField()
    costed = serializers.IntegerField()
    bound = AmountField()
    detail = serializers.DictField()
    raised_at = InstantField()


class MarginAlertFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which alerts."""

    kind = django_filters.ChoiceFilter(choices=MarginAlert.Kind.choices)
    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")


class MarginAlertResource(Listable, Readable, TenantResource):
    """Alerts on margins."""

    model, prefix, noun = MarginAlert, "mal", "margin_alerts"
    serializer_class = MarginAlertSerializer
    filterset_class = MarginAlertFilters
