"""What `/v1/subscriptions` takes and shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from accounts.api.tenants import TenantField
from accounts.models import BillingEntity
from billing.subscriptions.moving import PERIOD_END
from core.api.fields import AmountField, BooleanField, InstantField, QuantityField, TextField
from core.api.references import IdField
from core.api.serializers import ShownSerializer, StrictSerializer
from core.errors import NotFound
from pricing.api.plans import find_plan
from pricing.models import BillingPeriod, PlanVersion, Segment, Subscription, SubscriptionChange
from pricing.versions import latest_published


@extend_schema_field({"type": "string", "maxLength": 200})
class PublishedPlanField(serializers.Field[PlanVersion, Any, str, Any]):
    """The newest published version of a plan, which is named by id or key."""

    default_error_messages = {
        "invalid": "A text was expected.",
        "nothing_published": "No version of this plan is published.",
    }

    def to_internal_value(self, data: Any) -> PlanVersion:
        """The version; that there is none is this field's error."""
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            plan = find_plan(data)
        except NotFound as error:
            raise serializers.ValidationError(error.message, error.code) from error
        version = latest_published(plan)
        if version is None:
            self.fail("nothing_published")
        return version


@extend_schema_field({"type": "string", "examples": ["2026-02-01T00:00:00Z", PERIOD_END]})
class WhenField(InstantField):
    """An instant with an offset, or `period_end`: the end of the current billing period."""

    def to_internal_value(self, data: Any) -> datetime:
        """The instant in UTC, or the word."""
        return data if data == PERIOD_END else super().to_internal_value(data)


class SubscriptionSerializer(ShownSerializer):
    """A payer on a pinned version in `[starts_at, ends_at)`; `ends_at` null = until canceled."""

    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    plan = IdField(prefix="plan", source="version.plan_id")
    plan_version = IdField(prefix="pv", source="version_id")
    external_id = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(Subscription.Status.choices)
    starts_at = InstantField()
    ends_at = InstantField(allow_null=True)
    anchor_at = InstantField()
    quantities = serializers.DictField(child=serializers.CharField())
    created_at = InstantField()


class SegmentSerializer(ShownSerializer):
    """A part of a billing period in which usage is rated on one version."""

    plan_version = IdField(prefix="pv", source="version_id")
    starts_at = InstantField()
    ends_at = InstantField()
    period_starts_at = InstantField(source="period.starts_at")
    period_ends_at = InstantField(source="period.ends_at")
    period_status = serializers.ChoiceField(BillingPeriod.Status.choices, source="period.status")


class ChangeSerializer(ShownSerializer):
    """What was done to a subscription, or will be, as of `at`. `quantities` are those that it sets."""

    action = serializers.ChoiceField(SubscriptionChange.Action.choices)
    status = serializers.ChoiceField(SubscriptionChange.Status.choices)
    at = InstantField()
    plan_version = IdField(prefix="pv", source="version_id")
    quantities = serializers.DictField(child=serializers.CharField())
    reason = serializers.CharField()
    created_at = InstantField()
    applied_at = InstantField(allow_null=True)


class SubscriptionDetailSerializer(SubscriptionSerializer):
    """A subscription with its segments, and with all that was done to it or is scheduled."""

    segments = serializers.SerializerMethodField()
    changes = serializers.SerializerMethodField()

    @extend_schema_field(SegmentSerializer(many=True))
    def get_segments(self, row: Subscription) -> Any:
        """In the order of their time."""
        rows: Any = row.segments.select_related("period").order_by("starts_at")
        return SegmentSerializer(list[Segment](rows), many=True).data

    @extend_schema_field(ChangeSerializer(many=True))
    def get_changes(self, row: Subscription) -> Any:
        """In the order in which they take effect; none when nothing was done to it since it started."""
        return ChangeSerializer(row.changes.order_by("at", "pk"), many=True).data


class SubscriptionInput(StrictSerializer):
    """Who is to pay by which prices. Give `plan_version`, or `plan` for its newest published version."""

    billing_entity = TenantField(BillingEntity, prefix="be")
    plan = PublishedPlanField(required=False)
    plan_version = TenantField(PlanVersion, prefix="pv", required=False)
    external_id = TextField(required=False, allow_null=True)
    starts_at = InstantField(required=False)
    ends_at = InstantField(required=False, allow_null=True)
    anchor_at = InstantField(required=False)
    quantities = serializers.DictField(child=QuantityField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values, with `version` for whichever of the two was given."""
        given = [attrs.pop(name) for name in ("plan", "plan_version") if name in attrs]
        if len(given) != 1:
            says = ErrorDetail("Give one of plan and plan_version.", "required")
            raise serializers.ValidationError({"plan_version": says})
        return attrs | {"version": given[0]}


class PauseInput(StrictSerializer):
    """When (left out = now), and why."""

    at = WhenField(required=False)
    reason = TextField(required=False, max_length=1000)


class CancellationInput(PauseInput):
    """When it ends; whether what fees in advance leave unused goes back (left out = no)."""

    credit_unused = BooleanField(required=False)


class ChangeInput(PauseInput):
    """Another version (`plan`: its newest published one), other quantities, or both.

    Of the quantities, those left out stay. `at` in the past rates usage since then anew.
    """

    plan = PublishedPlanField(required=False)
    plan_version = TenantField(PlanVersion, prefix="pv", required=False)
    quantities = serializers.DictField(child=QuantityField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values, with `version` for whichever of the two was given."""
        given = [attrs.pop(name) for name in ("plan", "plan_version") if name in attrs]
        if len(given) > 1:
            says = ErrorDetail("Give one of plan and plan_version.", "required")
            raise serializers.ValidationError({"plan_version": says})
        return attrs | {"version": given[0] if given else None}


class WithdrawalInput(StrictSerializer):
    """The scheduled change, pause or cancellation to take back, by its id."""

    change = TextField()
    reason = TextField(required=False, max_length=1000)


class FeeLineSerializer(serializers.Serializer[Any]):
    """A base fee that would be booked; below zero it goes back to who paid."""

    fee = serializers.CharField(source="key")
    timing = serializers.CharField()
    covers_from = InstantField(source="covers.start")
    covers_to = InstantField(source="covers.end")
    due_at = InstantField()
    amount = AmountField()


class PreviewSerializer(serializers.Serializer[Any]):
    """What a change would book at its time; nothing was booked."""

    at = InstantField()
    currency = serializers.CharField()
    fees = FeeLineSerializer(many=True)
    usage = AmountField()
    total = AmountField()
