"""`/v1/billing-entities`"""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer, Organization
from accounts.payers import Settlement, Status, change_billing_entity, create_billing_entity
from core import clock
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import IdField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import NamedSerializer, ShownSerializer
from core.numbers import ZERO


class BillingEntitySerializer(ShownSerializer):
    """A payer. `overdraft` null = its wallet may run negative without a bound; 0 = hard stop.

    `status` is its state now: a payer past due is suspended from `suspends_at` on.
    """

    customer = IdField(prefix="cus", source="customer_id")
    organization = IdField(prefix="org", source="organization_id")
    name = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    time_zone = serializers.CharField()
    status = serializers.SerializerMethodField()
    status_reason = serializers.CharField()
    suspends_at = InstantField(allow_null=True)
    settlement = serializers.ChoiceField(Settlement.choices)
    overdraft = AmountField(allow_null=True)
    credit_limit = AmountField(allow_null=True)
    low_balance = serializers.ListField(child=AmountField())
    created_at = InstantField()

    @extend_schema_field(serializers.ChoiceField(Status.choices))
    def get_status(self, row: BillingEntity) -> str:
        """Its state at this instant."""
        return row.state_at(clock.now())


class BillingEntityChange(NamedSerializer):
    """What may change about a payer: neither its currency nor its time zone. `closed` is for ever: its
    subscriptions end with it."""

    organization = TenantField(Organization, prefix="org", required=False, allow_null=True)
    status = serializers.ChoiceField(Status.choices, required=False)
    status_reason = TextField(max_length=1000, required=False, allow_blank=True)
    suspends_at = InstantField(required=False, allow_null=True)
    settlement = serializers.ChoiceField(Settlement.choices, required=False)
    overdraft = AmountField(min_value=ZERO, required=False, allow_null=True)
    credit_limit = AmountField(min_value=ZERO, required=False, allow_null=True)
    low_balance = serializers.ListField(child=AmountField(), required=False, max_length=20)


class BillingEntityInput(NamedSerializer):
    """A payer to be. `currency`: ISO 4217 or one of your units; `time_zone`: IANA, default UTC."""

    customer = TenantField(Customer, prefix="cus")
    organization = TenantField(Organization, prefix="org", required=False, allow_null=True)
    currency = TextField(max_length=12)
    time_zone = TextField(max_length=64, required=False)
    settlement = serializers.ChoiceField(Settlement.choices, required=False)
    overdraft = AmountField(min_value=ZERO, required=False, allow_null=True)
    credit_limit = AmountField(min_value=ZERO, required=False, allow_null=True)
    low_balance = serializers.ListField(child=AmountField(), required=False, max_length=20)


class BillingEntityFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which payers."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    organization = TenantFilter("organization", Organization, prefix="org")
    external_id = django_filters.CharFilter()
    status = django_filters.ChoiceFilter(choices=Status.choices)
    currency = django_filters.CharFilter()


class BillingEntityResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Billing entities: those who pay."""

    model, prefix, noun = BillingEntity, "be", "billing_entities"
    serializer_class = BillingEntitySerializer
    input_class, change_class = BillingEntityInput, BillingEntityChange
    filterset_class = BillingEntityFilters

    def perform_create(self, values: dict[str, Any]) -> BillingEntity:
        """Create one."""
        return create_billing_entity(**values)

    def perform_change(self, row: BillingEntity, values: dict[str, Any]) -> BillingEntity:
        """Change it."""
        return change_billing_entity(row, **values)
