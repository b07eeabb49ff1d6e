"""One instant for many statements: what is read inside agrees, whatever is charged meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection, transaction

from core.sql import driver


@contextmanager
def snapshot() -> Iterator[psycopg.Connection[Any]]:
    """A transaction that reads as of its first statement and writes nothing. Inside one, that one goes on."""
    if connection.in_atomic_block:
        yield driver()
        return
    with transaction.atomic():
        raw = driver()
        raw.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield raw
