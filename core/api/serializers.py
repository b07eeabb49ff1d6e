"""The base of every serializer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from core.api.fields import AmountField, TextField


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt one would be lost without a word."""

    default_error_messages = {"invalid": "An object was expected."}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """The validated fields."""
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = sorted(str(name) for name in data.keys() - known)
            if unknown:
                raise serializers.ValidationError({unknown[0]: [_unknown(unknown[0], known)]})
        values: dict[str, Any] = super().to_internal_value(data)
        return values

    def decimal_fields(self) -> set[str]:
        """The names of the fields whose texts are numbers."""
        return {name for name, field in self.fields.items() if isinstance(field, AmountField)}


class NamedSerializer(StrictSerializer):
    """What has a name and may have the operator's own id; a name left out is that id."""

    name = TextField(required=False)
    external_id = TextField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The values, with a name when the row is new."""
        if "name" not in attrs and not self.partial:
            if not attrs.get("external_id"):
                raise serializers.ValidationError({"name": ErrorDetail("A name is required.", "required")})
            attrs["name"] = attrs["external_id"]
        return attrs


class ShownSerializer(serializers.Serializer[Any]):
    """What every shown object begins with."""

    id = serializers.CharField(source="public_id", read_only=True)


def _unknown(name: str, known: set[str]) -> ErrorDetail:
    sentence = f"There is no field {name[:80]!r} here; there are {', '.join(sorted(known)) or 'none'}."
    return ErrorDetail(sentence, "unknown_field")
