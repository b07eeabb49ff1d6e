"""Decimal numbers: one context, one parser, one notation.

Limits (RATING.md section 3): quantities have at most 20 integer digits and 12 decimals, prices and
amounts at most 20 integer digits and 18 decimals; anything else is `number_out_of_range`.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Final

from core.errors import InvalidRequest

# 70 digits hold (20 + 12 quantity digits) x (20 + 18 price digits), 79 a discount on such an amount; the
# rest is room for sums: nothing is lost before the rounding that is meant.
CONTEXT: Final = Context(
    prec=100,
    rounding=ROUND_HALF_UP,
    Emin=-999999,
    Emax=999999,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
INTEGER_DIGITS_MAX: Final = 20
QUANTITY_DECIMALS_MAX: Final = 12
PRICE_DECIMALS_MAX: Final = 18
AMOUNT_QUANTUM: Final = Decimal(1).scaleb(-PRICE_DECIMALS_MAX)
_quantize: Final = CONTEXT.quantize
_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_WITH_EXPONENT: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]{1,9}")


def plain(value: Decimal) -> str:
    """`value` in plain notation: no exponent, no trailing zeros, no negative zero."""
    if not value:
        return "0"
    text = str(value)  # the quickest notation there is, and plain already in all but a few cases
    if "E" in text:
        text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def round_amount(value: Decimal) -> Decimal:
    """Round half up (ties away from zero) to the 18 decimals in which amounts are kept."""
    return _quantize(value, AMOUNT_QUANTUM)


def fits(value: Decimal, decimals_max: int) -> bool:
    """Whether `value` keeps to the integer digits and decimals allowed; NaN and infinity never do."""
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return False
    if not value:
        return True
    if -exponent > decimals_max:
        written = "".join(map(str, digits))
        trailing_zeros = len(written) - len(written.rstrip("0"))
        if -exponent - trailing_zeros > decimals_max:
            return False
    return value.adjusted() < INTEGER_DIGITS_MAX


def round_money(value: Decimal, decimals: int) -> str:
    """`value` rounded half up (ties away from zero) to a currency's decimals, which are all written."""
    rounded = value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP, CONTEXT)
    return format(rounded if rounded else rounded.copy_abs(), "f")


def parse_quantity(value: object, param: str) -> Decimal:
    """A quantity as callers write it, in a string: at most 20 integer digits and 12 decimals.

    Raises InvalidRequest `invalid_type`, `invalid_decimal` or `number_out_of_range`, naming `param`.
    """
    return parse_decimal(value, param, QUANTITY_DECIMALS_MAX)


def parse_price(value: object, param: str) -> Decimal:
    """A price, rate or amount of money as callers write it: at most 20 integer digits and 18 decimals.

    Raises InvalidRequest `invalid_type`, `invalid_decimal` or `number_out_of_range`, naming `param`.
    """
    return parse_decimal(value, param, PRICE_DECIMALS_MAX)


def parse_decimal(value: object, param: str, decimals_max: int) -> Decimal:
    """The number that a string in plain notation stands for, exactly; see `parse_quantity` for the errors."""
    if not isinstance(value, str):
        raise InvalidRequest(
            "invalid_type", f'{param} must be a decimal number in quotes, such as "12.5".', param
        )
    is_plain = _PLAIN.fullmatch(value) is not None
    if not is_plain and not _WITH_EXPONENT.fullmatch(value):
        raise InvalidRequest(
            "invalid_decimal", f'{param} must be a number in plain notation, such as "12.5" or "-3".', param
        )
    number = Decimal(value)
    if not (is_plain and len(value) <= decimals_max) and not fits(number, decimals_max):
        raise InvalidRequest(
            "number_out_of_range",
            f"{param} may have at most {INTEGER_DIGITS_MAX} integer digits and {decimals_max} decimals.",
            param,
        )
    if not is_plain:
        raise InvalidRequest(
            "invalid_decimal", f'{param} must be written without an exponent: "{plain(number)}".', param
        )
    return number or ZERO


def round_significant(value: Decimal, digits: int) -> Decimal:
    """Rounded half up to so many significant digits, never before the point: 0.0123456 to 4 is 0.01235."""
    places = min(0, value.adjusted() - digits + 1)
    return value.quantize(Decimal(1).scaleb(places), ROUND_HALF_UP, CONTEXT)
