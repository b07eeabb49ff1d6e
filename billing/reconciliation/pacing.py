"""A run rests between its steps as long as others are at work: a call beside it should hardly feel it.

A step keeps one processor and the disk's cache busy. While a run rests, calls are as quick as without it.
"""

from __future__ import annotations

from time import perf_counter
from typing import Final

from billing.store_reconciliation import read_commits
from core.sql import driver

REST: Final = 1.0
"""How long a run rests after a step, in terms of how long that took: half of the time calls are alone."""
BUSY: Final = 5
"""Transactions a second of others from which on somebody is at work; what is always due makes one or two."""
OWN: Final = 2
"""Transactions of a step and its reading of this count."""


def rest_after(worked: float, commits: int, elapsed: float) -> float:
    """How long to rest, in seconds, after `worked` of them. Pure.

    `commits`: transactions of the database in the last `elapsed` seconds, the step's own among them.
    """
    return worked * REST if commits - OWN >= BUSY * elapsed else 0.0


class Pace:
    """Counts what the database has committed from step to step."""

    def __init__(self) -> None:
        """Begin to count."""
        self._commits, self._at = read_commits(driver()), perf_counter()

    def rest(self, worked: float) -> float:
        """How long to rest after a step that took so long."""
        commits, at = read_commits(driver()), perf_counter()
        seconds = rest_after(worked, commits - self._commits, at - self._at)
        self._commits, self._at = commits, at
        return seconds
