"""`/v1/workspaces`"""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import OuterRef, Q, QuerySet, Subquery
from rest_framework import serializers

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer, Organization, PayerAssignment, Workspace
from accounts.scoping import viewer_of, visible
from accounts.workspaces import change_workspace, create_workspace
from core import clock
from core.api.fields import InstantField
from core.api.references import IdField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import NamedSerializer, ShownSerializer


class WorkspaceSerializer(ShownSerializer):
    """Where calls happen. `billing_entity` is who pays for calls of this moment; null = nobody."""

    customer = IdField(prefix="cus", source="customer_id")
    organization = IdField(prefix="org", source="organization_id")
    billing_entity = IdField(prefix="be", source="payer_id")
    name = serializers.CharField()
    external_id = serializers.CharField(allow_null=True)
    created_at = InstantField()


class WorkspaceChange(NamedSerializer):
    """What may change about a workspace; for who pays see payer assignments."""

    organization = TenantField(Organization, prefix="org", required=False, allow_null=True)


class WorkspaceInput(WorkspaceChange):
    """A workspace to be. `billing_entity` pays for it since ever."""

    customer = TenantField(Customer, prefix="cus")
    billing_entity = TenantField(BillingEntity, prefix="be", required=False, allow_null=True)


class WorkspaceFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which workspaces. `billing_entity` is the present payer."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    organization = TenantFilter("organization", Organization, prefix="org")
    billing_entity = TenantFilter("payer_id", BillingEntity, prefix="be")
    external_id = django_filters.CharFilter()


class WorkspaceResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Workspaces: the teams, projects or product areas of a customer."""

    model, prefix, noun = Workspace, "ws", "workspaces"
    serializer_class = WorkspaceSerializer
    input_class, change_class = WorkspaceInput, WorkspaceChange
    filterset_class = WorkspaceFilters

    def get_queryset(self) -> QuerySet[Any]:
        """The workspaces that the caller may see, with who pays now."""
        now = clock.now()
        present = visible(PayerAssignment, viewer_of(self.request)).filter(
            Q(starts_at__isnull=True) | Q(starts_at__lte=now),
            Q(ends_at__isnull=True) | Q(ends_at__gt=now),
            workspace=OuterRef("pk"),
        )
        payer = Subquery(present.values("billing_entity_id")[:1])
        rows: QuerySet[Any] = super().get_queryset().annotate(payer_id=payer)
        return rows

    def perform_create(self, values: dict[str, Any]) -> Workspace:
        """Create one."""
        return self._with_payer(create_workspace(**values))

    def perform_change(self, row: Workspace, values: dict[str, Any]) -> Workspace:
        """Rename or move it."""
        return self._with_payer(change_workspace(row, **values))

    def _with_payer(self, row: Workspace) -> Workspace:
        workspace: Workspace = self.get_queryset().get(pk=row.pk)
        return workspace
