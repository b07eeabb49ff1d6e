"""count: how many events. It reads no property; nothing counted is 0."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from metering.aggregation.base import Aggregation, Contribution, Reads, Window


class Count(Aggregation):
    """The number of events."""

    reads = Reads.NOTHING

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._events = 0

    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Count one event."""
        self._events += 1

    def value(self) -> Decimal:
        """The number of events; 0 for none."""
        return Decimal(self._events)
