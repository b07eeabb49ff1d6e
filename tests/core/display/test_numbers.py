"""Money, quantities and ratios as a reader sees them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest
from babel import Locale

from core.display.numbers import exact_text, minor_digits, money_text, percent_text, quantity_text

GERMAN = Locale("de")


@dataclass(frozen=True)
class Credits:
    code: str = "CRD"
    decimals: int = 0


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1234.5", "USD", "1,234.50"),
        ("0", "USD", "0.00"),
        ("-312.4", "EUR", "-312.40"),
        ("1284310", "JPY", "1,284,310"),
        ("12.3456", "KWD", "12.346"),
        ("2.5", "RSD", "2.50"),
        ("7", "NOT-ISO", "7.00"),
    ],
)
def test_money_has_the_digits_of_its_currency(amount: str, currency: str, text: str) -> None:
    assert money_text(Decimal(amount), currency) == text


@pytest.mark.parametrize(("amount", "text"), [("0.125", "0.13"), ("-0.125", "-0.13"), ("0.005", "0.01")])
def test_money_rounds_half_up_away_from_zero(amount: str, text: str) -> None:
    assert money_text(Decimal(amount), "USD") == text


@pytest.mark.parametrize(("amount", "text"), [("0.00025", "<0.01"), ("-0.00025", ">-0.01")])
def test_a_small_amount_never_reads_as_nothing(amount: str, text: str) -> None:
    assert money_text(Decimal(amount), "USD") == text


def test_a_small_amount_of_yen_reads_less_than_one() -> None:
    assert money_text(Decimal("0.4"), "JPY") == "<1"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0.00025", "0.00025"),
        ("0.000000000000000001", "0.000000000000000001"),
        ("5", "5.00"),
        ("-0.0005", "-0.0005"),
        ("1E+3", "1,000.00"),
    ],
)
def test_an_exact_amount_keeps_every_significant_decimal(amount: str, text: str) -> None:
    assert money_text(Decimal(amount), "USD", exact=True) == text


def test_the_operators_own_unit_has_its_own_decimals() -> None:
    assert minor_digits(Credits()) == 0
    assert money_text(Decimal("250.4"), Credits()) == "250"
    assert exact_text(Decimal("250.40"), Credits()) == "CRD 250.4"


def test_numbers_follow_the_readers_locale() -> None:
    assert money_text(Decimal("1234.5"), "USD", GERMAN) == "1.234,50"
    assert quantity_text(Decimal("18059974.25"), GERMAN) == "18.059.974,25"
    assert percent_text(Decimal("0.234"), GERMAN) == "23,4%"


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("18059974", "18,059,974"),
        ("0.5", "0.5"),
        ("10.000", "10"),
        ("0.000000000001", "0.000000000001"),
        ("-3", "-3"),
        ("99999999999999999999.999999999999", "99,999,999,999,999,999,999.999999999999"),
    ],
)
def test_a_quantity_keeps_what_is_significant(quantity: str, text: str) -> None:
    assert quantity_text(Decimal(quantity)) == text


@pytest.mark.parametrize(
    ("ratio", "digits", "text"),
    [
        ("0.234", 1, "23.4%"),
        ("0.4199", 0, "42%"),
        ("-0.124", 1, "-12.4%"),
        ("0", 1, "0.0%"),
        ("12.5", 1, "1,250.0%"),
        ("1E+38", 0, "10" + ",000" * 13 + "%"),
    ],
)
def test_a_ratio_reads_in_per_cent(ratio: str, digits: int, text: str) -> None:
    assert percent_text(Decimal(ratio), digits=digits) == text


def test_a_ratio_that_rounds_to_zero_has_no_sign() -> None:
    assert percent_text(Decimal("-0.0001")) == "0.0%"


def test_a_huge_amount_is_written_out() -> None:
    assert money_text(Decimal("9" * 20 + ".005"), "USD") == "99,999,999,999,999,999,999.01"
