"""Changing what no trigger lets anybody change, as a superuser might."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def disarmed() -> Iterator[Any]:
    """A cursor for which no trigger and no foreign key holds."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        try:
            yield cursor
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")
