"""Set-based SQL on the driver's own connection, for the few modules that write hot tables.

Statements are prepared once per connection and may be sent in one round trip (`pipeline`). Many rows
go in by COPY; many keys go in as array literals, which cost a join instead of an adapter per value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import psycopg
from django.db import connection

# Django switches preparing off; with this threshold only statements that ask for it are prepared.
_ONLY_ON_REQUEST: Final = 2**31


def driver() -> psycopg.Connection[Any]:
    """The driver's connection under Django's, inside whatever transaction Django has open."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    if raw.prepare_threshold is None:
        raw.prepare_threshold = _ONLY_ON_REQUEST
    return raw


def execute(raw: psycopg.Connection[Any], query: str, params: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
    """Run a prepared statement with server-side parameters. In a pipeline the rows come at its end."""
    cursor: psycopg.Cursor[Any] = psycopg.Cursor(raw)
    cursor.execute(query.encode(), params, prepare=True)
    return cursor


def copy_lines(raw: psycopg.Connection[Any], table: str, columns: str, lines: Sequence[str]) -> None:
    """COPY rows that `copy_line` made."""
    if not lines:
        return
    with psycopg.Cursor(raw) as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
        copy.write("".join(lines).encode())


def copy_line(values: Iterable[str]) -> str:
    """One row in COPY's text format, of texts made by `str`, `copy_text` or NULL."""
    return "\t".join(values) + "\n"


NULL: Final = "\\N"


def copy_text(value: str | None) -> str:
    """A text from outside, escaped for COPY."""
    if value is None:
        return NULL
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return value


def number_array(values: Iterable[int | Decimal]) -> str:
    """An array literal of numbers; cast it in the statement."""
    return "{" + ",".join(map(str, values)) + "}"


def text_array(values: Iterable[str]) -> str:
    """An array literal of texts."""
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"
