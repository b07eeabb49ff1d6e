"""The time at which the tests of a module stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from core import clock


def standing_at(instant: datetime) -> Any:
    """A fixture for a module: each of its tests begins at `instant`; after it the time is the real one."""

    @pytest.fixture(autouse=True)
    def standing() -> Iterator[None]:
        clock.use(lambda: instant)
        yield
        clock.use(None)

    return standing
