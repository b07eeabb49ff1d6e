"""The shapes of leases, for OpenAPI."""

from __future__ import annotations

from typing import Any, Final

from rest_framework import serializers

from billing.api.schemas import BalanceSerializer, IngestAnswerSerializer
from core.api.fields import AmountField, InstantField

STATUSES: Final = ["open", "returned", "expired"]


class LeaseInput(serializers.Serializer[Any]):
    """An allowance of a payer: of a workspace's, or named itself."""

    idempotency_key = serializers.CharField(
        required=False, max_length=255, help_text="Or the Idempotency-Key header."
    )
    workspace = serializers.CharField(required=False)
    api_key = serializers.CharField(required=False)
    billing_entity = serializers.CharField(required=False)
    amount = serializers.CharField(help_text="In the payer's currency.")
    expires_in = serializers.IntegerField(
        required=False, min_value=1, max_value=86_400, help_text="Seconds; 600 where it is left out."
    )


class DrawnSerializer(serializers.Serializer[Any]):
    """What may be spent until when, and the balance with it."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    billing_entity = serializers.CharField()
    amount = AmountField()
    currency = serializers.CharField()
    expires_at = InstantField()
    balance = BalanceSerializer()


class LeaseSerializer(serializers.Serializer[Any]):
    """A lease. `used` has been reported; `held` is reserved for what has not; `exposure` is what that may
    come to, also when the lease is over and nothing is reserved any more."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=STATUSES)
    customer = serializers.CharField()
    billing_entity = serializers.CharField()
    workspace = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField()
    amount = AmountField()
    held = AmountField()
    used = AmountField()
    exposure = AmountField()
    currency = serializers.CharField()
    drawn_at = InstantField()
    expires_at = InstantField()


class ReturnedSerializer(LeaseSerializer):
    """A lease that is over, and the balance with it."""

    balance = BalanceSerializer()


class LeaseReportSerializer(LeaseSerializer, IngestAnswerSerializer):
    """What became of a batch, and the lease after it."""
