"""`/v1/coupons`: discounts that subscriptions redeem."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantField
from core.api.fields import AmountField, InstantField
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable
from core.api.serializers import ShownSerializer, StrictSerializer
from core.errors import NotFound
from core.ids import row_id
from pricing.coupons import create_coupon, redeem_coupon
from pricing.models import Coupon, CouponRedemption, Subscription


class CouponSerializer(ShownSerializer):
    """A coupon, and how often it was redeemed."""

    key = serializers.CharField()
    name = serializers.CharField()
    percent = AmountField(allow_null=True)
    amount = AmountField(allow_null=True)
    currency = serializers.CharField(allow_blank=True)
    periods = serializers.IntegerField(allow_null=True)
    max_redemptions = serializers.IntegerField(allow_null=True)
    redemptions = serializers.IntegerField()
    redeem_before = InstantField(allow_null=True)
    components = serializers.ListField(child=serializers.CharField())
    plans = serializers.ListField(child=serializers.CharField())
    created_at = InstantField()


class CouponInput(StrictSerializer):
    """A coupon as the section `coupons` of a plan file has it: percent, or amount and currency."""

    key = serializers.CharField()
    name = serializers.CharField(required=False)
    percent = AmountField(required=False)
    amount = AmountField(required=False)
    currency = serializers.CharField(required=False)
    periods = serializers.IntegerField(required=False, min_value=1)
    max_redemptions = serializers.IntegerField(required=False, min_value=1)
    redeem_before = InstantField(required=False)
    components = serializers.ListField(child=serializers.CharField(), required=False)
    plans = serializers.ListField(child=serializers.CharField(), required=False)


class RedemptionInput(StrictSerializer):
    """Which subscription takes the coupon."""

    subscription = TenantField(Subscription, prefix="sub")


class RedemptionSerializer(ShownSerializer):
    """A coupon on a subscription, from the period that runs at `redeemed_at` on."""

    coupon = IdField(prefix="cpn", source="coupon_id")
    customer = IdField(prefix="cus", source="customer_id")
    subscription = IdField(prefix="sub", source="subscription_id")
    redeemed_at = InstantField()


class CouponFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which coupons."""

    key = django_filters.CharFilter()


class CouponResource(Listable, Readable, Creatable):
    """Coupons; one is named by its id or its key."""

    prefix, noun = "cpn", "coupons"
    queryset = Coupon.objects.all()
    serializer_class = CouponSerializer
    input_class = CouponInput
    filterset_class = CouponFilters

    def get_object(self) -> Coupon:
        """The coupon that the path names."""
        return _find_coupon(self.get_queryset(), self.kwargs[self.lookup_field])

    def represent(self, row: Any) -> Any:
        """A coupon, or what redeeming one made."""
        if isinstance(row, CouponRedemption):
            return RedemptionSerializer(row).data
        return super().represent(row)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Make one. With an Idempotency-Key header, a repetition gets the first answer."""
        return self.write(
            "create",
            lambda: create_coupon(request.data),
            input_class=CouponInput,
            answer_status=status.HTTP_201_CREATED,
        )

    @extend_schema(request=RedemptionInput, responses={201: RedemptionSerializer})
    @action(detail=True, methods=["post"])
    def redeem(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Put the coupon on a subscription, once and as often as the coupon allows."""
        return self.write("redeem", self._redeem, answer_status=status.HTTP_201_CREATED)

    def _redeem(self) -> CouponRedemption:
        subscription = self.written(RedemptionInput)["subscription"]
        return redeem_coupon(subscription, self.get_object().key)


def _find_coupon(rows: QuerySet[Coupon], reference: str) -> Coupon:
    try:
        found = rows.filter(pk=row_id("cpn", reference)).first()
    except NotFound:
        found = None
    if found is None and "\x00" not in reference:
        found = rows.filter(key=reference).first()
    if found is None:
        raise NotFound("not_found", f"There is no coupon {reference[:80]!r}.")
    return found
