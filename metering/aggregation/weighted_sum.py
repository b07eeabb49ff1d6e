"""weighted_sum: values change a running level; the result is the level's mean over time.

Each value holds from its instant to the end of the window, the level carried in holds throughout, so the mean
is `level + sum(value x remaining time) / whole time`: one exact sum, one division, rounded half up to 18
decimals. The order of the events does not matter.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from core.numbers import CONTEXT, ZERO, round_amount
from metering.aggregation.base import Aggregation, Contribution, Window

_MICROSECOND: Final = timedelta(microseconds=1)


class WeightedSum(Aggregation):
    """The time-weighted mean of a running level over the whole window."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._weighted = ZERO  # value x microseconds

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Let the level change by one value from `occurred_at` on."""
        remaining = Decimal((self.window.end - occurred_at) // _MICROSECOND)
        self._weighted = CONTEXT.fma(Decimal(contribution), remaining, self._weighted)

    def value(self) -> Decimal:
        """The mean level; 0 for none."""
        whole = Decimal((self.window.end - self.window.start) // _MICROSECOND)
        total = CONTEXT.fma(self.window.level, whole, self._weighted)
        return round_amount(CONTEXT.divide(total, whole))
