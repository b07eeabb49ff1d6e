"""The demo's clock: the history is charged at the instants at which it happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from core import clock


class Hands:
    """Where the hands of the clock stand. They only go forward."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def move(self, to: datetime) -> datetime:
        """Let it be `to`, unless it is later already; the instant that it is then."""
        self.at = max(self.at, to)
        return self.at


@contextmanager
def told_by(hands: Hands) -> Iterator[Hands]:
    """Take the time from `hands`, for all of this process."""
    clock.use(lambda: hands.at)
    try:
        yield hands
    finally:
        clock.use(None)
