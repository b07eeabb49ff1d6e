"""`/v1/organizations`"""

from __future__ import annotations

from typing import Any

import django_filters
from rest_framework import serializers

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import Customer, Organization
from accounts.organizations import change_organization, create_organization
from core.api.fields import InstantField
from core.api.references import IdField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import NamedSerializer, ShownSerializer


class OrganizationSerializer(ShownSerializer):
    """A company or division; `parent` is the one above it in its customer's tree."""

    customer = IdField(prefix="cus", source="customer_id")
    parent = IdField(prefix="org", source="parent_id")  # type: ignore[assignment]
    name = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    created_at = InstantField()


class OrganizationChange(NamedSerializer):
    """What may change about an organization."""

    parent = TenantField(  # type: ignore[assignment]
        Organization, prefix="org", required=False, allow_null=True
    )


class OrganizationInput(OrganizationChange):
    """An organization to be."""

    customer = TenantField(Customer, prefix="cus")


class OrganizationFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which organizations."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    parent = TenantFilter("parent", Organization, prefix="org")
    external_id = django_filters.CharFilter()


class OrganizationResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Organizations: the companies and divisions of a customer, as a tree."""

    model, prefix, noun = Organization, "org", "organizations"
    serializer_class = OrganizationSerializer
    input_class, change_class = OrganizationInput, OrganizationChange
    filterset_class = OrganizationFilters

    def perform_create(self, values: dict[str, Any]) -> Organization:
        """Create one."""
        return create_organization(**values)

    def perform_change(self, row: Organization, values: dict[str, Any]) -> Organization:
        """Rename or move it."""
        return change_organization(row, **values)
