"""`/v1/rollouts/{id}/members` and `/v1/usage-ceilings`."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet

from accounts.api.tenants import TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.api.rollout_shapes import RolloutMemberSerializer, UsageCeilingSerializer
from core.api.references import find_referenced
from core.api.resources import Listable, Readable
from pricing.models import Rollout, RolloutMember, Subscription, UsageCeiling


class RolloutMemberFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which members."""

    state = django_filters.ChoiceFilter(choices=RolloutMember.State.choices)
    customer = TenantFilter("customer", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity", BillingEntity, prefix="be")
    subscription = TenantFilter("subscription", Subscription, prefix="sub")


class RolloutMemberResource(Listable, TenantResource):
    """The subscriptions of a price change, each with what has become of it."""

    model, prefix, noun = RolloutMember, "rom", "rollout_members"
    serializer_class = RolloutMemberSerializer
    filterset_class = RolloutMemberFilters

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the rollout that the path names."""
        rollout = find_referenced(Rollout.objects.all(), "ro", self.kwargs["id"])
        return super().filter_queryset(queryset).filter(rollout=rollout)


class UsageCeilingFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which ceilings; `standing`: those that are not lifted."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    subscription = TenantFilter("subscription", Subscription, prefix="sub")
    standing = django_filters.BooleanFilter(field_name="lifted_at", lookup_expr="isnull")


class UsageCeilingResource(Listable, Readable, TenantResource):
    """Ceilings that price changes left: usage beyond them is refused until they are lifted."""

    model, prefix, noun = UsageCeiling, "cei", "usage_ceilings"
    serializer_class = UsageCeilingSerializer
    filterset_class = UsageCeilingFilters

    def get_queryset(self) -> QuerySet[Any]:
        """The ceilings that the caller may see."""
        return super().get_queryset().select_related("meter")
