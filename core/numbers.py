"""Decimal numbers: one context, one parser, one notation.

Limits (RATING.md section 3): quantities have at most 20 integer digits and 12 decimals, prices and
amounts at most 20 integer digits and 18 decimals; anything else is `number_out_of_range`.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Final

# 80 digits hold (20 + 12 quantity digits) x (20 + 18 price digits) without loss.
CONTEXT: Final = Context(
    prec=80, rounding=ROUND_HALF_UP, Emin=-999999, Emax=999999, traps=[InvalidOperation, DivisionByZero, Overflow]
)
ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
INTEGER_DIGITS_MAX: Final = 20
QUANTITY_DECIMALS_MAX: Final = 12
PRICE_DECIMALS_MAX: Final = 18
AMOUNT_QUANTUM: Final = Decimal(1).scaleb(-PRICE_DECIMALS_MAX)


def plain(value: Decimal) -> str:
    """`value` in plain notation: no exponent, no trailing zeros, no negative zero."""
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def round_amount(value: Decimal) -> Decimal:
    """Round half up (ties away from zero) to the 18 decimals in which amounts are kept."""
    return value.quantize(AMOUNT_QUANTUM, ROUND_HALF_UP, CONTEXT)


def fits(value: Decimal, decimals_max: int) -> bool:
    """Whether a finite `value` keeps to the integer digits and decimals allowed."""
    if not value.is_finite():
        return False
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    if -exponent > decimals_max:
        trailing = len(digits) - len("".join(map(str, digits)).rstrip("0"))
        if value and -exponent - trailing > decimals_max:
            return False
    return value.adjusted() < INTEGER_DIGITS_MAX
