"""sum: all values added, negative ones (reversals) too; nothing added is 0."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from core.numbers import CONTEXT, ZERO
from metering.aggregation.base import Aggregation, Contribution, Window


class Sum(Aggregation):
    """The exact sum of the values."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._total = ZERO

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Add one value."""
        self._total = CONTEXT.add(self._total, Decimal(contribution))

    def value(self) -> Decimal:
        """The sum; 0 for none."""
        return self._total
