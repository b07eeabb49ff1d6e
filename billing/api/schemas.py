"""The shapes of the charge path for OpenAPI; the path itself parses by hand, for speed."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class CostSerializer(serializers.Serializer[Any]):
    """What a vendor takes for the event."""

    vendor = serializers.CharField()
    amount = serializers.CharField(help_text="A decimal in plain notation, not negative.")
    currency = serializers.CharField()


class EventSerializer(serializers.Serializer[Any]):
    """One thing that happened. Name at least one of workspace, api_key and billing_entity."""

    idempotency_key = serializers.CharField(max_length=255)
    event = serializers.CharField(max_length=200)
    workspace = serializers.CharField(required=False)
    api_key = serializers.CharField(required=False, help_text="The secret, key_..., or its SHA-256 in hex.")
    billing_entity = serializers.CharField(required=False)
    occurred_at = serializers.DateTimeField(required=False)
    properties = serializers.DictField(required=False)
    costs = CostSerializer(many=True, required=False)
    user = serializers.CharField(required=False, max_length=255)
    trace = serializers.CharField(required=False, max_length=255)


class EventBatchSerializer(serializers.Serializer[Any]):
    """Up to 10,000 events."""

    events = EventSerializer(many=True)


class BalanceSerializer(serializers.Serializer[Any]):
    """A payer's balance, in its currency."""

    available = serializers.CharField()
    settled = serializers.CharField()
    held = serializers.CharField()


class PositionSerializer(serializers.Serializer[Any]):
    """Where in the tiers a line lies: the counter before and after."""

    locals()["from"] = serializers.CharField()
    to = serializers.CharField()


class ChargeLineSerializer(serializers.Serializer[Any]):
    """One component's part of a charge."""

    component = serializers.CharField()
    meter = serializers.CharField()
    quantity = serializers.CharField()
    amount = serializers.CharField()
    plan_version = serializers.CharField()
    position = PositionSerializer()


class ChargeSerializer(serializers.Serializer[Any]):
    """The priced record of one event."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["charged"])
    billing_entity = serializers.CharField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    cost = serializers.CharField(allow_null=True)
    lines = ChargeLineSerializer(many=True)
    balance = BalanceSerializer()


class DenialDetailSerializer(serializers.Serializer[Any]):
    """Who refused, and why."""

    reason = serializers.CharField()
    level = serializers.CharField()
    id = serializers.CharField()
    limit = serializers.CharField(allow_null=True)
    used = serializers.CharField(allow_null=True)
    resets_at = serializers.DateTimeField(allow_null=True)
    retryable = serializers.BooleanField()
    top_up_url = serializers.CharField(allow_null=True)


class DenialSerializer(serializers.Serializer[Any]):
    """A refused charge; it consumes no key."""

    error = serializers.DictField()
    denial = DenialDetailSerializer()
    balance = BalanceSerializer()


class EventErrorSerializer(serializers.Serializer[Any]):
    """Why one event of a batch was not taken."""

    index = serializers.IntegerField()
    error = serializers.DictField()


class IngestAnswerSerializer(serializers.Serializer[Any]):
    """What became of a batch."""

    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    rejected = serializers.IntegerField()
    unmatched = serializers.IntegerField()
    unpriced = serializers.IntegerField()
    errors = EventErrorSerializer(many=True)  # type: ignore[assignment]
