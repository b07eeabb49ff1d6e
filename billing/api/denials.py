"""`/v1/denials`: refused charges."""

from __future__ import annotations

import django_filters
from rest_framework import serializers

from accounts.api.tenants import TenantResource
from accounts.models import BillingEntity
from billing.api.charge_reads import OwnerFilter
from billing.models import Denial
from core.api.fields import AmountField, InstantField
from core.api.filters import InstantFilter
from core.api.resources import Listable, Readable
from core.ids import public_id


class DenialRowSerializer(serializers.Serializer[Denial]):
    """A refused charge as the API lists it."""

    id = serializers.CharField(source="public_id")
    billing_entity = serializers.SerializerMethodField()
    reason = serializers.ChoiceField(Denial.Reason.choices)
    level = serializers.CharField()
    level_id = serializers.CharField()
    event = serializers.CharField()
    idempotency_key = serializers.CharField()
    expected_amount = AmountField()
    available = AmountField()
    limit = AmountField(allow_null=True)
    used = AmountField(allow_null=True)
    resets_at = InstantField(allow_null=True)
    retryable = serializers.BooleanField()
    occurred_at = InstantField()
    denied_at = InstantField()

    def get_billing_entity(self, row: Denial) -> str:
        """The payer."""
        return public_id("be", row.billing_entity_id)


class DenialFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?billing_entity=`, `?reason=`, `?denied_from=`, `?denied_to=`."""

    billing_entity = OwnerFilter("billing_entity_id", BillingEntity, prefix="be")
    reason = django_filters.ChoiceFilter(choices=Denial.Reason.choices)
    denied_from = InstantFilter(field_name="denied_at", lookup_expr="gte")
    denied_to = InstantFilter(field_name="denied_at", lookup_expr="lt")


class DenialResource(Listable, Readable, TenantResource):
    """Refused charges, the newest first."""

    model, prefix, noun = Denial, "den", "denials"
    serializer_class = DenialRowSerializer
    filterset_class = DenialFilter
