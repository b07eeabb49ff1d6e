"""Dividing an amount exactly, by the largest remainder. Pure: see docs/algorithms/vendor-bills.md."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from typing import Final, NamedTuple

from core.numbers import AMOUNT_QUANTUM, CONTEXT, PRICE_DECIMALS_MAX, ZERO

subtract, multiply = CONTEXT.subtract, CONTEXT.multiply
QUANTUM: Final = AMOUNT_QUANTUM


class Split(NamedTuple):
    """What becomes of a bill beyond what was booked: added to the calls, and what no call explains."""

    spread: Decimal
    unattributed: Decimal


def split_bill(
    total: Decimal, booked: Decimal, *, not_usage: Decimal = ZERO, max_uplift: Decimal | None = None
) -> Split:
    """How much of a bill's difference is spread over calls for which `booked` was booked.

    Less than was booked is spread whole (negative); more than it up to `max_uplift` of what was booked.
    Booked + spread + unattributed = total.
    """
    difference = subtract(subtract(total, not_usage), booked)
    if booked <= 0:
        spread = ZERO
    elif max_uplift is None or difference <= 0:
        spread = difference
    else:
        spread = min(difference, _floor(multiply(booked, max_uplift)))
    return Split(spread, subtract(subtract(total, booked), spread))


def allocate(amount: Decimal, weights: Sequence[Decimal]) -> list[Decimal]:
    """Parts of `amount` in proportion to `weights` (at least 0, not all 0), which sum to it exactly.

    Each is its share rounded toward zero to 18 decimals; what is left goes, one unit of the last decimal
    each, to those that lost most by it (of equals to the first). `amount` has at most 18 decimals.
    """
    if not amount:
        return [ZERO] * len(weights)
    units, shares = _units(amount.copy_abs()), [_units(weight) for weight in weights]
    whole = sum(shares)
    divided = [divmod(units * share, whole) for share in shares]
    parts = [part for part, _ in divided]
    by_loss = sorted(range(len(parts)), key=lambda place: -divided[place][1])
    for place in by_loss[: units - sum(parts)]:
        parts[place] += 1
    found = [multiply(Decimal(part), QUANTUM) for part in parts]
    return found if amount > 0 else [part.copy_negate() for part in found]


def _units(value: Decimal) -> int:
    """In units of the last decimal."""
    return int(value.scaleb(PRICE_DECIMALS_MAX, CONTEXT))


def _floor(value: Decimal) -> Decimal:
    return value.quantize(QUANTUM, ROUND_DOWN, CONTEXT)
