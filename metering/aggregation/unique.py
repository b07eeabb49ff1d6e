"""unique: how many different texts the property had; nothing is 0."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from metering.aggregation.base import Aggregation, Contribution, Reads, Window


class Unique(Aggregation):
    """The number of distinct texts."""

    reads = Reads.TEXT

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._texts: set[str] = set()

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Remember one text."""
        self._texts.add(str(contribution))

    def value(self) -> Decimal:
        """The number of distinct texts; 0 for none."""
        return Decimal(len(self._texts))
