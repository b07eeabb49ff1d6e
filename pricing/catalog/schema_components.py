"""The schema of a plan's components: one shape per model, as the rating engine reads them."""

from __future__ import annotations

from typing import Final

from pricing.catalog.schema_shapes import (
    KEY,
    NAMES,
    PERCENT,
    POSITIVE_QUANTITY,
    PRICE,
    QUANTITY,
    Schema,
    choice,
    count,
    flag,
    items,
    or_null,
    record,
    said,
)
from pricing.rating.models import EVENT_MODELS, MODEL_NAMES

VALUE: Final[Schema] = {"type": ["string", "integer", "boolean", "null"]}
UP_TO: Final = or_null(said(QUANTITY, "Up to here and including it; null in the last tier."))
ROUNDING: Final = record({"mode": choice("up", "down", "half_up"), "to": POSITIVE_QUANTITY}, "mode")
CELL: Final = record(
    {
        "match": {"type": "object", "minProperties": 1, "additionalProperties": VALUE},
        "unit_price": PRICE,
    },
    "match",
    "unit_price",
)


def _tiers(price: str) -> Schema:
    tier = record({"up_to": UP_TO, price: PRICE, "flat_fee": PRICE}, "up_to", price)
    return items(tier) | {"minItems": 1}


TIERS: Final = {"tiers": _tiers("unit_price")}
PARAMETERS: Final[dict[str, tuple[dict[str, Schema], tuple[str, ...]]]] = {
    "per_unit": ({"unit_price": PRICE}, ("unit_price",)),
    "graduated": (TIERS, ("tiers",)),
    "volume": (TIERS, ("tiers",)),
    "package": (
        {"package_size": POSITIVE_QUANTITY, "package_price": PRICE},
        ("package_size", "package_price"),
    ),
    "percentage": (
        {
            "rate": said(PRICE, 'A share of each transaction, such as "0.029".'),
            "fixed_fee": PRICE,
            "free_transactions": count(0),
            "free_amount": PRICE,
            "min_per_transaction": PRICE,
            "max_per_transaction": PRICE,
        },
        ("rate",),
    ),
    "graduated_percentage": ({"tiers": _tiers("rate")}, ("tiers",)),
    "matrix": (
        {
            "dimensions": NAMES | {"minItems": 1},
            "cells": items(CELL) | {"minItems": 1},
            "default_unit_price": PRICE,
        },
        ("dimensions", "cells"),
    ),
    "cost_plus": ({"markup": said(PRICE, 'On vendors\' cost, such as "0.3".')}, ("markup",)),
}
"""Each model's parameters, and which of them it must have."""

MODIFIERS: Final[dict[str, Schema]] = {
    "group_by": said(NAMES, "Dimensions whose every combination is rated on its own."),
    "discount_percent": PERCENT,
    "maximum": PRICE,
    "minimum": PRICE,
    "bill_zero_usage": flag(),
}
QUANTITY_MODIFIERS: Final[dict[str, Schema]] = {
    "included": said(QUANTITY, "So many units are free."),
    "quantity_rounding": ROUNDING,
}


def _component(model: str) -> Schema:
    parameters, required = PARAMETERS[model]
    fields = {"key": KEY, "meter": KEY, "model": {"const": model}, **parameters, **MODIFIERS}
    if model in EVENT_MODELS:
        shape = record(fields, "key", "meter", "model", *required)
        shape["properties"] |= {name: {"type": "null"} for name in QUANTITY_MODIFIERS}
        return shape
    return record(fields | QUANTITY_MODIFIERS, "key", "meter", "model", *required)


def _change() -> Schema:
    fields: dict[str, Schema] = {"key": KEY, "meter": KEY, "model": choice(*MODEL_NAMES)}
    for parameters, _ in PARAMETERS.values():
        fields |= {name: schema for name, schema in parameters.items() if name != "tiers"}
    either = {"anyOf": [*(PARAMETERS[model][0]["tiers"] for model in ("graduated", "graduated_percentage"))]}
    return record(fields | {"tiers": either} | MODIFIERS | QUANTITY_MODIFIERS)


COMPONENT: Final[Schema] = {"oneOf": [_component(model) for model in MODEL_NAMES]}
COMPONENT_CHANGE: Final = _change()
"""What an override may change of a component, or all of a new one."""
