"""What these tests share: an integration's way in, and a look at the books after each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.concurrency.callers import Api


@pytest.fixture(autouse=True)
def _books_agree(transactional_db: None) -> Iterator[None]:
    """After each test: entries, balances, numbers, counters and buckets agree."""
    yield
    assert broken_invariants(driver()) == []


@pytest.fixture
def api() -> Api:
    return Api()
