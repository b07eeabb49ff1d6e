"""max: the largest value; of nothing there is none (priced as 0)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from metering.aggregation.base import Aggregation, Contribution, Window


class Max(Aggregation):
    """The largest value."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._value: Decimal | None = None

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Keep the value if it is the largest so far."""
        number = Decimal(contribution)
        if self._value is None or number > self._value:
            self._value = number

    def value(self) -> Decimal | None:
        """The largest value; None for none."""
        return self._value
