"""`/v1/vendor-bills`: what vendors asked for a month, spread over the calls that it belongs to."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from accounts.scoping import viewer_of, visible
from billing.models import VendorBill, VendorBillShare
from billing.vendor_bills import begin_bill, load_bill
from billing.vendor_bills.verbs import unattributed
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import IdField, find_referenced
from core.api.resources import Creatable, Listable, Readable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer
from core.ids import public_id

MONTH: Final = re.compile(r"(?P<year>[0-9]{4})-(?P<month>0[1-9]|1[0-2])")


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{4}-(0[1-9]|1[0-2])$", "examples": ["2026-01"]})
class MonthField(serializers.Field[date, Any, str, Any]):
    """A month: 2026-01."""

    default_error_messages = {"invalid": "A month such as 2026-01 was expected."}

    def to_internal_value(self, data: Any) -> date:
        """Its first day."""
        found = MONTH.fullmatch(data) if isinstance(data, str) else None
        if found is None or found["year"] == "0000":
            self.fail("invalid")
        assert found is not None
        return date(int(found["year"]), int(found["month"]), 1)

    def to_representation(self, value: date) -> str:
        """As it is written."""
        return f"{value:%Y-%m}"


class VendorBillInput(StrictSerializer):
    """A vendor's bill. `total` null: takes back the one before it. `model`: the bill is of this model alone.

    `not_usage`: the part of it that is for no customer's call. `max_uplift` 0.25: at most a quarter of what
    was booked is spread over the calls, the rest stays unattributed.
    """

    vendor = TextField(max_length=100)
    month = MonthField()
    currency = TextField(max_length=3)
    total = AmountField(min_value=Decimal(0), allow_null=True)
    model = TextField(required=False)
    not_usage = AmountField(min_value=Decimal(0), required=False)
    max_uplift = AmountField(min_value=Decimal(0), required=False, allow_null=True)
    reference = TextField(required=False)


class VendorBillSerializer(ShownSerializer):
    """A bill: previewed, then applied once. booked + spread + unattributed = total.

    `left_out`: calls whose cost no exchange rate brings into the bill's currency.
    """

    vendor = serializers.CharField()
    month = MonthField()
    model = serializers.CharField()
    currency = serializers.CharField()
    total = AmountField(allow_null=True)
    not_usage = AmountField()
    max_uplift = AmountField(allow_null=True)
    reference = serializers.CharField()
    status = serializers.ChoiceField(VendorBill.Status.choices)
    booked = AmountField()
    spread = AmountField()
    unattributed = serializers.SerializerMethodField()
    calls = serializers.IntegerField()
    left_out = serializers.IntegerField()
    supersedes = IdField(prefix="vb", source="supersedes_id")
    created_at = InstantField()
    created_by = serializers.CharField()
    applied_at = InstantField(allow_null=True)
    applied_by = serializers.CharField()

    @extend_schema_field(AmountField(allow_null=True))
    def get_unattributed(self, row: VendorBill) -> str | None:
        """What no call explains."""
        rest = unattributed(row)
        return None if rest is None else AmountField().to_representation(rest)


class VendorBillFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?vendor=`, `?status=`, `?model=`."""

    vendor = django_filters.CharFilter()
    model = django_filters.CharFilter()
    status = django_filters.ChoiceFilter(choices=VendorBill.Status.choices)


class VendorBillResource(Listable, Readable, Creatable):
    """Vendors' bills."""

    prefix, noun = "vb", "vendor_bills"
    queryset = VendorBill.objects.all()
    serializer_class = VendorBillSerializer
    input_class = VendorBillInput
    filterset_class = VendorBillFilters

    def perform_create(self, values: dict[str, Any]) -> VendorBill:
        """Load a bill and work out its preview; no margin moves before it is applied."""
        return load_bill(**values, by=actor_of(self.request) or "")

    @extend_schema(request=None, responses=VendorBillSerializer)
    @action(detail=True, methods=["post"])
    def apply(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Spread it, once, in place of the bill before it. Look at it again until its status is `applied`."""
        by = actor_of(request) or ""
        return self.write("apply", lambda: begin_bill(self.get_object(), by=by))


class VendorBillShareSerializer(serializers.Serializer[VendorBillShare]):
    """A payer's part of a bill, in the bill's currency: `amount` is to be added to what was booked."""

    customer = serializers.SerializerMethodField()
    billing_entity = serializers.SerializerMethodField()
    calls = serializers.IntegerField()
    booked = AmountField()
    amount = AmountField()
    spread = AmountField()
    applied_at = InstantField(allow_null=True)

    def get_customer(self, row: VendorBillShare) -> str:
        """Whose it is."""
        return public_id("cus", row.customer_id)

    def get_billing_entity(self, row: VendorBillShare) -> str:
        """Who pays."""
        return public_id("be", row.billing_entity_id)


class VendorBillShareFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Whose shares."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")


class VendorBillShareResource(Listable, TenantResource):
    """How a bill is divided among payers: its preview, and what became of it."""

    model, prefix, noun = VendorBillShare, "vb", "vendor_bill_shares"
    serializer_class = VendorBillShareSerializer
    filterset_class = VendorBillShareFilters

    def get_queryset(self) -> QuerySet[Any]:
        """Those of the bill that the path names."""
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        bill = find_referenced(visible(VendorBill, viewer_of(self.request)), "vb", self.kwargs["id"])
        return rows.filter(bill=bill)
