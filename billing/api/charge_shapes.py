"""The shapes of charges as they are read, for OpenAPI."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import inline_serializer
from rest_framework import serializers

from billing.api.schemas import BalanceSerializer, ChargeLineSerializer, CostSerializer, PositionSerializer
from core.api.fields import AmountField, InstantField


class ChargeRowSerializer(serializers.Serializer[Any]):
    """A charge of the list. `cost` is what vendors take for its event; null = not known. `absorbed`: what
    of its price the operator bears, because a capture was capped at what was held."""

    id = serializers.CharField()
    status = serializers.ChoiceField(choices=["charged"])
    customer = serializers.CharField()
    billing_entity = serializers.CharField()
    workspace = serializers.CharField(allow_null=True)
    event = serializers.CharField()
    event_name = serializers.CharField()
    idempotency_key = serializers.CharField()
    amount = AmountField()
    absorbed = AmountField()
    currency = serializers.CharField()
    cost = AmountField(allow_null=True)
    lines = ChargeLineSerializer(many=True)
    balance = BalanceSerializer()
    seq = serializers.IntegerField()
    occurred_at = InstantField()
    recorded_at = InstantField()


class BreakdownSerializer(serializers.Serializer[Any]):
    """A row of a line's breakdown: units at a price or rate, or a modifier. The rows sum to the amount."""

    modifier = serializers.CharField(required=False)
    tier = serializers.IntegerField(required=False)
    quantity = AmountField(required=False)
    unit_price = AmountField(required=False)
    rate = AmountField(required=False)
    flat_fee = AmountField(required=False)
    above = AmountField(required=False, help_text="The units lie beyond this one,")
    up_to = AmountField(required=False, help_text="up to and with this one.")
    amount = AmountField()


class ExplainedLineSerializer(ChargeLineSerializer):
    """One component's part of a charge, with how its amount came about."""

    model = serializers.CharField()
    segment = serializers.CharField()
    dimensions = serializers.ListField(child=serializers.CharField(allow_null=True))
    breakdown = BreakdownSerializer(many=True)


class FundingSerializer(serializers.Serializer[Any]):
    """Who paid a part: a grant, or the account itself. Negative = given back."""

    component = serializers.CharField()
    account = serializers.CharField()
    amount = AmountField()
    grant = serializers.CharField(allow_null=True)


class TransferSerializer(serializers.Serializer[Any]):
    """One movement between two of the payer's accounts."""

    locals()["source"] = serializers.CharField()
    destination = serializers.CharField()
    amount = AmountField()
    grant = serializers.CharField(allow_null=True)


class EventCostSerializer(CostSerializer):
    """A vendor's part, and where it is known from: `given`, `rate`, `price_table`, `later`, `bill`."""

    locals()["source"] = serializers.CharField()


class ChargedEventSerializer(serializers.Serializer[Any]):
    """The event of a charge, as it was sent and attributed."""

    id = serializers.CharField()
    idempotency_key = serializers.CharField()
    event = serializers.CharField()
    workspace = serializers.CharField(allow_null=True)
    api_key = serializers.CharField(allow_null=True)
    occurred_at = InstantField()
    recorded_at = InstantField()
    properties = serializers.DictField()
    costs = EventCostSerializer(many=True, allow_null=True)
    cost = AmountField(allow_null=True)
    user = serializers.CharField(allow_null=True)
    trace = serializers.CharField(allow_null=True)
    locals()["source"] = serializers.CharField()


class ChargeReversalSerializer(serializers.Serializer[Any]):
    """The reversal that a charge is, or by which it was taken back."""

    id = serializers.CharField()
    cause = serializers.CharField()
    charge = serializers.CharField()
    reversed_charges = serializers.ListField(child=serializers.CharField())
    replaced_by = serializers.CharField(allow_null=True)
    reason = serializers.CharField()


class ChargeExplanationSerializer(ChargeRowSerializer):
    """A charge with all that it came from."""

    lines = ExplainedLineSerializer(many=True)
    margin = AmountField(allow_null=True)
    funding = FundingSerializer(many=True)
    transfers = TransferSerializer(many=True)
    overspend = inline_serializer(
        "Overspend", {"amount": AmountField(), "cause": serializers.CharField()}, allow_null=True
    )
    is_rerated = serializers.BooleanField()
    reversal = ChargeReversalSerializer(allow_null=True)
    reversed_by = ChargeReversalSerializer(allow_null=True)
    event = ChargedEventSerializer()  # type: ignore[assignment]


class RatedSerializer(serializers.Serializer[Any]):
    """What a charge came to."""

    amount = AmountField()
    lines = ChargeLineSerializer(many=True)


class FieldDifferenceSerializer(serializers.Serializer[Any]):
    """A field that does not come out again. `line` and `component`: null for the charge's own fields."""

    line = serializers.IntegerField(allow_null=True)
    component = serializers.CharField(allow_null=True)
    locals()["field"] = serializers.CharField()
    stored = serializers.CharField(allow_null=True)
    recomputed = serializers.CharField(allow_null=True)


class RatedFromSerializer(serializers.Serializer[Any]):
    """What a line was rated from. `content_hash`: SHA-256 of the version's content, which never changes."""

    component = serializers.CharField()
    meter = serializers.CharField()
    plan_version = serializers.CharField()
    content_hash = serializers.CharField(allow_null=True)
    segment = serializers.CharField()
    dimensions = serializers.CharField(help_text="The group's dimension values, as a JSON array.")
    position = PositionSerializer()


class RecomputationSerializer(serializers.Serializer[Any]):
    """A charge as it was stored, and rated again from what is stored.

    `matches`: they are the same; else `differences` names each field, or `problem` says why it cannot be
    rated.
    """

    id = serializers.CharField()
    matches = serializers.BooleanField()
    currency = serializers.CharField()
    seq = serializers.IntegerField()
    event = serializers.CharField()
    stored = RatedSerializer()
    recomputed = RatedSerializer()
    problem = serializers.CharField(allow_null=True)
    differences = FieldDifferenceSerializer(many=True)
    rated_from = RatedFromSerializer(many=True)
