"""Set-based SQL on the driver's own connection, for the few modules that write hot tables.

Statements are prepared once per connection and may be sent in one round trip (`pipeline`). Many rows
go in by COPY; many keys go in as array literals, which cost a join instead of an adapter per value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


NULL: Final = "\x02"
"""Stands for null in rows: a control character, which no text that was let in contains."""

COPY_ROWS_MIN: Final = 100
"""From this many rows on COPY is the faster way; below it, an INSERT saves the round trips."""

Row = Sequence[str]


class HotTable:
    """A table that many rows are written to at once. Rows are texts (or NULL), in the columns' order."""

    def __init__(self, name: str, columns: Mapping[str, str]) -> None:
        names = ", ".join(columns)
        arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        self._copy = f"COPY {name} ({names}) FROM STDIN WITH (NULL '{NULL}')".encode()
        self._insert = f"INSERT INTO {name} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608
        self._quoted = [kind in ("text", "jsonb", "bytea") for kind in columns.values()]

    def copy(self, raw: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        """Write by COPY: many rows. Not in a pipeline."""
        lines = ["\t".join(row) for row in rows]
        text = "\n".join(lines).replace("\\", "\\\\") + "\n"
        with psycopg.Cursor(raw) as cursor, cursor.copy(self._copy) as copy:
            copy.write(text.encode())

    def insert(self, raw: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        """Write by one INSERT: few rows. In a pipeline, it costs no round trip."""
        columns = zip(*rows, strict=True)
        arrays = [
            _quoted_array(column) if quoted else "{" + ",".join(column).replace(NULL, "NULL") + "}"
            for column, quoted in zip(columns, self._quoted, strict=True)
        ]
        execute(raw, self._insert, arrays)


def copy_many(
    raw: psycopg.Connection[Any], writes: Iterable[tuple[HotTable, Sequence[Row]]]
) -> list[tuple[HotTable, Sequence[Row]]]:
    """COPY what has many rows; gives back the rest, for `insert_few` in a pipeline."""
    rest = []
    for table, rows in writes:
        if len(rows) >= COPY_ROWS_MIN:
            table.copy(raw, rows)
        elif rows:
            rest.append((table, rows))
    return rest


def insert_few(raw: psycopg.Connection[Any], writes: Iterable[tuple[HotTable, Sequence[Row]]]) -> None:
    """INSERT what `copy_many` left."""
    for table, rows in writes:
        table.insert(raw, rows)


def _quoted_array(values: Iterable[str]) -> str:
    return text_array(values).replace(f'"{NULL}"', "NULL")


def number_array(values: Iterable[int | Decimal]) -> str:
    """An array literal of numbers; cast it in the statement."""
    return "{" + ",".join(map(str, values)) + "}"


def text_array(values: Iterable[str]) -> str:
    """An array literal of texts."""
    quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in values]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"
