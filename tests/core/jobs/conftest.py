"""Two jobs of the tests' own, and time as they set it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.schedule import Due
from core import clock
from core.jobs import Job, find_job
from tests.core.jobs import samples

GOOD = "tests.core.jobs.samples.good"
OTHER = "tests.core.jobs.samples.other"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Machine:
    """The machine's clock: it stands where it is put."""

    def __init__(self) -> None:
        self.now = START

    def passes(self, **spans: float) -> None:
        self.now += timedelta(**spans)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock, "system_now", lambda: machine.now)
    return machine


@pytest.fixture
def good(settings: Any, machine: Machine) -> Iterator[Job]:
    """The first of two jobs."""
    settings.JOBS = (Due(GOOD, every=60.0), Due(OTHER, every=3600.0))
    samples.done.clear()
    samples.then.clear()
    yield find_job(GOOD)
    samples.then.clear()


@pytest.fixture
def other(good: Job) -> Job:
    """The second one."""
    return find_job(OTHER)
