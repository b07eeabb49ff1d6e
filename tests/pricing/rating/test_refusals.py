"""Everything that is wrong with a document is refused with a code and the path of the value."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from core.errors import InvalidRequest
from pricing.rating import preview, read_component

Refusal = Callable[[Any], tuple[str, str | None]]
LAST = {"up_to": None, "unit_price": "1"}
PER_UNIT = {"model": "per_unit", "unit_price": "1"}
PACKAGE = {"model": "package", "package_size": "10", "package_price": "1"}
PERCENTAGE = {"model": "percentage", "rate": "0.1"}
COST_PLUS = {"model": "cost_plus", "markup": "0.1"}
MATRIX: dict[str, Any] = {
    "model": "matrix",
    "dimensions": ["m"],
    "cells": [{"match": {"m": "a"}, "unit_price": "1"}],
}


def tiered(*tiers: Any, model: str = "graduated") -> dict[str, Any]:
    return {"model": model, "tiers": list(tiers)}


@pytest.mark.parametrize(
    ("component", "code", "where"),
    [
        # what has to be there
        ({}, "required", "model"),
        ({"model": "per_unit"}, "required", "unit_price"),
        ({"model": "per_unit", "unit_price": None}, "required", "unit_price"),
        ({"model": "graduated"}, "required", "tiers"),
        ({"model": "package", "package_price": "1"}, "required", "package_size"),
        ({"model": "package", "package_size": "1"}, "required", "package_price"),
        ({"model": "percentage"}, "required", "rate"),
        ({"model": "cost_plus"}, "required", "markup"),
        ({"model": "matrix", "cells": []}, "required", "dimensions"),
        ({"model": "matrix", "dimensions": ["m"]}, "required", "cells"),
        ({"model": "matrix", "dimensions": ["m"], "cells": []}, "required", "cells"),
        (tiered({"up_to": None}), "required", "tiers[0].unit_price"),
        (tiered({"unit_price": "1"}), "required", "tiers[0].up_to"),
        (tiered({"up_to": None, "rate": "1", "unit_price": "1"}), "unknown_key", "tiers[0].rate"),
        (tiered(LAST, model="graduated_percentage"), "required", "tiers[0].rate"),
        (PER_UNIT | {"quantity_rounding": {"to": "1"}}, "required", "quantity_rounding.mode"),
        (MATRIX | {"cells": [{"unit_price": "1"}]}, "required", "cells[0].match"),
        (MATRIX | {"cells": [{"match": {"m": "a"}}]}, "required", "cells[0].unit_price"),
        (MATRIX | {"cells": [{"match": {}, "unit_price": "1"}]}, "required", "cells[0].match"),
        # numbers
        ({"model": "per_unit", "unit_price": 1}, "invalid_type", "unit_price"),
        ({"model": "per_unit", "unit_price": Decimal("0.1")}, "invalid_type", "unit_price"),
        ({"model": "per_unit", "unit_price": 0.1}, "invalid_type", "unit_price"),
        ({"model": "per_unit", "unit_price": True}, "invalid_type", "unit_price"),
        ({"model": "per_unit", "unit_price": ["1"]}, "invalid_type", "unit_price"),
        ({"model": "per_unit", "unit_price": ""}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "NaN"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "-Infinity"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "1e-3"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "1e40"}, "number_out_of_range", "unit_price"),
        ({"model": "per_unit", "unit_price": "1_000"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "1,5"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": " 1"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "1\n"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "+1"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "٣"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "0x1"}, "invalid_decimal", "unit_price"),
        ({"model": "per_unit", "unit_price": "-1"}, "negative_number", "unit_price"),
        ({"model": "per_unit", "unit_price": "1" + "0" * 20}, "number_out_of_range", "unit_price"),
        ({"model": "per_unit", "unit_price": "0." + "0" * 18 + "1"}, "number_out_of_range", "unit_price"),
        (PER_UNIT | {"included": "-1"}, "negative_number", "included"),
        (PER_UNIT | {"included": 5}, "invalid_type", "included"),
        (PER_UNIT | {"included": "0." + "0" * 12 + "1"}, "number_out_of_range", "included"),
        (PER_UNIT | {"included": "9" * 100_000}, "number_out_of_range", "included"),
        (tiered({"up_to": 1000, "unit_price": "1"}, LAST), "invalid_type", "tiers[0].up_to"),
        (tiered({"up_to": "-5", "unit_price": "1"}, LAST), "negative_number", "tiers[0].up_to"),
        (
            tiered({"up_to": None, "unit_price": "1", "flat_fee": "-5"}),
            "negative_number",
            "tiers[0].flat_fee",
        ),
        (PACKAGE | {"package_size": "0"}, "invalid_value", "package_size"),
        (PACKAGE | {"package_size": "-1"}, "negative_number", "package_size"),
        (PERCENTAGE | {"free_transactions": "1.5"}, "invalid_type", "free_transactions"),
        (PERCENTAGE | {"free_transactions": -1}, "invalid_type", "free_transactions"),
        (PERCENTAGE | {"free_transactions": True}, "invalid_type", "free_transactions"),
        (PERCENTAGE | {"free_transactions": 10**40}, "number_out_of_range", "free_transactions"),
        (
            PER_UNIT | {"quantity_rounding": {"mode": "up", "to": "0"}},
            "invalid_value",
            "quantity_rounding.to",
        ),
        (COST_PLUS | {"markup": "-0.1"}, "negative_number", "markup"),
        # tiers
        (tiered(), "invalid_value", "tiers"),
        ({"model": "volume", "tiers": {}}, "invalid_type", "tiers"),
        (tiered("1000"), "invalid_type", "tiers[0]"),
        (tiered({"up_to": "1000", "unit_price": "1"}), "invalid_value", "tiers[0].up_to"),
        (
            tiered({"up_to": "10", "unit_price": "1"}, {"up_to": "20", "unit_price": "1"}),
            "invalid_value",
            "tiers[1].up_to",
        ),
        (
            tiered({"up_to": "10", "unit_price": "1"}, {"up_to": "10.0", "unit_price": "1"}, LAST),
            "invalid_value",
            "tiers[1].up_to",
        ),
        (
            tiered({"up_to": "10", "unit_price": "1"}, {"up_to": "9", "unit_price": "1"}, LAST),
            "invalid_value",
            "tiers[1].up_to",
        ),
        (tiered({"up_to": "0", "unit_price": "1"}, LAST), "invalid_value", "tiers[0].up_to"),
        (tiered(LAST, LAST), "invalid_value", "tiers[0].up_to"),
        # what contradicts
        (PER_UNIT | {"minimum": "2", "maximum": "1"}, "invalid_value", "minimum"),
        (PER_UNIT | {"discount_percent": "100.1"}, "invalid_value", "discount_percent"),
        (PER_UNIT | {"discount_percent": "-1"}, "negative_number", "discount_percent"),
        (
            PERCENTAGE | {"min_per_transaction": "2", "max_per_transaction": "1"},
            "invalid_value",
            "min_per_transaction",
        ),
        *(
            (model | {name: value}, "not_applicable", name)
            for model in (PERCENTAGE, MATRIX, COST_PLUS)
            for name, value in (("included", "0"), ("quantity_rounding", {"mode": "up", "to": "1"}))
        ),
        # words
        ({"model": "flat"}, "invalid_value", "model"),
        ({"model": ["per_unit"]}, "invalid_value", "model"),
        (
            PER_UNIT | {"quantity_rounding": {"mode": "nearest", "to": "1"}},
            "invalid_value",
            "quantity_rounding.mode",
        ),
        (PER_UNIT | {"quantity_rounding": "up"}, "invalid_type", "quantity_rounding"),
        (PER_UNIT | {"bill_zero_usage": "true"}, "invalid_type", "bill_zero_usage"),
        (PER_UNIT | {"bill_zero_usage": 1}, "invalid_type", "bill_zero_usage"),
        (PER_UNIT | {"meter": 5}, "invalid_type", "meter"),
        (PER_UNIT | {"group_by": "model"}, "invalid_type", "group_by"),
        (PER_UNIT | {"group_by": [5]}, "invalid_type", "group_by[0]"),
        (PER_UNIT | {"group_by": ["a", "a"]}, "duplicate", "group_by[1]"),
        (MATRIX | {"dimensions": []}, "required", "dimensions"),
        (MATRIX | {"dimensions": ["m", "m"]}, "duplicate", "dimensions[1]"),
        (MATRIX | {"cells": [{"match": {"x": "a"}, "unit_price": "1"}]}, "unknown_key", "cells[0].match.x"),
        (
            MATRIX | {"cells": [{"match": {"m": ["a"]}, "unit_price": "1"}]},
            "invalid_type",
            "cells[0].match.m",
        ),
        (MATRIX | {"cells": [MATRIX["cells"][0]] * 2}, "duplicate", "cells[1].match"),
        # keys nobody knows
        (PER_UNIT | {"maximun": "1"}, "unknown_key", "maximun"),
        (PER_UNIT | {"tiers": [LAST]}, "unknown_key", "tiers"),
        (PER_UNIT | {5: "x"}, "unknown_key", "5"),
        (tiered(LAST | {"flatfee": "1"}), "unknown_key", "tiers[0].flatfee"),
        (
            PER_UNIT | {"quantity_rounding": {"mode": "up", "too": "1"}},
            "unknown_key",
            "quantity_rounding.too",
        ),
        (MATRIX | {"cells": [MATRIX["cells"][0] | {"x": "1"}]}, "unknown_key", "cells[0].x"),
    ],
)
def test_a_component_is_refused(refusal: Refusal, component: dict[str, Any], code: str, where: str) -> None:
    item = {"currency": "USD", "components": [{"key": "other"} | PER_UNIT, {"key": "c"} | component]}
    assert refusal(item) == (code, f"components[1].{where}")


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"currency": None}, "required", "currency"),
        ({"currency": "usd"}, "unknown_currency", "currency"),
        ({"currency": "ZZZ"}, "unknown_currency", "currency"),
        ({"currency": "XAU"}, "unknown_currency", "currency"),
        ({"currency": 5}, "invalid_type", "currency"),
        ({"currency": ["USD"]}, "invalid_type", "currency"),
        ({"components": {}}, "invalid_type", "components"),
        ({"components": "c"}, "invalid_type", "components"),
        ({"components": [5]}, "invalid_type", "components[0]"),
        ({"components": [None]}, "invalid_type", "components[0]"),
        ({"components": [PER_UNIT]}, "required", "components[0].key"),
        ({"components": [PER_UNIT | {"key": ""}]}, "invalid_value", "components[0].key"),
        ({"components": [PER_UNIT | {"key": 5}]}, "invalid_type", "components[0].key"),
        ({"components": [PER_UNIT | {"key": "a\x00"}]}, "invalid_value", "components[0].key"),
        ({"components": [PER_UNIT | {"key": "a" * 201}]}, "invalid_value", "components[0].key"),
        ({"components": [PER_UNIT | {"key": "c"}] * 2}, "duplicate", "components[1].key"),
        ({"base_fees": {}}, "invalid_type", "base_fees"),
        ({"base_fees": ["49"]}, "invalid_type", "base_fees[0]"),
        ({"base_fees": [{"key": "a"}]}, "required", "base_fees[0].amount"),
        ({"base_fees": [{"amount": "1"}]}, "required", "base_fees[0].key"),
        ({"base_fees": [{"key": "a", "amount": 49}]}, "invalid_type", "base_fees[0].amount"),
        ({"base_fees": [{"key": "a", "amount": "-1"}]}, "negative_number", "base_fees[0].amount"),
        ({"base_fees": [{"key": "a", "amount": "1"}] * 2}, "duplicate", "base_fees[1].key"),
        ({"base_fees": [{"key": "a", "amount": "1", "x": 1}]}, "unknown_key", "base_fees[0].x"),
        (
            {"base_fees": [{"key": "a", "amount": "1", "quantity": "2"}]},
            "not_applicable",
            "base_fees[0].quantity",
        ),
        (
            {"base_fees": [{"key": "a", "amount": "1", "timing": "later"}]},
            "invalid_value",
            "base_fees[0].timing",
        ),
        (
            {"base_fees": [{"key": "a", "amount": "1", "prorate": "no"}]},
            "invalid_type",
            "base_fees[0].prorate",
        ),
        ({"minimum_spend": "5"}, "unknown_key", "minimum_spend"),
    ],
)
def test_a_document_is_refused(refusal: Refusal, change: dict[str, Any], code: str, param: str) -> None:
    assert refusal({"currency": "USD", "components": [{"key": "c"} | PER_UNIT]} | change) == (code, param)


@pytest.mark.parametrize("item", [None, 5, "USD", [], [{}], True])
def test_what_is_no_object_is_refused(refusal: Refusal, item: Any) -> None:
    assert refusal(item) == ("invalid_type", None)


@pytest.mark.parametrize("name", ["usage", "previous"])
@pytest.mark.parametrize(
    ("usage", "code", "where"),
    [
        ([], "invalid_type", ""),
        ("5", "invalid_type", ""),
        ({"tok": {"quantity": "1"}}, "unknown_component", ".tok"),
        ({"c": "5"}, "invalid_type", ".c"),
        ({"c": None}, "invalid_type", ".c"),
        ({"c": {}}, "invalid_value", ".c"),
        ({"c": {"quantity": "1", "events": []}}, "invalid_value", ".c"),
        ({"c": {"quantity": "1", "unit": "x"}}, "unknown_key", ".c.unit"),
        ({"c": {"quantity": 5}}, "invalid_type", ".c.quantity"),
        ({"c": {"quantity": "1e3"}}, "invalid_decimal", ".c.quantity"),
        ({"c": {"quantity": "1" + "0" * 40}}, "number_out_of_range", ".c.quantity"),
        ({"c": {"quantity": "0.0000000000001"}}, "number_out_of_range", ".c.quantity"),
        ({"c": {"events": "5"}}, "invalid_type", ".c.events"),
        ({"c": {"events": {}}}, "invalid_type", ".c.events"),
        ({"c": {"events": ["1", 5]}}, "invalid_type", ".c.events[1]"),
        ({"c": {"events": ["1", None]}}, "invalid_type", ".c.events[1]"),
        ({"c": {"events": ["1", "x"]}}, "invalid_decimal", ".c.events[1]"),
        ({"c": {"events": [{}]}}, "required", ".c.events[0].value"),
        ({"c": {"events": [{"value": 1}]}}, "invalid_type", ".c.events[0].value"),
        ({"c": {"events": [{"value": "1", "x": 1}]}}, "unknown_key", ".c.events[0].x"),
        ({"c": {"events": [{"value": "1", "cost": 1}]}}, "invalid_type", ".c.events[0].cost"),
        ({"c": {"events": [{"value": "1", "dimensions": []}]}}, "invalid_type", ".c.events[0].dimensions"),
        (
            {"c": {"events": [{"value": "1", "dimensions": {"m": []}}]}},
            "invalid_type",
            ".c.events[0].dimensions.m",
        ),
        ({"c": {"by_dimensions": {}}}, "invalid_type", ".c.by_dimensions"),
        ({"c": {"by_dimensions": ["5"]}}, "invalid_type", ".c.by_dimensions[0]"),
        ({"c": {"by_dimensions": [{"dimensions": {}}]}}, "required", ".c.by_dimensions[0].quantity"),
        ({"c": {"by_dimensions": [{"quantity": "1", "x": 1}]}}, "unknown_key", ".c.by_dimensions[0].x"),
        ({"m": {"quantity": "0"}}, "not_applicable", ".m.quantity"),
        ({"m": {"events": ["5"]}}, "no_matching_cell", ".m.events[0].dimensions"),
        ({"p": {"quantity": "5"}}, "not_applicable", ".p.quantity"),
        ({"p": {"by_dimensions": []}}, "not_applicable", ".p.by_dimensions"),
        ({"p": {"events": ["5"]}}, "cost_unknown", ".p.events[0].cost"),
        (
            {"p": {"events": [{"cost": "1"}, {"value": "1", "cost": None}]}},
            "cost_unknown",
            ".p.events[1].cost",
        ),
    ],
)
def test_usage_is_refused(refusal: Refusal, name: str, usage: Any, code: str, where: str) -> None:
    components = [{"key": "c"} | PER_UNIT, {"key": "m"} | MATRIX, {"key": "p"} | COST_PLUS]
    assert refusal({"currency": "USD", "components": components, name: usage}) == (code, f"{name}{where}")


def test_previous_usage_may_not_stand_in_both_places(refusal: Refusal) -> None:
    usage = {"c": {"quantity": "1", "previous": {"quantity": "1"}}}
    item = {"currency": "USD", "components": [{"key": "c"} | PER_UNIT], "usage": usage}
    assert refusal(item | {"previous": {}}) == ("duplicate", "usage.c.previous")
    nested = {"c": {"quantity": "1", "previous": {"quantity": "1", "previous": {"quantity": "1"}}}}
    assert refusal(item | {"usage": nested}) == ("unknown_key", "usage.c.previous.previous")


def test_null_in_an_optional_field_means_absent() -> None:
    absent = dict.fromkeys(
        [
            "included",
            "group_by",
            "maximum",
            "minimum",
            "discount_percent",
            "quantity_rounding",
            "bill_zero_usage",
        ]
    )
    component = PER_UNIT | {"key": "c", "meter": None} | absent
    item = {"currency": "USD", "components": [component], "usage": {"c": {"quantity": "3"}}}
    assert preview(item)["total"] == "3.00"
    assert preview(item | {"usage": {"c": {"quantity": None}}})["total"] == "0.00"


def test_the_message_says_what_would_be_valid() -> None:
    with pytest.raises(
        InvalidRequest, match=r"components\[0\]\.unit_price must be a decimal number in quotes"
    ):
        preview({"currency": "USD", "components": [{"key": "c", "model": "per_unit", "unit_price": 5}]})
    with pytest.raises(InvalidRequest, match="must be one of: per_unit, graduated, volume"):
        preview({"currency": "USD", "components": [{"key": "c", "model": "x"}]})
    with pytest.raises(InvalidRequest, match=r"usage\.x is no component; the keys are: c"):
        preview(
            {"currency": "USD", "components": [{"key": "c"} | PER_UNIT], "usage": {"x": {"quantity": "1"}}}
        )


@pytest.mark.parametrize("model", [PERCENTAGE, COST_PLUS])
def test_a_meter_that_takes_the_maximum_cannot_be_priced_by_event(model: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_component({"key": "c"} | model, "components[3]", aggregation="max")
    assert (caught.value.code, caught.value.param) == ("not_applicable", "components[3].model")
