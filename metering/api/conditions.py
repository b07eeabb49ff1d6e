"""A filter in a body. Its shape is checked where it is compiled: one set of errors for it everywhere."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from metering.aggregation.filters import OPS

SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["property", "op"],
        "properties": {
            "property": {"type": "string", "examples": ["usage.tokens"]},
            "op": {"type": "string", "enum": list(OPS)},
            "value": {},
        },
    },
}


@extend_schema_field(SCHEMA)
class ConditionsField(serializers.Field[Any, Any, Any, Any]):
    """Conditions, joined by AND."""

    def to_internal_value(self, data: Any) -> Any:
        """As it came."""
        return data

    def to_representation(self, value: Any) -> Any:
        """As it is stored."""
        return value
