"""graduated, volume and graduated_percentage: where tiers begin and end, and how their rows read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Line = Callable[..., dict[str, Any]]
TIERS = [
    {"up_to": "1000", "unit_price": "0.01", "flat_fee": "5"},
    {"up_to": "2000", "unit_price": "0.01", "flat_fee": "3"},
    {"up_to": None, "unit_price": "0"},
]
GRADUATED = {"model": "graduated", "tiers": TIERS}
VOLUME = {"model": "volume", "tiers": TIERS}


@pytest.mark.parametrize(
    ("quantity", "rows"),
    [
        ("0.5", [(1, "0.5", "5", "5.005")]),
        ("1000", [(1, "1000", "5", "15")]),
        ("1000.5", [(1, "1000", "5", "15"), (2, "0.5", "3", "3.005")]),
        ("2000", [(1, "1000", "5", "15"), (2, "1000", "3", "13")]),
        (
            "2000.000000000001",
            [(1, "1000", "5", "15"), (2, "1000", "3", "13"), (3, "0.000000000001", None, "0")],
        ),
    ],
)
def test_graduated_has_a_row_for_each_tier_that_is_entered(
    line: Line, quantity: str, rows: list[tuple[Any, ...]]
) -> None:
    breakdown = line(GRADUATED, {"quantity": quantity})["breakdown"]
    shown = [(row["tier"], row["quantity"], row.get("flat_fee"), row["amount"]) for row in breakdown]
    assert shown == rows


@pytest.mark.parametrize(
    ("quantity", "row"),
    [
        ("1000", {"tier": 1, "quantity": "1000", "unit_price": "0.01", "flat_fee": "5", "amount": "15"}),
        (
            "1000.5",
            {"tier": 2, "quantity": "1000.5", "unit_price": "0.01", "flat_fee": "3", "amount": "13.005"},
        ),
        ("5000", {"tier": 3, "quantity": "5000", "unit_price": "0", "amount": "0"}),
    ],
)
def test_volume_has_a_row_for_the_tier_that_is_reached(
    line: Line, quantity: str, row: dict[str, Any]
) -> None:
    assert line(VOLUME, {"quantity": quantity})["breakdown"] == [row]


def test_graduated_percentage_rows_have_rates(line: Line) -> None:
    model = {
        "model": "graduated_percentage",
        "tiers": [{"up_to": "10", "rate": "0.5"}, {"up_to": None, "rate": "0.1"}],
    }
    assert line(model, {"events": ["8", "4"]})["breakdown"] == [
        {"tier": 1, "quantity": "10", "rate": "0.5", "amount": "5"},
        {"tier": 2, "quantity": "2", "rate": "0.1", "amount": "0.2"},
    ]


def test_an_increment_shows_each_tiers_part_even_where_prices_are_equal(line: Line) -> None:
    assert line(GRADUATED, {"quantity": "200"}, {"quantity": "900"})["breakdown"] == [
        {"tier": 1, "quantity": "100", "unit_price": "0.01", "amount": "1"},
        {"tier": 2, "quantity": "100", "unit_price": "0.01", "flat_fee": "3", "amount": "4"},
    ]


def test_an_increment_over_a_volume_tier_shows_earlier_units_repriced(line: Line) -> None:
    model = {
        "model": "volume",
        "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}],
    }
    answer = line(model, {"quantity": "1"}, {"quantity": "1000"})
    assert (answer["quantity"], answer["amount"], answer["rounded"]) == ("1", "-4.995", "-5.00")
    assert answer["breakdown"] == [
        {"tier": 1, "quantity": "-1000", "unit_price": "0.01", "amount": "-10"},
        {"tier": 2, "quantity": "1001", "unit_price": "0.005", "amount": "5.005"},
    ]


def test_a_reversal_into_a_lower_tier_gives_its_fee_back(line: Line) -> None:
    assert line(GRADUATED, {"quantity": "-1"}, {"quantity": "1000.5"})["breakdown"] == [
        {"tier": 1, "quantity": "-0.5", "unit_price": "0.01", "amount": "-0.005"},
        {"tier": 2, "quantity": "-0.5", "unit_price": "0.01", "flat_fee": "-3", "amount": "-3.005"},
    ]


def test_one_tier_is_enough(line: Line) -> None:
    for model in ("graduated", "volume"):
        component = {"model": model, "tiers": [{"up_to": None, "unit_price": "2"}]}
        assert line(component, {"quantity": "3"})["amount"] == "6"


def test_hundreds_of_tiers_are_walked_right(line: Line) -> None:
    tiers: list[dict[str, Any]] = [
        {"up_to": str(n), "unit_price": str(n), "flat_fee": "1"} for n in range(1, 500)
    ]
    component = {"model": "graduated", "tiers": [*tiers, {"up_to": None, "unit_price": "0"}]}
    assert line(component, {"quantity": "1000"})["amount"] == str(sum(range(1, 500)) + 499)
