"""What every aggregation has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import ClassVar

from core.numbers import ZERO

Contribution = Decimal | str


class Reads(Enum):
    """What an aggregation takes from an event."""

    NOTHING = "nothing"  # the event itself counts
    NUMBER = "number"  # the property as a quantity
    TEXT = "text"  # the property as a text


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open period `[start, end)` (aware) and the level carried in from before it."""

    start: datetime
    end: datetime
    level: Decimal = ZERO


class Aggregation(ABC):
    """Folds the contributions of one group's events, given in file (or seq) order, into one quantity."""

    reads: ClassVar[Reads] = Reads.NUMBER

    def __init__(self, window: Window) -> None:
        self.window = window

    @abstractmethod
    def add(self, contribution: Contribution, occurred_at: datetime) -> None:
        """Take one event in; `occurred_at` lies in the window."""

    @abstractmethod
    def value(self) -> Decimal | None:
        """The quantity so far; None where an aggregation of nothing has none."""
