"""Set-based SQL on the driver's own connection, for the few modules that write hot tables.

Statements are prepared once per connection and may be sent in one round trip (`core.pipeline`). Many rows
go in by COPY; many keys go in as array literals, which cost a join instead of an adapter per value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import psycopg
from django.db import connection

from core.copying import copy_in
from core.pipeline import Answer, Pipeline

Session = psycopg.Connection[Any] | Pipeline
"""Where a statement goes: at once to the server, or into a pipeline that will."""


def driver() -> psycopg.Connection[Any]:
    """The driver's connection under Django's, inside whatever transaction Django has open."""
    connection.ensure_connection()
    raw: psycopg.Connection[Any] = connection.connection
    return raw


def drop_broken_connection() -> None:
    """Close this thread's connection if it was lost or grew old; the next statement opens a new one."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def commits_here() -> bool:
    """Whether the open transaction is one block's own, so that its commit may go with its last pipeline."""
    return len(connection.atomic_blocks) == 1


def execute(raw: Session, query: str, params: Sequence[Any] = ()) -> Answer:
    """Run a prepared statement. In a pipeline the rows come at its end."""
    if isinstance(raw, Pipeline):
        return raw.execute(query, params)
    with Pipeline(raw) as pipeline:
        return pipeline.execute(query, params)


def open_transaction() -> object | None:
    """Stands for the open transaction until it ends or a savepoint of it is rolled back; None outside of one.

    What was read in one and is kept in memory holds as long as this is the same object: Django begins a new
    list of what to do on commit whenever something of the transaction is undone.
    """
    return connection.run_on_commit if connection.in_atomic_block else None


def still_holds(read_in: object | None) -> bool:
    """Whether what was read in that `open_transaction()` and kept in memory may be used here and now.

    What was read outside of one, always: it was committed. The rest by nobody but its own transaction.
    docs/adr/0026-caches-and-transactions.md has the rule, and all caches.
    """
    return read_in is None or read_in is open_transaction()


SEPARATOR: Final = "\0"
NULL: Final = "\x02"
"""Stands for null in rows: a control character, which no text that was let in contains."""

COPY_ROWS_MIN: Final = 100
"""From this many rows on COPY is the faster way; below it, an INSERT saves the round trips."""

Row = str
"""The values of a row as COPY has them: texts (or NULL) in the columns' order, joined by TAB. What was let in
holds no control characters, and JSON escapes them; backslashes are escaped for all rows at once."""
TAB: Final = "\t"


LINES: Final = r"""
    SELECT string_to_array(line, E'\t', E'\x02') AS a FROM string_to_table(%s::text, E'\n') AS line
    OFFSET 0"""
"""Rows that come as one text, taken apart: neither side escapes anything. OFFSET 0: once a row, not once a
value."""


class HotTable:
    """A table that many rows are written to at once."""

    def __init__(self, name: str, columns: Mapping[str, str]) -> None:
        names = ", ".join(columns)
        self._columns = len(columns)
        self._copy = f"COPY {name} ({names}) FROM STDIN WITH (NULL '{NULL}')".encode()
        values = ", ".join(f"a[{number}]::{kind}" for number, kind in enumerate(columns.values(), start=1))
        self._insert = f"INSERT INTO {name} ({names}) SELECT {values} FROM ({LINES}) AS lines"  # noqa: S608

    def copy(self, raw: psycopg.Connection[Any], rows: Sequence[Row]) -> None:
        """Write by COPY: many rows. Not in a pipeline."""
        text = "\n".join(rows).replace("\\", "\\\\") + "\n"
        copy_in(raw, self._copy, text.encode())

    def insert(self, raw: Session, rows: Sequence[Row]) -> None:
        """Write by one INSERT: few rows. In a pipeline, it costs no round trip."""
        text = "\n".join(rows)
        if text.count(TAB) != (self._columns - 1) * len(rows) or text.count("\n") != len(rows) - 1:
            raise ValueError(f"A row has {self._columns} values, none with a TAB or a line's end.")
        execute(raw, self._insert, (text,))


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


def insert_few(raw: Session, writes: Iterable[tuple[HotTable, Sequence[Row]]]) -> None:
    """INSERT what `copy_many` left."""
    for table, rows in writes:
        table.insert(raw, rows)


def _quoted_array(values: Iterable[str]) -> str:
    return text_array(values).replace(f'"{NULL}"', "NULL")


_encode_numbers: Final = msgspec.json.Encoder(decimal_format="number").encode


def number_array(values: Iterable[int | Decimal]) -> str:
    """An array literal of numbers; cast it in the statement. Written as JSON, all at once: integers take a
    seventh of what `str` takes for each."""
    return f"{{{_encode_numbers([*values])[1:-1].decode()}}}"


def key_arrays(keys: Iterable[Sequence[Any]], kinds: str) -> tuple[str, ...]:
    """The columns of keys as array literals; a letter of `kinds` for each column: n(umber) or t(ext)."""
    columns = list(zip(*keys, strict=True)) or [()] * len(kinds)
    return tuple(
        number_array(column) if kind == "n" else text_array(column)
        for column, kind in zip(columns, kinds, strict=True)
    )


def text_array(values: Iterable[str]) -> str:
    """An array literal of texts. Escaped all at once, which is several times quicker than one by one."""
    texts = list(values)
    if not texts:
        return "{}"
    joined = SEPARATOR.join(texts)
    if joined.count(SEPARATOR) != len(texts) - 1:
        raise ValueError("PostgreSQL has no text with a NUL character.")
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '{"' + escaped.replace(SEPARATOR, '","') + '"}'


def nullable_text_array(values: Iterable[str | None]) -> str:
    """The same, where None is null."""
    return _quoted_array(NULL if value is None else value for value in values)
