"""avg: the arithmetic mean of the values, rounded half up to 18 decimals; of nothing there is none."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from core.numbers import CONTEXT, ZERO, round_amount
from metering.aggregation.base import Aggregation, Contribution, Window


class Avg(Aggregation):
    """The mean over events, each with the same weight."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._total = ZERO
        self._events = 0

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Add one value."""
        self._total = CONTEXT.add(self._total, Decimal(contribution))
        self._events += 1

    def value(self) -> Decimal | None:
        """The mean; None for none."""
        if not self._events:
            return None
        return round_amount(CONTEXT.divide(self._total, Decimal(self._events)))
