"""What coupons take off a period's lines (docs/algorithms/coupons.md). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from core.numbers import CONTEXT, ZERO, round_amount
from pricing.cycles import Period
from pricing.rating.modifiers import HUNDRED


@dataclass(frozen=True, slots=True)
class Discount:
    """`percent` of each line that it applies to, or `amount` of all of them together.

    `components`: the keys of those lines; empty = all, base fees too.
    """

    percent: Decimal | None
    amount: Decimal | None
    components: frozenset[str] = frozenset()


class Line(NamedTuple):
    """A line of a period: a component's or fee's key, and its amount after the plan's own discounts."""

    key: str
    amount: Decimal


def coupon_discount(discount: Discount, lines: Sequence[Line]) -> list[Decimal]:
    """What one coupon takes off each line, in the lines' order; rounded half up to 18 decimals.

    Never more than the line: one of 0 or less is left alone. An amount is used up line after line.
    """
    left = discount.amount or ZERO
    taken = []
    for line in lines:
        applies = not discount.components or line.key in discount.components
        part = ZERO
        if applies and line.amount > 0:
            if discount.percent is not None:
                share = CONTEXT.divide(CONTEXT.multiply(line.amount, discount.percent), HUNDRED)
                part = min(round_amount(share), line.amount)
            else:
                part = min(left, line.amount)
                left = CONTEXT.subtract(left, part)
        taken.append(part)
    return taken


def coupon_discounts(discounts: Iterable[Discount], lines: Sequence[Line]) -> list[Decimal]:
    """What several coupons take off each line together: each one applies to what the one before has left."""
    rest = list(lines)
    for discount in discounts:
        taken = coupon_discount(discount, rest)
        pairs = zip(rest, taken, strict=True)
        rest = [Line(line.key, CONTEXT.subtract(line.amount, part)) for line, part in pairs]
    return [CONTEXT.subtract(line.amount, left.amount) for line, left in zip(lines, rest, strict=True)]


def coupon_holds(period: Period, periods: Iterable[Period], redeemed_at: datetime, limit: int | None) -> bool:
    """Whether a coupon redeemed at `redeemed_at` still holds in `period`, one of a subscription's `periods`.

    The first period that it holds in is the one that runs at the redemption (or begins next after it);
    with a `limit`, it holds in so many.
    """
    if period.end <= redeemed_at:
        return False
    held = [each for each in periods if each.end > redeemed_at and each.start < period.start]
    return limit is None or len(set(held)) < limit
