"""latest: the value of the event that occurred last; of equal instants the later in order wins."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from metering.aggregation.base import Aggregation, Contribution, Window


class Latest(Aggregation):
    """The value that stands at the end of the window."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._value: Decimal | None = None
        self._occurred_at: datetime | None = None

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Keep the value unless a later one is known."""
        if self._occurred_at is None or occurred_at >= self._occurred_at:
            self._value, self._occurred_at = Decimal(contribution), occurred_at

    def value(self) -> Decimal | None:
        """The last value; None for none."""
        return self._value
