"""percentage, matrix and cost_plus: what each event pays, and how their rows read."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pricing.rating import EMPTY, NotPriced, Usage, rate_event, read_component

Line = Callable[..., dict[str, Any]]
PERCENTAGE = {"model": "percentage", "rate": "0.01", "fixed_fee": "0.3"}
THREE_WIDE = {
    "model": "matrix",
    "dimensions": ["model", "region", "tier"],
    "cells": [
        {"match": {"model": "a"}, "unit_price": "1"},
        {"match": {"model": "a", "tier": "x"}, "unit_price": "2"},
        {"match": {"model": "a", "region": "eu", "tier": "x"}, "unit_price": "3"},
        {"match": {"region": None}, "unit_price": "4"},
    ],
    "default_unit_price": "9",
}


def test_a_percentage_row_shows_rate_and_fees(line: Line) -> None:
    assert line(PERCENTAGE, {"events": ["100", "50"]})["breakdown"] == [
        {"quantity": "150", "rate": "0.01", "flat_fee": "0.6", "amount": "2.1"}
    ]


def test_the_free_allowance_stands_as_included(line: Line) -> None:
    answer = line(PERCENTAGE | {"free_amount": "120"}, {"events": ["100", "50"]})
    assert answer["quantity"] == "150"
    assert answer["breakdown"] == [
        {"quantity": "30", "rate": "0.01", "flat_fee": "0.3", "amount": "0.6"},
        {"modifier": "included", "amount": "0"},
    ]


def test_minimum_and_maximum_per_transaction_leave_one_amount(line: Line) -> None:
    answer = line(PERCENTAGE | {"max_per_transaction": "1"}, {"events": ["100", "10"]})
    assert answer["breakdown"] == [{"quantity": "110", "rate": "0.01", "amount": "1.4"}]


def test_the_crossing_event_is_held_between_minimum_and_maximum(line: Line) -> None:
    component = PERCENTAGE | {
        "free_amount": "100",
        "min_per_transaction": "0.5",
        "max_per_transaction": "0.8",
    }
    assert line(component, {"events": ["99", "2"]})["amount"] == "0.5"
    assert line(component, {"events": ["99", "1000"]})["amount"] == "0.8"
    assert line(component, {"events": ["99", "1"]})["amount"] == "0"


@pytest.mark.parametrize("free_transactions", [2, "2"])
def test_free_transactions_may_be_quoted(line: Line, free_transactions: Any) -> None:
    component = PERCENTAGE | {"free_transactions": free_transactions}
    assert line(component, {"events": ["100", "100", "100"]})["amount"] == "1.3"


@pytest.mark.parametrize(
    "bound", [{"free_transactions": 0, "free_amount": "1000"}, {"free_transactions": 9, "free_amount": "0"}]
)
def test_a_bound_of_zero_is_reached_at_once(line: Line, bound: dict[str, Any]) -> None:
    assert line(PERCENTAGE | bound, {"quantity": "100"})["amount"] == "1.3"


def test_percentage_keeps_tiny_shares_of_many_transactions(line: Line) -> None:
    component = {"model": "percentage", "rate": "0.0000000000001"}
    assert line(component, {"events": ["0.000001"] * 10})["amount"] == "0.000000000000000001"


def test_reversals_of_the_longest_values_are_exact(line: Line) -> None:
    value = "98765432109876543210.123456789012"
    component = {"model": "percentage", "rate": "0.5"}
    assert (
        line(component, {"events": [value, value, f"-{value}"]})["amount"]
        == "49382716054938271605.061728394506"
    )


def test_a_negative_total_of_value_is_worth_nothing_and_is_remembered(line: Line) -> None:
    component = {"model": "percentage", "rate": "0.5"}
    assert line(component, {"events": ["-10"]})["amount"] == "0"
    assert line(component, {"events": ["-10", "14"]})["amount"] == "2"
    assert line(component, {"events": ["14"]}, {"events": ["-10"]})["amount"] == "2"


def test_a_transaction_of_value_zero_uses_up_a_free_one(line: Line) -> None:
    component = PERCENTAGE | {"free_transactions": 1}
    assert line(component, {"events": ["0", "100"]})["amount"] == "1.3"


def test_a_worthless_total_has_no_rows(line: Line) -> None:
    free = PERCENTAGE | {"free_amount": "100"}
    assert line(free, {"events": ["-10"]})["breakdown"] == []
    capped = PERCENTAGE | {"max_per_transaction": "0.05"}
    answer = line(capped, {"events": ["10", "10", "10", "-100"]})
    assert (answer["quantity"], answer["amount"], answer["breakdown"]) == ("-70", "0", [])
    cost_plus = {"model": "cost_plus", "markup": "0"}
    for event in ({"value": "1", "cost": "-1"}, {"value": "-1", "cost": "1"}):
        answer = line(cost_plus, {"events": [event]})
        assert (answer["amount"], answer["breakdown"]) == ("0", [])


@pytest.mark.parametrize(
    ("dimensions", "price"),
    [
        ({"model": "a", "region": "eu", "tier": "x"}, "3"),
        ({"model": "a", "region": "us", "tier": "x"}, "2"),
        ({"model": "a", "region": "us"}, "1"),
        ({"model": "a"}, "1"),
        ({"model": "b"}, "4"),
        ({}, "4"),
        ({"model": "b", "region": "eu"}, "9"),
        ({"model": "A", "region": "eu"}, "9"),
    ],
)
def test_the_cell_that_names_most_wins(line: Line, dimensions: dict[str, str], price: str) -> None:
    assert line(THREE_WIDE, {"events": [{"value": "1", "dimensions": dimensions}]})["amount"] == price


def test_a_matrix_has_a_row_for_each_combination_sorted(line: Line) -> None:
    component = {
        "model": "matrix",
        "dimensions": ["model"],
        "cells": [{"match": {"model": "b"}, "unit_price": "2"}],
        "default_unit_price": "1",
    }
    usage = [
        {"value": value, "dimensions": {"model": model}}
        for value, model in (("1", "c"), ("5", "b"), ("2", "c"))
    ]
    assert line(component, {"events": [*usage, "7"]})["breakdown"] == [
        {"dimensions": {"model": "b"}, "quantity": "5", "unit_price": "2", "amount": "10"},
        {"dimensions": {"model": "c"}, "quantity": "3", "unit_price": "1", "amount": "3"},
        {"dimensions": {"model": None}, "quantity": "7", "unit_price": "1", "amount": "7"},
    ]


def test_a_matrix_compares_values_as_texts(line: Line) -> None:
    component = {
        "model": "matrix",
        "dimensions": ["size"],
        "cells": [{"match": {"size": "8"}, "unit_price": "2"}, {"match": {"size": True}, "unit_price": "3"}],
        "default_unit_price": "0",
    }
    for size in ("8", 8, Decimal("8.0"), 8.0):
        assert line(component, {"events": [{"value": "1", "dimensions": {"size": size}}]})["amount"] == "2"
    assert line(component, {"events": [{"value": "1", "dimensions": {"size": "true"}}]})["amount"] == "3"


def test_a_matrix_may_be_grouped_by_more(line: Line) -> None:
    component = {
        "model": "matrix",
        "dimensions": ["model"],
        "cells": [{"match": {"model": "a"}, "unit_price": "2"}],
        "group_by": ["region"],
    }
    dimensions = {"model": "a", "region": "eu", "other": "ignored"}
    breakdown = line(component, {"events": [{"value": "1", "dimensions": dimensions}]})["breakdown"]
    assert breakdown[0]["dimensions"] == {"region": "eu", "model": "a"}


def test_cost_plus_shows_quantity_and_markup(line: Line) -> None:
    component = {"model": "cost_plus", "markup": "0.2"}
    answer = line(component, {"events": [{"value": "500", "cost": "0.03"}, {"value": "100", "cost": "0.02"}]})
    assert answer["quantity"] == "600"
    assert answer["breakdown"] == [{"quantity": "600", "rate": "0.2", "amount": "0.06"}]


def test_cost_plus_without_markup_passes_the_cost_on(line: Line) -> None:
    component = {"model": "cost_plus", "markup": "0"}
    assert line(component, {"events": [{"cost": "0.123456789012345678"}]})["amount"] == "0.123456789012345678"


def test_an_event_that_has_no_price_is_told_apart_from_a_bad_request() -> None:
    matrix = {
        "key": "c",
        "model": "matrix",
        "dimensions": ["m"],
        "cells": [{"match": {"m": "a"}, "unit_price": "1"}],
    }
    for component, code in (
        (matrix, "no_matching_cell"),
        ({"key": "c", "model": "cost_plus", "markup": "0"}, "cost_unknown"),
    ):
        with pytest.raises(NotPriced) as caught:
            rate_event(read_component(component), EMPTY, Decimal(0), Usage(Decimal(1), {"m": "b"}))
        assert caught.value.code == code
