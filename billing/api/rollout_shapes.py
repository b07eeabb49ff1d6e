"""The shapes of price changes as they are read."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.api.fields import AmountField, InstantField
from core.api.references import IdField
from core.api.serializers import ShownSerializer
from pricing.models import Rollout, RolloutMember, UsageCeiling


class OverageSerializer(serializers.Serializer[Any]):
    """A meter that begins to cost. `ceiling`: where the old version's free or allowed usage ended."""

    meter = serializers.CharField()
    cause = serializers.ChoiceField(["included_falls", "was_free", "was_blocked"])
    ceiling = serializers.CharField(allow_null=True)


class RolloutSerializer(ShownSerializer):
    """A price change. `overages` by from-version; `progress`: how many subscriptions are in which state."""

    name = serializers.CharField()
    status = serializers.ChoiceField(Rollout.Status.choices)
    plan_version = IdField(prefix="pv", source="version_id")
    rollback_of = IdField(prefix="ro", source="rollback_of_id")
    cohort = serializers.JSONField()
    when = serializers.ChoiceField(Rollout.Timing.choices, source="timing")
    effective_at = InstantField(allow_null=True)
    notice_at = InstantField(allow_null=True)
    reason = serializers.CharField()
    introduces_overage = serializers.BooleanField()
    overages = serializers.DictField(child=OverageSerializer(many=True))
    progress = serializers.SerializerMethodField()
    created_at = InstantField()
    created_by = serializers.CharField()
    announced_at = InstantField(allow_null=True)
    announced_by = serializers.CharField()
    started_at = InstantField(allow_null=True)
    paused_at = InstantField(allow_null=True)
    done_at = InstantField(allow_null=True)
    canceled_at = InstantField(allow_null=True)

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_progress(self, row: Any) -> dict[str, int]:
        """Members by state, those states only in which there are any; and all."""
        counts = {state.value: getattr(row, f"count_{state.value}") for state in RolloutMember.State}
        return {"all": row.count_all} | {state: count for state, count in counts.items() if count}


class RolloutMemberSerializer(ShownSerializer):
    """One subscription in a price change, and what has become of it."""

    rollout = IdField(prefix="ro", source="rollout_id")
    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    subscription = IdField(prefix="sub", source="subscription_id")
    from_version = IdField(prefix="pv", source="from_version_id")
    to_version = IdField(prefix="pv", source="to_version_id")
    state = serializers.ChoiceField(RolloutMember.State.choices)
    introduces_overage = serializers.BooleanField()
    effective_at = InstantField()
    notified_at = InstantField(allow_null=True)
    acknowledged_at = InstantField(allow_null=True)
    acknowledged_by = serializers.CharField()
    limits = serializers.DictField(child=serializers.CharField())
    held_until = InstantField(allow_null=True)
    moved_at = InstantField(allow_null=True)
    failed_at = InstantField(allow_null=True)
    attempts = serializers.IntegerField()
    rolled_back_at = InstantField(allow_null=True)
    result = serializers.CharField()


class MembersSerializer(serializers.Serializer[Any]):
    """The subscriptions that a decision was about, as they are then."""

    locals()["data"] = RolloutMemberSerializer(many=True)


class CohortPreviewSerializer(serializers.Serializer[Any]):
    """Whom a draft would move if it were announced now, and whether the notice would need a reason."""

    subscriptions = serializers.IntegerField()
    customers = serializers.IntegerField()
    first_effective_at = InstantField(allow_null=True)
    last_effective_at = InstantField(allow_null=True)
    needs_reason = serializers.BooleanField()
    overages = serializers.DictField(child=OverageSerializer(many=True))


class MadeWholeSerializer(serializers.Serializer[Any]):
    """Old against new price of what one subscription was charged since its move; `due`: not given yet."""

    customer = IdField(prefix="cus", source="comparison.member.customer_id")
    billing_entity = IdField(prefix="be", source="comparison.member.billing_entity_id")
    subscription = IdField(prefix="sub", source="comparison.member.subscription_id")
    currency = serializers.CharField(source="comparison.member.from_version.plan.currency")
    old_amount = AmountField(source="comparison.old_amount")
    new_amount = AmountField(source="comparison.new_amount")
    difference = AmountField(source="comparison.difference")
    due = AmountField()
    credited = serializers.SerializerMethodField()

    @extend_schema_field({"type": ["string", "null"]})
    def get_credited(self, row: Any) -> str | None:
        """What it has been given already; null = nothing yet."""
        return None if row.credit is None else AmountField().to_representation(row.credit.amount)


class MakeWholePreviewSerializer(serializers.Serializer[Any]):
    """A row for each subscription that was moved."""

    locals()["data"] = MadeWholeSerializer(many=True)


class MakeWholeCreditSerializer(ShownSerializer):
    """A difference that was credited. `to_wallet` of it as credit; the rest lowered what was owed."""

    rollout = IdField(prefix="ro", source="rollout_id")
    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    subscription = IdField(prefix="sub", source="subscription_id")
    old_amount = AmountField()
    new_amount = AmountField()
    amount = AmountField()
    to_wallet = AmountField()
    until = InstantField()
    created_at = InstantField()
    created_by = serializers.CharField()


class MakeWholeSerializer(serializers.Serializer[Any]):
    """What was credited now; what had been before does not come again."""

    locals()["data"] = MakeWholeCreditSerializer(many=True)


class UsageCeilingSerializer(ShownSerializer):
    """The most that a subscription may use of a meter in each period while it is on `plan_version`."""

    customer = IdField(prefix="cus", source="customer_id")
    subscription = IdField(prefix="sub", source="subscription_id")
    plan_version = IdField(prefix="pv", source="version_id")
    meter = serializers.CharField(source="meter.key")
    limit = AmountField()
    reason = serializers.ChoiceField(UsageCeiling.Reason.choices)
    created_at = InstantField()
    lifted_at = InstantField(allow_null=True)
    lifted_by = serializers.CharField()
