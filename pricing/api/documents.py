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
    """A plan as its file has it, with the meters, features, cost rates and coupons that may stand beside it.

    Or the file itself as text in `yaml`, and nothing beside that.
    """

    yaml = serializers.CharField(required=False, help_text="The file's text, instead of all other fields.")
    plan = serializers.CharField(required=False, help_text="The plan's key. Required without yaml.")
    currency = serializers.CharField(required=False, help_text="Required without yaml.")
    family = serializers.CharField(required=False)
    name = serializers.CharField(required=False)
    interval = serializers.ChoiceField(["month", "quarter", "year"], required=False)
    anchor = serializers.ChoiceField(["calendar", "subscription"], required=False)
    base_fees = BaseFeeDocument(many=True, required=False)
    one_off_fees = serializers.ListField(child=serializers.DictField(), required=False)
    components = ComponentDocument(many=True, required=False)
    credits = serializers.ListField(child=serializers.DictField(), required=False)
    minimum_spend = serializers.CharField(required=False)
    entitlements = serializers.ListField(child=serializers.DictField(), required=False)
    margin_floor = serializers.DictField(required=False)
    trial = serializers.DictField(required=False)
    payment_terms = serializers.DictField(required=False)
    proration = serializers.ChoiceField(["second", "day"], required=False)
    ramps = serializers.ListField(child=serializers.DictField(), required=False)
    meters = serializers.ListField(child=serializers.DictField(), required=False)
    features = serializers.ListField(child=serializers.DictField(), required=False)
    cost_rates = serializers.ListField(child=serializers.DictField(), required=False)
    coupons = serializers.ListField(child=serializers.DictField(), required=False)
    plans = serializers.ListField(child=serializers.DictField(), required=False)


class ProblemShape(serializers.Serializer[Any]):
    """One thing to mend; `line` only where the body has a file's text."""

    code = serializers.CharField()
    message = serializers.CharField()
    param = serializers.CharField(allow_null=True)
    line = serializers.IntegerField(allow_null=True)


class ValidationAnswer(serializers.Serializer[Any]):
    """Whether the document can be read, and what stands against it. `notes`: meters that it lacks."""

    valid = serializers.BooleanField()
    problems = ProblemShape(many=True)
    notes = ProblemShape(many=True)


class ChangeShape(serializers.Serializer[Any]):
    """One difference, how many running subscriptions it touches, and what those brought in their last period.

    A component's or fee's subscriptions are those that paid for it; a term of the plan touches all.
    """

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "removed", "changed"])
    old = serializers.JSONField(allow_null=True)
    new = serializers.JSONField(allow_null=True)
    subscriptions = serializers.IntegerField()
    revenue = serializers.CharField()


class PlanDiffShape(serializers.Serializer[Any]):
    """One plan against its latest published version (null: there is none)."""

    plan = serializers.CharField()
    currency = serializers.CharField()
    against = serializers.CharField(allow_null=True)
    against_number = serializers.IntegerField(allow_null=True)
    subscriptions = serializers.IntegerField()
    subscriptions_elsewhere = serializers.IntegerField()
    revenue = serializers.CharField()
    changes = ChangeShape(many=True)


class OtherChangeShape(serializers.Serializer[Any]):
    """A meter, cost rate or coupon of the document."""

    noun = serializers.CharField()
    key = serializers.CharField()
    action = serializers.ChoiceField(["created", "changed", "unchanged"])


class DiffAnswer(serializers.Serializer[Any]):
    """What the document would change."""

    has_changes = serializers.BooleanField()
    plans = PlanDiffShape(many=True)
    others = OtherChangeShape(many=True)


class AppliedShape(serializers.Serializer[Any]):
    """What became of a plan, meter, cost rate or coupon; `version`: the draft, or what is published."""

    noun = serializers.CharField()
    key = serializers.CharField()
    action = serializers.ChoiceField(["created", "changed", "unchanged", "withdrawn"])
    version = serializers.CharField(allow_null=True)


class AppliedAnswer(serializers.Serializer[Any]):
    """What applying a document did, one by one."""

    results = AppliedShape(many=True)


class ExportAnswer(serializers.Serializer[Any]):
    """A version as the text of a plan file, with its meters."""

    yaml = serializers.CharField()


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
