"""Usage as callers of a preview write it: a quantity, events, or quantities by dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from core.errors import InvalidRequest
from core.numbers import ONE, ZERO, parse_price, parse_quantity
from pricing.rating.component import Component
from pricing.rating.fields import Fields
from pricing.rating.groups import dimension_text
from pricing.rating.models.cost_plus import CostPlus
from pricing.rating.models.matrix import Matrix
from pricing.rating.state import NO_DIMENSIONS, Usage

FORMS: Final = ("quantity", "events", "by_dimensions")


class Entry(NamedTuple):
    """One usage, and the path at which it stands."""

    usage: Usage
    path: str


class Reading(NamedTuple):
    """What a component used, in order, and what it had used before, if that stands in the same value."""

    entries: list[Entry]
    previous: list[Entry] | None


NOTHING: Final = Reading([], None)


def read_usage(raw: object, path: str, components: Mapping[str, Component]) -> dict[str, Reading]:
    """Usage by component key; a key without a component is an error. Raises InvalidRequest."""
    if raw is None:
        return {}
    fields = Fields(raw, path)
    readings: dict[str, Reading] = {}
    for key in fields.keys():  # noqa: SIM118 (Fields is not a dict)
        if key not in components:
            known = ", ".join(components) or "none"
            raise fields.error(key, "unknown_component", f"is no component; the keys are: {known}")
        value = Fields(fields.value(key), fields.path_to(key))
        previous = value.value("previous")
        entries = _read_entries(value, components[key])
        if previous is None:
            readings[key] = Reading(entries, None)
        else:
            before = Fields(previous, value.path_to("previous"))
            readings[key] = Reading(entries, _read_entries(before, components[key]))
    return readings


def _read_entries(fields: Fields, component: Component) -> list[Entry]:
    forms = [form for form in FORMS if fields.has(form)]
    if len(forms) != 1:
        message = f"{fields.path} must have exactly one of: {', '.join(FORMS)}."
        raise InvalidRequest("invalid_value", message, fields.path)
    fields.finish()
    if forms == ["quantity"]:
        return _read_quantity(fields, component)
    if forms == ["events"]:
        return [
            _read_event(event, f"{fields.path_to('events')}[{index}]", component)
            for index, event in enumerate(fields.items("events"))
        ]
    if isinstance(component.pricing, CostPlus):
        raise fields.error("by_dimensions", "not_applicable", "has no cost: use events, each with its cost")
    entries: list[Entry] = []
    for item in fields.objects("by_dimensions"):
        dimensions = _read_dimensions(item)
        entries.extend(_entries_of(item, dimensions))
        item.finish()
    return entries


def _read_quantity(fields: Fields, component: Component) -> list[Entry]:
    if isinstance(component.pricing, CostPlus):
        raise fields.error("quantity", "not_applicable", "has no cost: use events, each with its cost")
    if isinstance(component.pricing, Matrix):
        raise fields.error("quantity", "not_applicable", "has no dimensions: use events or by_dimensions")
    return _entries_of(fields, NO_DIMENSIONS)


def _entries_of(fields: Fields, dimensions: Mapping[str, str | None]) -> list[Entry]:
    """One entry for the field `quantity`; none for 0 and null, which are no usage."""
    if not fields.has("quantity"):
        raise fields.error("quantity", "required", "is missing")
    raw = fields.value("quantity")
    quantity = ZERO if raw is None else parse_quantity(raw, fields.path_to("quantity"))
    return [Entry(Usage(quantity, dimensions), fields.path)] if quantity else []


def _read_event(raw: Any, path: str, component: Component) -> Entry:
    if not isinstance(raw, Mapping):
        return Entry(Usage(parse_quantity(raw, path)), path)
    fields = Fields(raw, path)
    # An event that is priced by its cost alone counts as one unit.
    if isinstance(component.pricing, CostPlus) and fields.value("value") is None:
        value: Decimal = ONE
    else:
        value = parse_quantity(fields.required("value"), fields.path_to("value"))
    raw_cost = fields.value("cost")
    cost = None if raw_cost is None else parse_price(raw_cost, fields.path_to("cost"))
    dimensions = _read_dimensions(fields)
    fields.finish()
    return Entry(Usage(value, dimensions, cost), path)


def _read_dimensions(fields: Fields) -> Mapping[str, str | None]:
    raw = fields.value("dimensions")
    if raw is None:
        return NO_DIMENSIONS
    values = Fields(raw, fields.path_to("dimensions"))
    return {name: dimension_text(values.value(name), values.path_to(name)) for name in values.keys()}  # noqa: SIM118
