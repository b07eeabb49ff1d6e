"""An installation of these tests' own: real servers that may be killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from benchmarks.calls import Callers
from benchmarks.installation import Installation
from tests.billing.invariants import broken_invariants

PAYERS = "12"


@pytest.fixture(scope="session")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Callers]]:
    with Installation(tmp_path_factory.mktemp("faults") / "var") as installation:
        callers = Callers(**json.loads(installation.run_module("benchmarks.world", PAYERS)))
        installation.start_web()
        yield installation, callers


@pytest.fixture
def installation(_started: tuple[Installation, Callers]) -> Iterator[Installation]:
    """Everything runs at the test's start; after it, the books agree."""
    made = _started[0]
    made.postgres.start()
    made.redis.start()
    yield made
    made.postgres.start()
    with psycopg.connect(made.postgres.dsn) as connection:
        assert broken_invariants(connection) == []


@pytest.fixture(scope="session")
def world(_started: tuple[Installation, Callers]) -> dict[str, Any]:
    """The bounded customer of `limits_world`; made once."""
    made: dict[str, Any] = json.loads(_started[0].run_module("tests.faults.limits_world"))
    return made


@pytest.fixture
def callers(_started: tuple[Installation, Callers]) -> Callers:
    """Who may call it."""
    return _started[1]
