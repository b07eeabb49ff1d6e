"""Meters in plan files: what `manage.py aggregate` takes, with a key, a name and a policy for late events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from core.errors import InvalidRequest
from metering.aggregation import MeterDefinition, parse_meter
from pricing.catalog.keys import optional_choice, optional_name, read_key
from pricing.rating.fields import Fields

LATE_POLICIES: Final = ("delta_line", "note", "absorb")
_UNIT_LENGTH_MAX: Final = 40
_DEFINITION: Final = ("event", "aggregation", "property", "filter", "group_by", "carry_over")


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """A meter as a file defines it. What it counts is `definition`, written as `document`."""

    key: str
    name: str
    unit: str
    late_policy: str
    definition: MeterDefinition
    document: dict[str, Any]


def read_meter(raw: object, path: str) -> MeterSpec:
    """An entry of the section `meters`; raises InvalidRequest."""
    fields = Fields(raw, path)
    key = read_key(fields, "key")
    name = optional_name(fields, "name", key)
    late_policy = optional_choice(fields, "late_policy", LATE_POLICIES, "delta_line")
    unit = "" if fields.value("unit") in (None, "") else fields.name("unit")
    document = {field: fields.value(field) for field in _DEFINITION if fields.value(field) is not None}
    fields.finish()
    try:
        definition = parse_meter(document)
    except InvalidRequest as error:
        raise error.within(path) from None
    if len(unit) > _UNIT_LENGTH_MAX:
        raise fields.error("unit", "invalid_value", f"may have at most {_UNIT_LENGTH_MAX} characters")
    return MeterSpec(key, name, unit, late_policy, definition, document)
