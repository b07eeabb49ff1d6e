"""`/v1/reversals`: events that are to count for nothing, taken back by new entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from rest_framework import serializers

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.models import Reversal
from billing.reversals import reverse_event
from billing.reversals.finding import find_event
from core.api.fields import AmountField, InstantField, TextField
from core.api.idempotency import idempotency_key
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer
from core.errors import InvalidRequest

CHARGES_WRITE = "charges:write"


class ReversalInput(StrictSerializer):
    """Which event (`evt_...`, or the key under which it came), and why.

    `customer` is needed only where several customers used that key. `idempotency_key` does what the header
    does.
    """

    idempotency_key = TextField(max_length=255, required=False)
    event = TextField(max_length=255)
    customer = TenantField(Customer, prefix="cus", required=False)
    reason = TextField(max_length=1000)


class ReversalSerializer(ShownSerializer):
    """What was taken back. `charge` is the new entry, `reversed_charges` are those that it took back.

    `cause`: `event` (a reversal that was asked for) or `rerating` (a backdated change; `replaced_by` is the
    charge that was made instead).
    """

    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    event = serializers.CharField(source="event_public_id")
    cause = serializers.ChoiceField(Reversal.Cause.choices)
    charge = serializers.CharField(source="charge_public_id")
    reversed_charges = serializers.SerializerMethodField()
    replaced_by = serializers.CharField(source="replaced_by_public_id", allow_null=True)
    amount = AmountField()
    currency = serializers.CharField()
    reason = serializers.CharField()
    seq = serializers.IntegerField()
    created_by = serializers.CharField()
    recorded_at = InstantField()

    def get_reversed_charges(self, row: Reversal) -> list[str]:
        """The charges that were taken back."""
        return [taken.charge_public_id for taken in row.reversed_charges.all()]


class ReversalFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which reversals."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")
    cause = django_filters.ChoiceFilter(choices=Reversal.Cause.choices)


class ReversalResource(Listable, Readable, Creatable, TenantResource):
    """Reversals of events."""

    model, prefix, noun = Reversal, "rev", "reversals"
    serializer_class = ReversalSerializer
    input_class = ReversalInput
    filterset_class = ReversalFilters
    scopes: ClassVar[dict[str, str]] = {"POST": CHARGES_WRITE}

    def get_queryset(self) -> QuerySet[Any]:
        """The reversals that the caller may see."""
        return super().get_queryset().prefetch_related("reversed_charges")

    def request_key(self) -> str | None:
        """The body's key, which the header may only repeat."""
        data = self.request.data
        body = data.get("idempotency_key") if isinstance(data, Mapping) else None
        header = idempotency_key(self.request)
        if header is not None and body is not None and header != body:
            raise InvalidRequest(
                "key_mismatch", "The Idempotency-Key header differs from the body's key.", "Idempotency-Key"
            )
        return header if body is None or not isinstance(body, str) else body

    def perform_create(self, values: dict[str, Any]) -> Reversal:
        """Take back what the event cost."""
        customer: Customer | None = values.get("customer")
        event = find_event(values["event"], None if customer is None else customer.pk)
        return reverse_event(event, reason=values["reason"], by=actor_of(self.request) or "")
