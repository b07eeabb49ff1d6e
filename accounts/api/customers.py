"""`/v1/customers`"""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from accounts.api.tenants import TenantResource
from accounts.customers import change_customer, create_customer
from accounts.models import Customer
from core.api.fields import InstantField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import NamedSerializer, ShownSerializer


class CustomerSerializer(ShownSerializer):
    """A customer: the root of an organization tree."""

    name = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    created_at = InstantField()


class CustomerInput(NamedSerializer):
    """A customer to be."""


class CustomerFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which customers."""

    external_id = django_filters.CharFilter()
    name = django_filters.CharFilter(lookup_expr="icontains")


class CustomerResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Customers."""

    model, prefix, noun = Customer, "cus", "customers"
    serializer_class = CustomerSerializer
    input_class = change_class = CustomerInput
    filterset_class = CustomerFilters

    def perform_create(self, values: dict[str, Any]) -> Customer:
        """Create one."""
        return create_customer(**values)

    def perform_change(self, row: Customer, values: dict[str, Any]) -> Customer:
        """Rename it."""
        return change_customer(row, **values)
