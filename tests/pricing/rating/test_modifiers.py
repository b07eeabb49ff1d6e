"""Quantity rounding, included units, groups, discount, maximum, minimum and zero usage."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pricing.rating import Usage, explain_close, rate_events, read_component

Line = Callable[..., dict[str, Any]]
PER_UNIT = {"model": "per_unit", "unit_price": "1"}
FLAT = {"model": "graduated", "tiers": [{"up_to": None, "unit_price": "1", "flat_fee": "8"}]}
BY_MODEL = PER_UNIT | {"group_by": ["model"]}


def by_model(**quantities: str) -> dict[str, Any]:
    """Usage by the dimension `model`."""
    rows = [{"dimensions": {"model": model}, "quantity": quantity} for model, quantity in quantities.items()]
    return {"by_dimensions": rows}


@pytest.mark.parametrize(
    ("mode", "to", "quantity", "rounded"),
    [
        ("up", "1", "1.000000000001", "2"),
        ("up", "1", "2", "2"),
        ("up", "1000", "1", "1000"),
        ("up", "0.3", "1", "1.2"),
        ("down", "0.3", "1", "0.9"),
        ("down", "1000", "999", "0"),
        ("half_up", "1", "0.5", "1"),
        ("half_up", "1", "1.499999999999", "1"),
        ("half_up", "3", "1.5", "3"),
        ("half_up", "0.000000000003", "0.000000000001", "0"),
        ("half_up", "0.000000000003", "0.000000000002", "0.000000000003"),
        ("up", "0.000000000003", "99999999999999999999", "99999999999999999999"),
    ],
)
def test_a_quantity_is_rounded_to_a_multiple(
    line: Line, mode: str, to: str, quantity: str, rounded: str
) -> None:
    component = PER_UNIT | {"quantity_rounding": {"mode": mode, "to": to}}
    answer = line(component, {"quantity": quantity})
    assert (answer["quantity"], answer["amount"]) == (quantity, rounded)


def test_it_is_the_cumulative_quantity_that_is_rounded(line: Line) -> None:
    component = PER_UNIT | {"quantity_rounding": {"mode": "up", "to": "1"}}
    assert line(component, {"events": ["0.2"] * 5})["amount"] == "1"
    assert line(component, {"quantity": "0.2"}, {"quantity": "0.2"})["amount"] == "0"
    assert line(component, {"quantity": "0.2"}, {"quantity": "0.9"})["amount"] == "1"


def test_each_group_is_rounded_and_has_its_included_units(line: Line) -> None:
    component = BY_MODEL | {"quantity_rounding": {"mode": "up", "to": "1"}, "included": "2"}
    answer = line(component, by_model(a="2.5", b="1.5"))
    assert answer["quantity"] == "4"
    assert answer["breakdown"] == [
        {"dimensions": {"model": "a"}, "quantity": "1", "unit_price": "1", "amount": "1"},
        {"modifier": "included", "amount": "0"},
    ]


def test_included_comes_after_rounding(line: Line) -> None:
    component = PER_UNIT | {"quantity_rounding": {"mode": "up", "to": "10"}, "included": "5"}
    assert line(component, {"quantity": "1"})["amount"] == "5"


def test_included_units_shift_packages_and_volume_tiers(line: Line) -> None:
    package = {"model": "package", "package_size": "100", "package_price": "5", "included": "100"}
    assert [line(package, {"quantity": quantity})["amount"] for quantity in ("100", "101", "201")] == [
        "0",
        "5",
        "10",
    ]
    volume = {
        "model": "volume",
        "included": "10",
        "tiers": [{"up_to": "10", "unit_price": "2"}, {"up_to": None, "unit_price": "1"}],
    }
    assert [line(volume, {"quantity": quantity})["amount"] for quantity in ("20", "21")] == ["20", "11"]


def test_included_stands_in_the_breakdown_only_when_used(line: Line) -> None:
    component = PER_UNIT | {"included": "10"}
    included = {"modifier": "included", "amount": "0"}
    assert line(component, {"quantity": "0"})["breakdown"] == []
    assert line(component, {"quantity": "5"})["breakdown"] == [included]
    assert included in line(component, {"quantity": "12"}, {"quantity": "3"})["breakdown"]
    assert included not in line(component, {"quantity": "12"}, {"quantity": "10"})["breakdown"]


def test_groups_stand_in_one_line_sorted_with_null_last(line: Line) -> None:
    usage = {"by_dimensions": [*by_model(b="1", a="2", c="-4")["by_dimensions"], {"quantity": "3"}]}
    answer = line(BY_MODEL, usage)
    assert (answer["quantity"], answer["amount"]) == ("2", "6")
    assert [(row["dimensions"]["model"], row["amount"]) for row in answer["breakdown"]] == [
        ("a", "2"),
        ("b", "1"),
        (None, "3"),
    ]


def test_values_that_read_the_same_are_one_group(line: Line) -> None:
    events = [{"value": "1", "dimensions": {"model": model}} for model in ("8", 8, Decimal("8.0"), 8.0)]
    breakdown = line(BY_MODEL, {"events": events})["breakdown"]
    assert [(row["dimensions"], row["quantity"]) for row in breakdown] == [({"model": "8"}, "4")]


def test_a_group_with_a_negative_total_does_not_lower_the_others(line: Line) -> None:
    assert line(BY_MODEL, by_model(a="5", b="-3"))["amount"] == "5"
    assert line(BY_MODEL, by_model(b="4"), by_model(a="5", b="-3"))["amount"] == "1"


def test_an_increment_shows_each_groups_part(line: Line) -> None:
    answer = line(BY_MODEL, by_model(a="1", b="2"), by_model(a="5"))
    assert [(row["dimensions"]["model"], row["quantity"]) for row in answer["breakdown"]] == [
        ("a", "1"),
        ("b", "2"),
    ]


def test_discount_then_maximum_then_minimum(line: Line) -> None:
    component = PER_UNIT | {"discount_percent": "10", "maximum": "50", "minimum": "20"}
    for quantity, amount, modifiers in [
        ("10", "20", [("discount", "-1"), ("minimum", "11")]),
        ("40", "36", [("discount", "-4")]),
        ("60", "50", [("discount", "-6"), ("maximum", "-4")]),
    ]:
        answer = line(component, {"quantity": quantity})
        shown = [(row["modifier"], row["amount"]) for row in answer["breakdown"] if "modifier" in row]
        assert (answer["amount"], shown) == (amount, modifiers)


def test_the_minimum_is_not_discounted_and_may_equal_the_maximum(line: Line) -> None:
    component = PER_UNIT | {"discount_percent": "100", "minimum": "7", "maximum": "7"}
    assert line(component, {"quantity": "99"})["amount"] == "7"
    assert line(component, {"quantity": "0"})["breakdown"] == [{"modifier": "minimum", "amount": "7"}]


def test_a_maximum_of_zero_makes_all_free(line: Line) -> None:
    assert line(PER_UNIT | {"maximum": "0"}, {"quantity": "5"})["amount"] == "0"


def test_increments_under_a_maximum_add_up_to_it(line: Line) -> None:
    component = PER_UNIT | {"maximum": "10"}
    assert line(component, {"quantity": "8"}, {"quantity": "0"})["amount"] == "8"
    assert line(component, {"quantity": "8"}, {"quantity": "8"})["breakdown"] == [
        {"quantity": "8", "unit_price": "1", "amount": "8"},
        {"modifier": "maximum", "amount": "-6"},
    ]
    assert line(component, {"quantity": "-8"}, {"quantity": "16"})["amount"] == "-2"


def test_zero_usage_is_billed_only_when_asked_for(line: Line) -> None:
    assert line(FLAT, {"quantity": "0"})["amount"] == "0"
    answer = line(FLAT | {"bill_zero_usage": True}, {"quantity": "0"})
    assert answer["breakdown"] == [
        {"tier": 1, "quantity": "0", "unit_price": "1", "flat_fee": "8", "amount": "8"}
    ]
    assert line(FLAT | {"bill_zero_usage": False}, {"quantity": "0"})["amount"] == "0"


def test_the_fee_for_zero_usage_is_discounted_and_capped_but_not_added_to_a_minimum(line: Line) -> None:
    component = FLAT | {"bill_zero_usage": True}
    assert line(component | {"discount_percent": "25"}, {"quantity": "0"})["amount"] == "6"
    assert line(component | {"maximum": "5"}, {"quantity": "0"})["amount"] == "5"
    assert line(component | {"minimum": "10"}, {"quantity": "0"})["amount"] == "10"


def test_a_reversed_period_is_zero_usage(line: Line) -> None:
    component = FLAT | {"bill_zero_usage": True}
    assert line(component, {"events": ["5", "-5"]})["amount"] == "8"
    assert line(component, {"quantity": "-5"})["amount"] == "8"


def test_with_groups_zero_usage_is_billed_once_and_only_if_no_group_has_any(line: Line) -> None:
    component = FLAT | {"bill_zero_usage": True, "group_by": ["model"]}
    assert line(component, by_model())["amount"] == "8"
    assert line(component, by_model(a="-1", b="-2"))["amount"] == "8"
    assert line(component, by_model(a="1", b="-2"))["amount"] == "9"


@pytest.mark.parametrize(
    "component",
    [
        PER_UNIT,
        {"model": "package", "package_size": "1", "package_price": "5"},
        {"model": "percentage", "rate": "0.1", "fixed_fee": "1"},
    ],
)
def test_without_tiers_there_is_no_fee_for_zero_usage(line: Line, component: dict[str, Any]) -> None:
    assert line(component | {"bill_zero_usage": True}, {"quantity": "0"})["amount"] == "0"


def test_a_caller_may_prorate_the_minimum_at_the_close() -> None:
    component = read_component({"key": "c", "minimum": "30"} | PER_UNIT)
    states = rate_events(component, [Usage(Decimal(4))])
    assert component.close(states.values()) == Decimal(30)
    assert component.close(states.values(), minimum=Decimal("7.5")) == Decimal("7.5")
    assert explain_close(component, states, minimum=Decimal(0)).amount == Decimal(4)
