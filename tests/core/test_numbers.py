"""Numbers are parsed exactly, kept in range, and written plainly."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest

from core.errors import InvalidRequest
from core.numbers import CONTEXT, fits, parse_price, parse_quantity, plain, round_amount, round_money


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("1E+3", "1000"),
        ("1.500", "1.5"),
        ("100", "100"),
        ("-1E-18", "-0.000000000000000001"),
        ("12345678901234567890.123456789012345678", "12345678901234567890.123456789012345678"),
    ],
)
def test_a_number_is_written_plainly(value: str, text: str) -> None:
    with localcontext(Context(prec=3)):
        assert plain(Decimal(value)) == text


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        ("0.0000000000000000005", "0.000000000000000001"),
        ("-0.0000000000000000005", "-0.000000000000000001"),
        ("0.0000000000000000004999", "0.000000000000000000"),
    ],
)
def test_amounts_round_half_up_away_from_zero(value: str, rounded: str) -> None:
    assert format(round_amount(Decimal(value)), "f") == rounded


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        ("2.675", 2, "2.68"),
        ("-2.675", 2, "-2.68"),
        ("-0.004", 2, "0.00"),
        ("0.5", 0, "1"),
        ("1e30", 3, "1" + "0" * 30 + ".000"),
        ("12", 0, "12"),
    ],
)
def test_money_has_all_its_decimals(value: str, decimals: int, text: str) -> None:
    with localcontext(Context(prec=3)):
        assert round_money(Decimal(value), decimals) == text


@pytest.mark.parametrize("text", ["0", "1", "-1", "9" * 20, "0.000000000001", "1.0000000000000000", "0" * 30])
def test_a_quantity_in_range_is_read(text: str) -> None:
    assert parse_quantity(text, "quantity") == Decimal(text)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1, "invalid_type"),
        (None, "invalid_type"),
        (True, "invalid_type"),
        (Decimal(1), "invalid_type"),
        (b"1", "invalid_type"),
        ("", "invalid_decimal"),
        (".5", "invalid_decimal"),
        ("5.", "invalid_decimal"),
        ("1e3", "invalid_decimal"),
        ("1e-12", "invalid_decimal"),
        ("sNaN", "invalid_decimal"),
        ("inf", "invalid_decimal"),
        ("1 ", "invalid_decimal"),
        ("--1", "invalid_decimal"),
        ("1.2.3", "invalid_decimal"),
        ("1e40", "number_out_of_range"),
        ("1e999999999", "number_out_of_range"),
        ("1e-999999999", "number_out_of_range"),
        ("1" + "0" * 20, "number_out_of_range"),
        ("-1" + "0" * 20, "number_out_of_range"),
        ("0.0000000000001", "number_out_of_range"),
        ("9" * 1_000_000, "number_out_of_range"),
    ],
)
def test_anything_else_is_refused(value: object, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_quantity(value, "usage.c.quantity")
    assert (caught.value.code, caught.value.param) == (code, "usage.c.quantity")


def test_prices_have_more_decimals_than_quantities() -> None:
    assert parse_price("0.000000000000000001", "price") == Decimal("1e-18")
    with pytest.raises(InvalidRequest):
        parse_price("0.0000000000000000001", "price")


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_never_fits(value: str) -> None:
    assert not fits(Decimal(value), 18)


def test_the_longest_product_loses_nothing() -> None:
    quantity, price = Decimal("9" * 20 + "." + "9" * 12), Decimal("9" * 20 + "." + "9" * 18)
    product = CONTEXT.multiply(quantity, price)
    assert int(product.scaleb(30, CONTEXT)) == int("9" * 32) * int("9" * 38)
    assert CONTEXT.prec >= 80
