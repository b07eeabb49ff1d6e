"""The shapes of authorizations, for OpenAPI."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from billing.api.schemas import BalanceSerializer, ChargeSerializer, CostSerializer, EventSerializer
from billing.models import Authorization
from core.api.fields import AmountField, InstantField


class AuthorizationInput(EventSerializer):
    """An event with what it is expected to use; or an amount, and then the event may be left out."""

    event = serializers.CharField(max_length=200, required=False)
    amount = serializers.CharField(required=False, help_text="What to hold, instead of the event's price.")
    expires_in = serializers.IntegerField(
        required=False, min_value=1, max_value=86_400, help_text="Seconds; 600 where it is left out."
    )


class CaptureInput(serializers.Serializer[Any]):
    """The real usage. Without properties, what was expected."""

    idempotency_key = serializers.CharField(
        required=False, max_length=255, help_text="The authorization's id where it is left out."
    )
    event = serializers.CharField(required=False, max_length=200)
    properties = serializers.DictField(required=False)
    costs = CostSerializer(many=True, required=False)
    occurred_at = serializers.DateTimeField(required=False)
    user = serializers.CharField(required=False, max_length=255)
    trace = serializers.CharField(required=False, max_length=255)
    over = serializers.ChoiceField(
        choices=["reject", "cap", "overdraft"],
        required=False,
        help_text="When the real usage costs more than is held: refuse (default), charge no more, or go on.",
    )


class ExtensionInput(serializers.Serializer[Any]):
    """For how long, from now."""

    expires_in = serializers.IntegerField(required=False, min_value=1, max_value=86_400)


class AuthorizedSerializer(serializers.Serializer[Any]):
    """What is held, and the balance with it."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=Authorization.Status.choices)
    billing_entity = serializers.CharField()
    amount = AmountField()
    currency = serializers.CharField()
    expires_at = InstantField()
    balance = BalanceSerializer()


class CaptureSerializer(ChargeSerializer):
    """The charge that captured an authorization. `absorbed`: what of its price the operator bears."""

    authorization = serializers.CharField()
    absorbed = AmountField()


class AuthorizationRowSerializer(serializers.Serializer[Any]):
    """An authorization. `held` is what it reserves now; `charge`, what captured it."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=Authorization.Status.choices)
    customer = serializers.CharField()
    billing_entity = serializers.CharField()
    workspace = serializers.CharField(allow_null=True)
    event_name = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField()
    amount = AmountField()
    held = AmountField()
    currency = serializers.CharField()
    captured_amount = AmountField(allow_null=True)
    charge = serializers.CharField(allow_null=True)
    authorized_at = InstantField()
    expires_at = InstantField()
    settled_at = InstantField(allow_null=True)
