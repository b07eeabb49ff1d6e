"""Processor time by phase, nested: a phase gets what its inner phases do not take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any


class Stopwatch:
    """Reads `now` (nanoseconds of some clock) at the edges of phases."""

    def __init__(self) -> None:
        self.now: Callable[[], int] = int
        self.spent: defaultdict[str, int] = defaultdict(int)
        self._inner = [0]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the block as a phase of this name."""
        started = self.now()
        self._inner.append(0)
        try:
            yield
        finally:
            took = self.now() - started
            self.spent[name] += took - self._inner.pop()
            self._inner[-1] += took

    def wrap(self, owner: Any, function: str, name: str) -> None:
        """Measure a module's or class's function as a phase wherever it is called through its owner."""
        original: Callable[..., Any] = getattr(owner, function)

        @wraps(original)
        def measured(*arguments: Any, **options: Any) -> Any:
            with self.phase(name):
                return original(*arguments, **options)

        setattr(owner, function, measured)
