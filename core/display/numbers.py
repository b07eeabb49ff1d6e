"""Money, quantities and ratios as text; the minus is ASCII, so that cells paste into a spreadsheet."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache
from typing import Final, Protocol

from babel import Locale
from babel.numbers import NumberPattern, parse_pattern

from core.currencies import ISO_DECIMALS
from core.display.locale import DEFAULT
from core.numbers import CONTEXT, ZERO, plain

DASH: Final = "\u2013"
"""What stands where there is no value."""
_DECIMALS_SHOWN_MAX: Final = 18


class Unit(Protocol):
    """A currency as the models have it: ISO money or the operator's own unit of credits."""

    @property
    def code(self) -> str:
        """`USD`, or the operator's own."""

    @property
    def decimals(self) -> int:
        """Decimals of the minor unit."""


def currency_code(currency: str | Unit) -> str:
    """`USD` of either form of a currency."""
    return currency if isinstance(currency, str) else currency.code


def minor_digits(currency: str | Unit) -> int:
    """Decimals of the minor unit: USD 2, JPY 0, KWD 3; an unknown code has 2."""
    if not isinstance(currency, str):
        return currency.decimals
    return ISO_DECIMALS.get(currency, 2)


def money_text(
    amount: Decimal, currency: str | Unit, locale: Locale = DEFAULT, *, exact: bool = False
) -> str:
    """`1,234.50`: the amount without its code, rounded half up to the minor unit.

    `exact` keeps every significant decimal (unit prices, single charges). A rounded amount that
    would read as zero but is not reads `<0.01`, so that nobody takes a small charge for none.
    """
    digits = minor_digits(currency)
    if exact:
        return _decimal(amount, locale, digits, _DECIMALS_SHOWN_MAX)
    quantum = Decimal(1).scaleb(-digits)
    rounded = amount.quantize(quantum, ROUND_HALF_UP, CONTEXT)
    if amount and not rounded:
        bound = _decimal(quantum, locale, digits, digits)
        return f"<{bound}" if amount > 0 else f">-{bound}"
    return _decimal(rounded, locale, digits, digits)


def quantity_text(quantity: Decimal, locale: Locale = DEFAULT) -> str:
    """`18,059,974` or `0.5`: grouped, with every significant decimal."""
    return _decimal(quantity, locale, 0, 12)


def percent_text(ratio: Decimal, locale: Locale = DEFAULT, *, digits: int = 1) -> str:
    """`23.4%` of the ratio 0.234."""
    pattern = "#,##0" + ("." + "0" * digits if digits else "") + "%"
    rounded = ratio.quantize(Decimal(1).scaleb(-digits - 2), ROUND_HALF_UP, CONTEXT)
    return _formatted(rounded, pattern, locale)


def exact_text(amount: Decimal, currency: str | Unit) -> str:
    """`USD 0.00025`: for tooltips and machines, in plain notation."""
    return f"{currency_code(currency)} {plain(amount)}"


def _decimal(value: Decimal, locale: Locale, least: int, most: int) -> str:
    pattern = "#,##0" + ("." + "0" * least + "#" * (most - least) if most else "")
    return _formatted(value, pattern, locale)


def _formatted(value: Decimal, pattern: str, locale: Locale) -> str:
    with localcontext(CONTEXT):  # Babel quantizes in the thread's context, whose 28 digits are too few
        text = _parsed(pattern).apply(value.copy_abs(), locale, decimal_quantization=False)
    return f"-{text}" if value < ZERO else text


@lru_cache(maxsize=64)
def _parsed(pattern: str) -> NumberPattern:
    """A list has hundreds of numbers and a handful of patterns."""
    return parse_pattern(pattern)
