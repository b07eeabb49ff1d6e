"""Serializer fields as strict as the formats: a text is a text, an amount a quoted number."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.errors import InvalidRequest
from core.instants import instant_text, parse_instant
from core.numbers import parse_price, parse_quantity, plain
from core.texts import is_forbidden

DECIMAL_SCHEMA: Final = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["12.5"]}


class TextField(serializers.CharField):
    """A text; a number or a boolean is not one. Space around it is kept out, control characters too."""

    default_error_messages = {
        "invalid": "A text was expected.",
        "control": "Control characters are not allowed.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"max_length": 200} | kwargs))

    def to_internal_value(self, data: Any) -> str:
        """The text without space around it."""
        if not isinstance(data, str):
            self.fail("invalid")
        text: str = super().to_internal_value(data)
        if any(map(is_forbidden, text)):
            self.fail("control")
        return text


class BooleanField(serializers.BooleanField):
    """true or false, not a text that means one of them."""

    def to_internal_value(self, data: Any) -> bool:
        """The boolean."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field(DECIMAL_SCHEMA)
class AmountField(serializers.Field[Decimal, Any, str, Any]):
    """Money or credits in a string: at most 20 digits before the point and 18 after it."""

    default_error_messages = {"min_value": "This may not be below {min_value}."}

    def __init__(self, *, min_value: Decimal | None = None, **kwargs: Any) -> None:
        self.min_value = min_value
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        """The exact number."""
        value = self._parse(data)
        if self.min_value is not None and value < self.min_value:
            self.fail("min_value", min_value=plain(self.min_value))
        return value

    def to_representation(self, value: Decimal) -> str:
        """Plain notation."""
        return plain(value)

    def _parse(self, data: Any) -> Decimal:
        try:
            return parse_price(data, self.field_name or "amount")
        except InvalidRequest as error:
            raise serializers.ValidationError(error.message, error.code) from error


class QuantityField(AmountField):
    """A quantity in a string: at most 20 digits before the point and 12 after it."""

    def _parse(self, data: Any) -> Decimal:
        try:
            return parse_quantity(data, self.field_name or "quantity")
        except InvalidRequest as error:
            raise serializers.ValidationError(error.message, error.code) from error


@extend_schema_field({"type": "string", "format": "date-time"})
class InstantField(serializers.Field[datetime, Any, str, Any]):
    """An instant with an offset."""

    def to_internal_value(self, data: Any) -> datetime:
        """The instant in UTC."""
        try:
            return parse_instant(data)
        except InvalidRequest as error:
            raise serializers.ValidationError(error.message, error.code) from error

    def to_representation(self, value: datetime) -> str:
        """ISO 8601 in UTC."""
        return instant_text(value)
