"""The one source of time. SQL never calls now(); code asks `clock.now()`.

With `TOLLGATE_TEST_CLOCK=1` an instant set through `core.test_clock` stands for it, in every process.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] | None = None


def now() -> datetime:
    """The present instant, aware, in UTC."""
    if _source is not None:
        return _source()
    return system_now()


def system_now() -> datetime:
    """What the machine's clock says, whatever `use` was told."""
    return datetime.now(UTC)


def use(source: Callable[[], datetime] | None) -> None:
    """Take the time from `source` in this process, or from the system again when it is None."""
    global _source
    _source = source
