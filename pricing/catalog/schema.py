"""The JSON Schema of plan files, so that an editor completes and checks them while they are written.

What the readers refuse by shape (a field that is missing, unknown or of the wrong type) the schema refuses
too; what takes arithmetic or another document (tiers that ascend, a meter that exists) only they know.
"""

from __future__ import annotations

from typing import Final

from pricing.catalog.entitlements import RESETS
from pricing.catalog.fees import AFTER_TRIAL, AT_START
from pricing.catalog.plans import DAYS_MAX, PRIORITY_MAX
from pricing.catalog.ramps import MONTHS_MAX, PHASES_MAX
from pricing.catalog.schema_components import COMPONENT, COMPONENT_CHANGE
from pricing.catalog.schema_sections import COST_RATE, COUPON, FEATURE, METER
from pricing.catalog.schema_shapes import (
    CURRENCY,
    DAY,
    KEY,
    NAME,
    NAMES,
    PERCENT,
    POSITIVE_PRICE,
    PRICE,
    QUANTITY,
    Schema,
    choice,
    count,
    flag,
    items,
    mapping,
    one_of,
    record,
    reference,
    said,
)
from pricing.cycles import Interval
from pricing.rating.base_fees import TIMINGS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
INTERVALS: Final = tuple(interval.value for interval in Interval)
FEE_FIELDS: Final[dict[str, Schema]] = {
    "key": KEY,
    "amount": said(PRICE, "A fixed amount a period."),
    "unit_amount": said(PRICE, "Instead of amount: per unit of a quantity that the subscription keeps."),
    "quantity": said(QUANTITY, "The quantity of subscriptions that keep none; 1 when left out."),
    "timing": choice(*TIMINGS),
    "prorate": flag(),
}
CREDIT_FIELDS: Final[dict[str, Schema]] = {
    "key": KEY,
    "amount": POSITIVE_PRICE,
    "every": choice(*INTERVALS),
    "priority": count(0, PRIORITY_MAX),
    "rollover": said(PRICE, "At most so much of what is left stays."),
}
ENTITLEMENT_FIELDS: Final[dict[str, Schema]] = {
    "feature": KEY,
    "type": choice("boolean", "limit", "metered"),
    "value": flag(),
    "limit": {"anyOf": [count(0), QUANTITY]},
    "meter": KEY,
    "reset": choice(*RESETS),
}
ABOUT: Final = said(KEY, "The calls that it is about: those that this meter hears.")
METERED: Final = ENTITLEMENT_FIELDS | {"type": {"const": "metered"}, "limit": QUANTITY}
ENTITLEMENT: Final[Schema] = {
    "oneOf": [
        record(
            {"feature": KEY, "type": {"const": "boolean"}, "value": flag(), "meter": ABOUT},
            "feature",
            "type",
            "value",
        ),
        record(
            {"feature": KEY, "type": {"const": "limit"}, "limit": count(0), "meter": ABOUT},
            "feature",
            "type",
            "limit",
        ),
        record(
            {name: schema for name, schema in METERED.items() if name != "value"},
            "feature",
            "type",
            "limit",
            "meter",
        ),
    ]
}
DEFINITIONS: Final[dict[str, Schema]] = {
    "base_fee": one_of(
        FEE_FIELDS, ("key",), (("amount",), ("unit_amount", "quantity")), (("unit_amount",), ("amount",))
    ),
    "one_off_fee": record(
        {"key": KEY, "amount": PRICE, "due": choice(AT_START, AFTER_TRIAL)}, "key", "amount"
    ),
    "component": COMPONENT,
    "component_change": COMPONENT_CHANGE,
    "credit": record(CREDIT_FIELDS, "key", "amount"),
    "entitlement": ENTITLEMENT,
    "overrides": record(
        {
            "components": mapping(reference("component_change")),
            "base_fees": mapping(record(FEE_FIELDS)),
            "credits": mapping(record(CREDIT_FIELDS)),
            "entitlements": mapping(record(ENTITLEMENT_FIELDS)),
            "discounts": items(record({"percent": PERCENT, "components": NAMES}, "percent")),
            "minimum_spend": PRICE,
        }
    )
    | {"minProperties": 1},
    "phase": one_of(
        {
            "after_months": said(count(1, MONTHS_MAX), "After a subscription came to the plan."),
            "starts_on": said(DAY, "Instead of after_months: from the payer's midnight of this date on."),
            "overrides": reference("overrides"),
        },
        ("overrides",),
        (("after_months",), ("starts_on",)),
        (("starts_on",), ("after_months",)),
    ),
}
PLAN_FIELDS: Final[dict[str, Schema]] = {
    "plan": said(KEY, "The plan's key."),
    "currency": CURRENCY,
    "family": said(KEY, "Groups the plans of one product."),
    "name": NAME,
    "interval": choice(*INTERVALS),
    "anchor": choice("calendar", "subscription"),
    "proration": choice("second", "day"),
    "base_fees": items(reference("base_fee")),
    "one_off_fees": items(reference("one_off_fee")),
    "components": items(reference("component")),
    "credits": items(reference("credit")),
    "minimum_spend": said(PRICE, "Base fees and usage after discounts come to at least this, per period."),
    "entitlements": items(reference("entitlement")),
    "margin_floor": record(
        {"min_margin": PRICE, "min_volume": PRICE, "action": choice("notify", "deny")}, "min_margin"
    ),
    "trial": record({"days": count(0, DAYS_MAX)}),
    "payment_terms": record({"net_days": count(0, DAYS_MAX)}),
    "ramps": items(reference("phase")) | {"maxItems": PHASES_MAX},
}
PLAN: Final = record(PLAN_FIELDS, "plan", "currency")
SECTION_FIELDS: Final[dict[str, Schema]] = {
    "meters": items(reference("meter")),
    "features": items(reference("feature")),
    "cost_rates": items(reference("cost_rate")),
    "coupons": items(reference("coupon")),
    "plans": items(reference("plan")),
}


def plan_file_schema() -> Schema:
    """The schema of one document of a plan file: a plan, or sections, or both. Draft 2020-12."""
    document = record(PLAN_FIELDS | SECTION_FIELDS)
    document["properties"] |= {"plan": PLAN_FIELDS["plan"], "currency": PLAN_FIELDS["currency"]}
    sections = {"meter": METER, "feature": FEATURE, "cost_rate": COST_RATE, "coupon": COUPON, "plan": PLAN}
    return {
        "$schema": DIALECT,
        "title": "Tollgate plan file",
        "description": "A plan, sections (meters, features, cost_rates, coupons, plans), or both.",
        **document,
        "minProperties": 1,
        "if": {"anyOf": [{"required": [name]} for name in PLAN_FIELDS]},
        "then": {"required": ["plan", "currency"]},
        "$defs": DEFINITIONS | sections,
    }
