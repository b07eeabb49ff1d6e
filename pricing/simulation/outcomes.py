"""What a simulation says of many payers: who wins, who loses, how differences are spread. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Final

from core.numbers import CONTEXT

HUNDRED: Final = Decimal(100)
DECILES: Final = 10


class Outcome(StrEnum):
    """What a version would mean to a payer, from the payer's side."""

    WINNER = "winner"  # pays less
    LOSER = "loser"  # pays more
    UNCHANGED = "unchanged"


def outcome_of(difference: Decimal) -> Outcome:
    """Whether a payer whose bill changes by `difference` wins or loses."""
    if not difference:
        return Outcome.UNCHANGED
    return Outcome.LOSER if difference > 0 else Outcome.WINNER


def grows_by_more_than(current: Decimal, difference: Decimal, percent: Decimal) -> bool:
    """Whether a bill grows by more than `percent` of what it is; from nothing, any growth is more."""
    allowed = CONTEXT.divide(CONTEXT.multiply(current.copy_abs(), percent), HUNDRED)
    return difference > 0 and difference > allowed


def deciles(ordered: Iterable[Decimal], count: int) -> list[Decimal]:
    """The smallest of `count` values in ascending order, the nine deciles, the largest; none of nothing.

    Nearest rank: decile d is the value at place ceil(d x count / 10), so each one is some payer's own.
    """
    if not count:
        return []
    places = [max(1, -(-number * count // DECILES)) for number in range(DECILES + 1)]
    found: list[Decimal] = []
    for place, value in enumerate(ordered, start=1):
        while len(found) < len(places) and places[len(found)] == place:
            found.append(value)
    return found
