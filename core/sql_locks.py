"""Locks that a process holds for as long as it does something, and that go when the process goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Final

from django.db import Error, connection

_PAUSE_SECONDS: Final = 0.05


@contextmanager
def session_lock(name: str, patience: float = 0.0) -> Iterator[bool]:
    """Hold the database's lock of this name; gives whether it was got within `patience` seconds.

    It is held on a connection of its own, so that nothing the work does to the usual one lets it go, and no
    transaction stays open for it. When the process dies, the server takes the lock back: some time after, as
    it does when a connection is closed, so whoever is alive gives it back in words.
    """
    own = connection.copy()
    key = int.from_bytes(blake2b(f"tollgate:{name}".encode(), digest_size=8).digest(), signed=True)
    deadline = time.monotonic() + patience
    try:
        with own.cursor() as cursor:
            while True:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
                is_held = bool(cursor.fetchone()[0])
                if is_held or time.monotonic() >= deadline:
                    break
                time.sleep(_PAUSE_SECONDS)
        try:
            yield is_held
        finally:
            if is_held:
                with suppress(Error), own.cursor() as cursor:  # with the connection the lock is gone
                    cursor.execute("SELECT pg_advisory_unlock(%s)", [key])
    finally:
        own.close()
