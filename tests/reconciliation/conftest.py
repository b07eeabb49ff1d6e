"""The books that are corrupted: made once, each test in a transaction of its own that is rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from core import clock
from tests.reconciliation.books import Books


@pytest.fixture(scope="module")
def books(django_db_setup: None, django_db_blocker: Any) -> Iterator[Books]:
    """One row of everything, in a transaction that is never committed."""
    with django_db_blocker.unblock():
        with transaction.atomic():
            yield Books()
            transaction.set_rollback(True)
        clock.use(None)


@pytest.fixture
def undone(books: Books) -> Iterator[Books]:
    """The same, and what a test does with it is rolled back."""
    with transaction.atomic():
        yield books
        transaction.set_rollback(True)
    books.keep_time()
