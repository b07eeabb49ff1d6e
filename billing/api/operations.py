"""`/v1/top-ups`, `/v1/credit-grants`, `/v1/adjustments`: money moved by people, once per Idempotency-Key."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import django_filters
from rest_framework import serializers

from accounts.api.tenants import TenantFilter, TenantResource
from accounts.models import BillingEntity
from billing.models import Adjustment, CreditGrant, TopUp
from billing.wallets import adjust, grant_credit, top_up
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import ReferenceField
from core.api.resources import Creatable, Listable, Readable, actor_of
from core.api.serializers import StrictSerializer
from core.ids import public_id


class PayerRowSerializer(serializers.Serializer[Any]):
    """What all rows of a payer show."""

    id = serializers.CharField(source="public_id")
    billing_entity = serializers.SerializerMethodField()
    amount = AmountField()
    created_at = InstantField()

    def get_billing_entity(self, row: Any) -> str:
        """The payer."""
        return public_id("be", row.billing_entity_id)


class PayerFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?billing_entity=`."""

    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")


class PayerResource(Creatable, Listable, Readable, TenantResource):
    """A resource whose rows belong to a payer."""

    filterset_class = PayerFilter


class TopUpInput(StrictSerializer):
    """Value paid in, in the payer's currency. `price` is what it cost in money, for credits of your own."""

    billing_entity = ReferenceField(BillingEntity, prefix="be")
    amount = AmountField(min_value=Decimal(0))
    price = AmountField(min_value=Decimal(0), required=False, allow_null=True)
    price_currency = TextField(max_length=3, required=False)
    reference = TextField(required=False)
    expires_at = InstantField(required=False, allow_null=True)


class TopUpSerializer(PayerRowSerializer):
    """A top-up."""

    grant = serializers.SerializerMethodField()
    price = AmountField(allow_null=True)
    price_currency = serializers.CharField()
    reference = serializers.CharField()
    created_by = serializers.CharField()

    def get_grant(self, row: TopUp) -> str:
        """The block of credit that it made."""
        return public_id("grt", row.grant_id)


class TopUpResource(PayerResource):
    """Top-ups: value paid into a wallet."""

    model, prefix, noun = TopUp, "top", "top_ups"
    serializer_class = TopUpSerializer
    input_class = TopUpInput

    def perform_create(self, values: dict[str, Any]) -> TopUp:
        """Put the value into the wallet."""
        entity = values.pop("billing_entity")
        return top_up(entity, values.pop("amount"), by=actor_of(self.request) or "", **values)


class GrantInput(StrictSerializer):
    """A block of credit. `components` limits it to component keys; lower `priority` burns first."""

    billing_entity = ReferenceField(BillingEntity, prefix="be")
    amount = AmountField(min_value=Decimal(0))
    kind = serializers.ChoiceField(CreditGrant.Kind.choices, required=False)
    name = TextField(required=False)
    priority = serializers.IntegerField(min_value=0, max_value=1000, required=False)
    components = serializers.ListField(child=TextField(max_length=100), required=False, max_length=100)
    cost_basis = AmountField(min_value=Decimal(0), required=False, allow_null=True)
    effective_at = InstantField(required=False, allow_null=True)
    expires_at = InstantField(required=False, allow_null=True)


class GrantSerializer(PayerRowSerializer):
    """A block of credit."""

    kind = serializers.ChoiceField(CreditGrant.Kind.choices)
    name = serializers.CharField()
    remaining = AmountField()
    priority = serializers.IntegerField()
    components = serializers.ListField(child=serializers.CharField())
    cost_basis = AmountField(allow_null=True)
    effective_at = InstantField()
    expires_at = InstantField(allow_null=True)
    expired_at = InstantField(allow_null=True)


class GrantResource(PayerResource):
    """Credit grants: paid or promotional blocks of credit."""

    model, prefix, noun = CreditGrant, "grt", "credit_grants"
    serializer_class = GrantSerializer
    input_class = GrantInput

    def perform_create(self, values: dict[str, Any]) -> CreditGrant:
        """Give the credit."""
        entity, amount = values.pop("billing_entity"), values.pop("amount")
        return grant_credit(entity, amount, **values)


class AdjustmentInput(StrictSerializer):
    """A correction: positive puts value in, negative takes it out."""

    billing_entity = ReferenceField(BillingEntity, prefix="be")
    amount = AmountField()
    reason = TextField(max_length=1000)


class AdjustmentSerializer(PayerRowSerializer):
    """A correction by staff."""

    reason = serializers.CharField()
    created_by = serializers.CharField()


class AdjustmentResource(PayerResource):
    """Adjustments: corrections of wallets."""

    model, prefix, noun = Adjustment, "adj", "adjustments"
    serializer_class = AdjustmentSerializer
    input_class = AdjustmentInput

    def perform_create(self, values: dict[str, Any]) -> Adjustment:
        """Correct the wallet."""
        by = actor_of(self.request) or ""
        return adjust(values["billing_entity"], values["amount"], reason=values["reason"], by=by)
