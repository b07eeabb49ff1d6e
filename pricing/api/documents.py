"""The shapes of plan documents for OpenAPI. Documents are read by `pricing.catalog`, with its own errors."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from core.api.serializers import StrictSerializer
from pricing.rating.models import MODEL_NAMES


class BaseFeeDocument(serializers.Serializer[Any]):
    """A fixed amount, or an amount per unit of a quantity that the subscription keeps."""

    key = serializers.CharField()
    amount = serializers.CharField(required=False, help_text="A decimal in plain notation.")
    unit_amount = serializers.CharField(required=False, help_text="Instead of amount: per unit.")
    quantity = serializers.CharField(required=False)
    timing = serializers.ChoiceField(["in_advance", "in_arrears"], required=False)
    prorate = serializers.BooleanField(required=False)


class ComponentDocument(serializers.Serializer[Any]):
    """A priced line. The parameters of its model stand beside these; docs/plan-files.md has them all."""

    key = serializers.CharField()
    meter = serializers.CharField(required=False)
    model = serializers.ChoiceField(MODEL_NAMES)


class PlanDocument(StrictSerializer):
    """A plan as its file has it, with the meters, features and cost rates that may stand beside it."""

    plan = serializers.CharField(help_text="The plan's key.")
    currency = serializers.CharField()
    family = serializers.CharField(required=False)
    name = serializers.CharField(required=False)
    interval = serializers.ChoiceField(["month", "quarter", "year"], required=False)
    anchor = serializers.ChoiceField(["calendar", "subscription"], required=False)
    base_fees = BaseFeeDocument(many=True, required=False)
    components = ComponentDocument(many=True, required=False)
    credits = serializers.ListField(child=serializers.DictField(), required=False)
    minimum_spend = serializers.CharField(required=False)
    entitlements = serializers.ListField(child=serializers.DictField(), required=False)
    margin_floor = serializers.DictField(required=False)
    trial = serializers.DictField(required=False)
    payment_terms = serializers.DictField(required=False)
    proration = serializers.ChoiceField(["second", "day"], required=False)
    meters = serializers.ListField(child=serializers.DictField(), required=False)
    features = serializers.ListField(child=serializers.DictField(), required=False)
    cost_rates = serializers.ListField(child=serializers.DictField(), required=False)


class PreviewInput(serializers.Serializer[Any]):
    """A price list and usage by component key; `previous` is usage before, in the same shape."""

    currency = serializers.CharField()
    base_fees = BaseFeeDocument(many=True, required=False)
    components = ComponentDocument(many=True, required=False)
    usage = serializers.DictField(child=serializers.DictField(), required=False)
    previous = serializers.DictField(child=serializers.DictField(), required=False)


class PreviewLine(serializers.Serializer[Any]):
    """One line: exact, and rounded as a document would."""

    key = serializers.CharField()
    quantity = serializers.CharField(required=False)
    amount = serializers.CharField()
    rounded = serializers.CharField()
    breakdown = serializers.ListField(child=serializers.DictField(), required=False)


class PreviewAnswer(serializers.Serializer[Any]):
    """What the usage costs."""

    currency = serializers.CharField()
    lines = PreviewLine(many=True)
    total = serializers.CharField()


class PreviewItem(serializers.Serializer[Any]):
    """What the usage of one item of an array costs, or its error."""

    currency = serializers.CharField(required=False)
    lines = PreviewLine(many=True, required=False)
    total = serializers.CharField(required=False)
    error = serializers.DictField(required=False)
