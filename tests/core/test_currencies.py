"""Currencies have ISO 4217's minor units, and the operator's own units stand beside them."""

from __future__ import annotations

import pytest
from babel.numbers import list_currencies

from core.currencies import ISO_DECIMALS, decimals_with_units, iso_decimals
from core.errors import InvalidRequest


@pytest.mark.parametrize(
    ("code", "decimals"),
    [
        ("USD", 2),
        ("EUR", 2),
        ("JPY", 0),
        ("KRW", 0),
        ("ISK", 0),
        ("KWD", 3),
        ("TND", 3),
        ("IQD", 3),
        ("CLF", 4),
        ("RSD", 2),
    ],
)
def test_a_currency_has_its_minor_unit(code: str, decimals: int) -> None:
    assert iso_decimals(code) == decimals


@pytest.mark.parametrize("code", ["usd", "US", "", "XAU", "XXX", "CREDITS"])
def test_anything_else_is_unknown(code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        iso_decimals(code)
    assert (caught.value.code, caught.value.param) == ("unknown_currency", "currency")


def test_every_code_of_the_table_is_a_currency() -> None:
    assert set(ISO_DECIMALS) <= list_currencies()
    assert len(ISO_DECIMALS) > 160


def test_the_operators_own_unit_has_its_own_decimals_and_never_replaces_money() -> None:
    decimals = decimals_with_units({"CREDITS": 4, "JPY": 2})
    assert (decimals("CREDITS"), decimals("JPY"), decimals("EUR")) == (4, 0, 2)
    with pytest.raises(InvalidRequest):
        decimals("TOKENS")
