"""The door for prices answers in exactly the shape of RATING.md section 4."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest

from core.currencies import decimals_with_units
from pricing.rating import preview

Line = Callable[..., dict[str, Any]]
TIERS = [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}]
EXAMPLE = {
    "currency": "USD",
    "base_fees": [{"key": "platform", "amount": "49.00"}],
    "components": [{"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}],
    "usage": {"tok": {"quantity": "1500"}},
}
PER_UNIT = {"model": "per_unit", "unit_price": "1"}


def test_the_example_of_the_format_is_answered_to_the_letter() -> None:
    assert preview(EXAMPLE) == {
        "currency": "USD",
        "lines": [
            {"key": "platform", "amount": "49", "rounded": "49.00"},
            {
                "key": "tok",
                "quantity": "1500",
                "amount": "12.5",
                "rounded": "12.50",
                "breakdown": [
                    {"tier": 1, "quantity": "1000", "unit_price": "0.01", "amount": "10"},
                    {"tier": 2, "quantity": "500", "unit_price": "0.005", "amount": "2.5"},
                ],
            },
        ],
        "total": "61.50",
    }


def test_keys_stand_in_the_order_of_the_format() -> None:
    answer = preview(EXAMPLE)
    assert list(answer) == ["currency", "lines", "total"]
    assert list(answer["lines"][1]) == ["key", "quantity", "amount", "rounded", "breakdown"]
    assert list(answer["lines"][1]["breakdown"][0]) == ["tier", "quantity", "unit_price", "amount"]


def test_a_component_without_usage_has_a_line_of_zero() -> None:
    item = {"currency": "USD", "components": [{"key": "a"} | PER_UNIT]}
    line = {"key": "a", "quantity": "0", "amount": "0", "rounded": "0.00", "breakdown": []}
    assert preview(item) == {"currency": "USD", "lines": [line], "total": "0.00"}
    assert preview(item | {"usage": {}}) == preview(item | {"usage": None}) == preview(item)


def test_a_document_without_lines_comes_to_zero() -> None:
    assert preview({"currency": "JPY"}) == {"currency": "JPY", "lines": [], "total": "0"}


def test_lines_keep_the_order_of_the_components_not_of_the_usage() -> None:
    item = {
        "currency": "USD",
        "components": [{"key": "b"} | PER_UNIT, {"key": "a"} | PER_UNIT],
        "usage": {"a": {"quantity": "1"}, "b": {"quantity": "2"}},
    }
    assert [(line["key"], line["amount"]) for line in preview(item)["lines"]] == [("b", "2"), ("a", "1")]


@pytest.mark.parametrize(
    ("currency", "quantity", "rounded"),
    [
        ("USD", "0.005", "0.01"),
        ("USD", "0.0049999", "0.00"),
        ("USD", "2.675", "2.68"),
        ("JPY", "0.5", "1"),
        ("JPY", "1234.49", "1234"),
        ("KWD", "0.0005", "0.001"),
        ("KWD", "5", "5.000"),
        ("CLF", "1.00005", "1.0001"),
    ],
)
def test_a_line_is_rounded_half_up_to_the_minor_unit(
    line: Line, currency: str, quantity: str, rounded: str
) -> None:
    assert line(PER_UNIT, {"quantity": quantity}, currency=currency)["rounded"] == rounded


@pytest.mark.parametrize(
    ("taken_back", "rounded"), [("0.005", "-0.01"), ("0.004", "0.00"), ("1.115", "-1.12")]
)
def test_a_negative_line_is_rounded_away_from_zero_and_never_to_minus_zero(
    line: Line, taken_back: str, rounded: str
) -> None:
    answer = line(PER_UNIT, {"quantity": f"-{taken_back}"}, {"quantity": "10"})
    assert (answer["amount"], answer["rounded"]) == (f"-{taken_back}", rounded)


def test_the_total_is_the_sum_of_the_rounded_lines() -> None:
    components = [{"key": key} | PER_UNIT for key in ("a", "b", "c")]
    usage = {key: {"quantity": "0.004"} for key in ("a", "b", "c")}
    assert preview({"currency": "USD", "components": components, "usage": usage})["total"] == "0.00"
    usage = {key: {"quantity": "0.005"} for key in ("a", "b", "c")}
    assert preview({"currency": "USD", "components": components, "usage": usage})["total"] == "0.03"


def test_large_numbers_keep_every_digit(line: Line) -> None:
    nines = "9" * 20
    answer = line({"model": "per_unit", "unit_price": nines}, {"quantity": nines})
    assert answer["amount"] == "9999999999999999999800000000000000000001"
    assert answer["rounded"] == answer["amount"] + ".00"


def test_the_longest_numbers_are_multiplied_without_loss(line: Line) -> None:
    quantity, price = "9" * 20 + "." + "9" * 12, "9" * 20 + "." + "9" * 18
    answer = line(
        {"model": "per_unit", "unit_price": price, "discount_percent": "50"}, {"quantity": quantity}
    )
    exact = int(quantity.replace(".", "")) * int(price.replace(".", ""))
    assert answer["breakdown"][0]["amount"].replace(".", "") == str(exact)
    at_18 = (exact + 5 * 10**11) // 10**12
    assert Fraction(answer["amount"]) == Fraction((at_18 + 1) // 2, 10**18)


def test_numbers_are_written_plainly(line: Line) -> None:
    answer = line({"model": "per_unit", "unit_price": "0.000000000000000001"}, {"quantity": "1.50"})
    assert answer["quantity"] == "1.5"
    assert answer["breakdown"] == [
        {"quantity": "1.5", "unit_price": "0.000000000000000001", "amount": "0.0000000000000000015"},
        {"modifier": "rounding", "amount": "0.0000000000000000005"},
    ]
    assert line(PER_UNIT, {"quantity": "1000000"})["quantity"] == "1000000"


def test_leading_zeros_and_trailing_zeros_do_no_harm(line: Line) -> None:
    assert line(PER_UNIT, {"quantity": "007.500000000000000"})["amount"] == "7.5"
    assert line(PER_UNIT, {"quantity": "-0"})["quantity"] == "0"


def test_previous_beside_usage_makes_every_line_an_increment() -> None:
    item = {
        "currency": "USD",
        "components": [
            {"key": "a", "minimum": "10"} | PER_UNIT,
            {"key": "b", "minimum": "10"} | PER_UNIT,
        ],
        "usage": {"a": {"quantity": "1"}},
        "previous": {"a": {"quantity": "100"}},
    }
    assert [line["amount"] for line in preview(item)["lines"]] == ["1", "0"]
    assert [line["amount"] for line in preview(item | {"previous": {}})["lines"]] == ["1", "0"]
    assert [line["amount"] for line in preview(item | {"previous": None})["lines"]] == ["10", "10"]


def test_previous_inside_a_value_makes_that_line_an_increment() -> None:
    item = {
        "currency": "USD",
        "components": [
            {"key": "a", "minimum": "10"} | PER_UNIT,
            {"key": "b", "minimum": "10"} | PER_UNIT,
        ],
        "usage": {"a": {"quantity": "1", "previous": {"quantity": "0"}}, "b": {"quantity": "1"}},
    }
    assert [line["amount"] for line in preview(item)["lines"]] == ["1", "10"]


def test_base_fees_come_first_and_may_count_seats() -> None:
    fees = [
        {"key": "platform", "amount": "49.00", "timing": "in_advance", "prorate": True},
        {"key": "seats", "unit_amount": "10.00", "quantity": "5", "timing": "in_arrears"},
        {"key": "seat", "unit_amount": "0.5"},
    ]
    assert preview({"currency": "USD", "base_fees": fees})["lines"] == [
        {"key": "platform", "amount": "49", "rounded": "49.00"},
        {"key": "seats", "quantity": "5", "amount": "50", "rounded": "50.00"},
        {"key": "seat", "quantity": "1", "amount": "0.5", "rounded": "0.50"},
    ]


def test_the_operators_own_units_round_to_their_decimals() -> None:
    units = decimals_with_units({"CREDITS": 1, "USD": 9})
    item = {
        "currency": "CREDITS",
        "components": [{"key": "a"} | PER_UNIT],
        "usage": {"a": {"quantity": "0.25"}},
    }
    assert preview(item, units)["total"] == "0.3"
    assert preview(item | {"currency": "USD"}, units)["total"] == "0.25"


def test_the_callers_decimal_context_changes_nothing() -> None:
    expected = preview(EXAMPLE | {"usage": {"tok": {"quantity": "98765432109876543210.123456789012"}}})
    with localcontext(Context(prec=3)):
        answer = preview(EXAMPLE | {"usage": {"tok": {"quantity": "98765432109876543210.123456789012"}}})
    assert answer == expected


def test_many_threads_get_the_same_answer() -> None:
    answers: list[str] = []
    usage = [{"value": "12345678901234567890.123456789012", "dimensions": {}}] * 200
    item = EXAMPLE | {"usage": {"tok": {"events": usage}}}

    def ask() -> None:
        with localcontext(Context(prec=5)):
            answers.append(preview(item)["lines"][1]["amount"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    quantity = 200 * Decimal("12345678901234567890.123456789012")
    assert len(set(answers)) == 1
    assert len(answers) == 8
    assert str(quantity).startswith("24691357")
