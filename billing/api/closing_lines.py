"""`/v1/closing-lines`: what closes of billing periods booked, and what late usage changed of it."""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from accounts.api.tenants import TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.models import ClosingLine
from core.api.fields import AmountField, InstantField
from core.api.references import IdField
from core.api.resources import Listable, Readable
from core.api.serializers import ShownSerializer
from core.ids import public_id
from pricing.models import Subscription


class ClosingFundingSerializer(serializers.Serializer[Any]):
    """Who paid a part: a grant, or the account itself. Negative = given back."""

    account = serializers.CharField()
    amount = serializers.CharField()
    grant = serializers.SerializerMethodField()

    def get_grant(self, part: dict[str, Any]) -> str | None:
        """The block of credit that paid."""
        return None if part["grant"] is None else public_id("grt", part["grant"])


class ClosingLineSerializer(ShownSerializer):
    """One line. `component` is the key of a component, or `minimum_spend`; `detail` says how it came about.

    `cause`: `close`, or `late` for what changed with an `event` that came after it.
    """

    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    subscription = IdField(prefix="sub", source="subscription_id")
    plan_version = IdField(prefix="pv", source="version_id")
    component = serializers.CharField(source="key")
    kind = serializers.ChoiceField(ClosingLine.Kind.choices)
    cause = serializers.ChoiceField(ClosingLine.Cause.choices)
    late_policy = serializers.CharField()
    event = serializers.CharField(source="event_public_id", allow_null=True)
    amount = AmountField()
    currency = serializers.CharField()
    detail = serializers.DictField()
    funding = ClosingFundingSerializer(many=True)
    seq = serializers.IntegerField(allow_null=True)
    recorded_at = InstantField()


class ClosingLineFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which lines."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")
    subscription = TenantFilter("subscription_id", Subscription, prefix="sub")
    kind = django_filters.ChoiceFilter(choices=ClosingLine.Kind.choices)
    cause = django_filters.ChoiceFilter(choices=ClosingLine.Cause.choices)


class ClosingLineResource(Listable, Readable, TenantResource):
    """Closing lines."""

    model, prefix, noun = ClosingLine, "cl", "closing_lines"
    serializer_class = ClosingLineSerializer
    filterset_class = ClosingLineFilters
