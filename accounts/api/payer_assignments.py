"""`/v1/payer-assignments`"""

from __future__ import annotations

from typing import Any

import django_filters

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer, PayerAssignment, Workspace
from accounts.payers import assign_payer, end_assignment
from core import clock
from core.api.fields import InstantField
from core.api.references import IdField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import ShownSerializer, StrictSerializer


class PayerAssignmentSerializer(ShownSerializer):
    """Who pays for a workspace's calls in `[starts_at, ends_at)`; null = unbounded."""

    customer = IdField(prefix="cus", source="customer_id")
    workspace = IdField(prefix="ws", source="workspace_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    starts_at = InstantField(allow_null=True)
    ends_at = InstantField(allow_null=True)
    created_at = InstantField()


class PayerAssignmentInput(StrictSerializer):
    """Who is to pay, and from when: null = since ever; left out = since ever for the first, else from now."""

    workspace = TenantField(Workspace, prefix="ws")
    billing_entity = TenantField(BillingEntity, prefix="be")
    starts_at = InstantField(required=False, allow_null=True)


class PayerAssignmentChange(StrictSerializer):
    """When an assignment ends."""

    ends_at = InstantField()


class PayerAssignmentFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which assignments."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    workspace = TenantFilter("workspace", Workspace, prefix="ws")
    billing_entity = TenantFilter("billing_entity", BillingEntity, prefix="be")


class PayerAssignmentResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Payer assignments: who pays for which workspace, from when to when."""

    model, prefix, noun = PayerAssignment, "pa", "payer_assignments"
    serializer_class = PayerAssignmentSerializer
    input_class, change_class = PayerAssignmentInput, PayerAssignmentChange
    filterset_class = PayerAssignmentFilters

    def perform_create(self, values: dict[str, Any]) -> PayerAssignment:
        """End the present assignment and begin the new one."""
        workspace: Workspace = values["workspace"]
        if "starts_at" not in values:
            has_payer = self.get_queryset().filter(workspace=workspace).exists()
            values["starts_at"] = clock.now() if has_payer else None
        return assign_payer(workspace, values["billing_entity"], from_=values["starts_at"])

    def perform_change(self, row: PayerAssignment, values: dict[str, Any]) -> PayerAssignment:
        """End it."""
        return end_assignment(row, at=values["ends_at"]) if "ends_at" in values else row
