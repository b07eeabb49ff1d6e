"""`/v1/currencies`"""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from accounts.api.tenants import TenantResource
from accounts.currencies import DECIMALS_MAX, change_currency, create_currency
from accounts.models import Currency
from core.api.fields import AmountField, InstantField, TextField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import StrictSerializer
from core.errors import NotFound


class CurrencySerializer(serializers.Serializer[Any]):
    """A unit of credits; one costs `price` of `price_currency`."""

    code = serializers.CharField()
    name = serializers.CharField()
    decimals = serializers.IntegerField()
    price = AmountField()
    price_currency = serializers.CharField()
    created_at = InstantField()


class CurrencyChange(StrictSerializer):
    """What may change about a unit of credits."""

    name = TextField(max_length=100)
    price = AmountField()
    price_currency = TextField(max_length=3)


class CurrencyInput(CurrencyChange):
    """A unit of credits to be: a code like CREDITS, and its decimals."""

    code = TextField(max_length=12)
    decimals = serializers.IntegerField(min_value=0, max_value=DECIMALS_MAX, default=0)


class CurrencyResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Currencies: the operator's own units of credits. ISO money needs no entry."""

    model, prefix, noun = Currency, "", "currencies"
    serializer_class = CurrencySerializer
    input_class, change_class = CurrencyInput, CurrencyChange
    ordering = ("pk",)

    def get_object(self) -> Currency:
        """The unit with the code in the path."""
        code = self.kwargs[self.lookup_field]
        found = None if "\x00" in code else self.get_queryset().filter(pk=code).first()
        if found is None:
            raise NotFound("not_found", "There is no such unit of credits.")
        unit: Currency = found
        return unit

    def perform_create(self, values: dict[str, Any]) -> Currency:
        """Create one."""
        return create_currency(**values)

    def perform_change(self, row: Currency, values: dict[str, Any]) -> Currency:
        """Change it."""
        return change_currency(row, **values)
