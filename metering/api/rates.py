"""`/v1/cost-rates` and `/v1/exchange-rates`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import django_filters
from rest_framework import serializers

from core.api.fields import AmountField, InstantField, TextField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import StrictSerializer
from core.ids import public_id
from metering.api.conditions import ConditionsField
from metering.models import CostRate, ExchangeRate
from metering.rates import create_cost_rate, create_exchange_rate, end_cost_rate


class CostRateInput(StrictSerializer):
    """A new cost rate. Without `property` it is per event."""

    vendor = TextField(max_length=100)
    event = TextField()
    property = TextField(source="property_path", required=False, allow_null=True)
    filter = ConditionsField(source="conditions", required=False)
    unit_cost = AmountField(min_value=Decimal(0))
    currency = TextField(max_length=3)
    starts_at = InstantField()
    ends_at = InstantField(required=False, allow_null=True)


class CostRateChange(StrictSerializer):
    """Only the end may change: costs were computed from the rest."""

    ends_at = InstantField(allow_null=True)


class CostRateSerializer(serializers.Serializer[CostRate]):
    """A cost rate as the API shows it."""

    id = serializers.SerializerMethodField()
    vendor = serializers.CharField()
    event = serializers.CharField()
    property = serializers.CharField(source="property_path", allow_null=True)
    filter = ConditionsField()
    unit_cost = AmountField()
    currency = serializers.CharField()
    starts_at = InstantField()
    ends_at = InstantField(allow_null=True)
    created_at = InstantField()

    def get_id(self, row: CostRate) -> str:
        """The public id."""
        return public_id("cr", row.pk)


class CostRateFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?vendor=`, `?event=`."""

    vendor = django_filters.CharFilter()
    event = django_filters.CharFilter()


class CostRateResource(Listable, Readable, Creatable, Changeable):
    """What vendors take per unit of an event's property."""

    prefix = "cr"
    noun = "cost_rates"
    queryset = CostRate.objects.all()
    serializer_class = CostRateSerializer
    input_class = CostRateInput
    change_class = CostRateChange
    filterset_class = CostRateFilter

    def perform_create(self, values: dict[str, Any]) -> CostRate:
        """Make a rate."""
        return create_cost_rate(**values)

    def perform_change(self, row: CostRate, values: dict[str, Any]) -> CostRate:
        """Give it another end."""
        return end_cost_rate(row, **values) if values else row


class ExchangeRateInput(StrictSerializer):
    """A new exchange rate: from `starts_at` on, one unit of `base` is worth `rate` of `quote`."""

    base = TextField(max_length=12)
    quote = TextField(max_length=12)
    rate = AmountField()
    starts_at = InstantField()


class ExchangeRateSerializer(serializers.Serializer[ExchangeRate]):
    """An exchange rate as the API shows it."""

    id = serializers.SerializerMethodField()
    base = serializers.CharField()
    quote = serializers.CharField()
    rate = AmountField()
    starts_at = InstantField()
    created_at = InstantField()

    def get_id(self, row: ExchangeRate) -> str:
        """The public id."""
        return public_id("er", row.pk)


class ExchangeRateFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?base=`, `?quote=`."""

    base = django_filters.CharFilter()
    quote = django_filters.CharFilter()


class ExchangeRateResource(Listable, Readable, Creatable):
    """Rates between currencies, for costs and reports. A rate is never changed: a later one takes over."""

    prefix = "er"
    noun = "exchange_rates"
    queryset = ExchangeRate.objects.all()
    serializer_class = ExchangeRateSerializer
    input_class = ExchangeRateInput
    filterset_class = ExchangeRateFilter

    def perform_create(self, values: dict[str, Any]) -> ExchangeRate:
        """Make a rate."""
        return create_exchange_rate(**values)
