"""Percentiles of few enough values to hold. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def nearest_rank(ordered: Sequence[Decimal], percent: int) -> Decimal | None:
    """The value at place ceil(percent/100 x n) of values in ascending order; None of nothing.

    Nearest rank: every percentile is some customer's own value.
    """
    if not ordered:
        return None
    return ordered[max(1, -(-percent * len(ordered) // 100)) - 1]
