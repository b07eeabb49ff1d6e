"""Many at once: threads that start together, each on a database connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any, TypeVar

from django.db import connection

Result = TypeVar("Result")
START_SECONDS_MAX = 30


def at_once(works: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run all works at the same time; their results in order. Raises what a work raised."""
    start = Barrier(len(works))

    def run(work: Callable[[], Result]) -> Result:
        try:
            start.wait(START_SECONDS_MAX)
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def tried_at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run all works at the same time; in order, what each gave or raised."""

    def tried(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:
            return error

    return at_once([partial(tried, work) for work in works])


def deal(cards: Sequence[Result], hands: int) -> list[list[Result]]:
    """Deal cards to so many hands, in turn."""
    return [list(cards[hand::hands]) for hand in range(hands)]
