"""The schema of what stands beside plans in their files: meters, features, cost rates, coupons."""

from __future__ import annotations

from typing import Final

from metering.aggregation.filters import OPS
from metering.aggregation.kinds import AGGREGATIONS
from pricing.catalog.coupons import COUNT_MAX, PERIODS_MAX
from pricing.catalog.entitlements import TYPES
from pricing.catalog.meters import LATE_POLICIES
from pricing.catalog.schema_shapes import (
    CURRENCY,
    INSTANT,
    KEY,
    NAME,
    NAMES,
    PERCENT,
    POSITIVE_PRICE,
    PRICE,
    Schema,
    choice,
    count,
    flag,
    items,
    one_of,
    record,
    said,
)

PATH: Final[Schema] = {"type": "string", "pattern": r"^[^.]+(\.[^.]+)*$"}
SCALAR: Final[Schema] = {"type": ["string", "integer", "boolean"]}
COMPARING: Final = tuple(op for op in OPS if op not in ("exists", "in", "not_in"))
CONDITION: Final[Schema] = {
    "oneOf": [
        record({"property": PATH, "op": {"const": "exists"}, "value": flag()}, "property", "op"),
        record(
            {"property": PATH, "op": choice("in", "not_in"), "value": items(SCALAR)},
            "property",
            "op",
            "value",
        ),
        record({"property": PATH, "op": choice(*COMPARING), "value": SCALAR}, "property", "op", "value"),
    ]
}
METER: Final[Schema] = record(
    {
        "key": KEY,
        "name": NAME,
        "event": NAME,
        "aggregation": choice(*AGGREGATIONS),
        "property": said(PATH, "A dotted path into the event's properties; not for count."),
        "filter": items(CONDITION),
        "group_by": said(items(PATH), "Dimensions that are kept in usage."),
        "unit": {"type": "string", "maxLength": 40},
        "late_policy": said(choice(*LATE_POLICIES), "For usage that arrives after its period was closed."),
        "carry_over": flag(),
    },
    "key",
    "event",
    "aggregation",
) | {
    "if": {"properties": {"aggregation": {"const": "count"}}},
    "else": {"required": ["property"], "properties": {"property": {"type": "string"}}},
}
FEATURE: Final = record({"key": KEY, "name": NAME, "type": choice(*TYPES)}, "key", "type")
COST_RATE: Final = record(
    {
        "vendor": {"type": "string", "minLength": 1, "maxLength": 100},
        "event": NAME,
        "property": said(PATH, "Per unit of this property; left out: per event."),
        "filter": items(CONDITION),
        "unit_cost": PRICE,
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "starts_at": INSTANT,
        "ends_at": INSTANT,
    },
    "vendor",
    "event",
    "unit_cost",
    "currency",
    "starts_at",
)
COUPON: Final = one_of(
    {
        "key": KEY,
        "name": NAME,
        "percent": PERCENT,
        "amount": said(POSITIVE_PRICE, "Instead of percent: at most so much of each period."),
        "currency": CURRENCY,
        "periods": said(count(1, PERIODS_MAX), "In so many billing periods; left out: in all."),
        "max_redemptions": count(1, COUNT_MAX),
        "redeem_before": INSTANT,
        "components": said(NAMES, "The lines that it applies to, by key; left out: all."),
        "plans": said(NAMES, "The plans on which it may be redeemed, by key; left out: all."),
    },
    ("key",),
    (("percent",), ("amount", "currency")),
    (("amount", "currency"), ("percent",)),
)
