"""A list as CSV, streamed row by row, with cells that a spreadsheet would run made harmless."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from core.numbers import plain
from core.pages.columns import Column
from core.pages.rows import Rows

_FORMULA_STARTS: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # the last four: full width
_CHUNK: Final = 2_000


class _Line:
    """A file whose `write` hands the line back: the csv module writes, the response streams."""

    def write(self, line: str) -> str:
        return line


def csv_cell(value: object) -> str:
    """A value as a cell: numbers plain, instants in UTC, text defused by a leading apostrophe."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case Decimal():
            return plain(value)
        case int():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    words = str(value).replace("\x00", "")
    return f"'{words}" if words.startswith(_FORMULA_STARTS) else words


def csv_lines(columns: Sequence[Column], rows: Iterable[Any]) -> Iterator[str]:
    """The header and a line for each row. Headers are the columns' keys, which do not change with words."""
    writer = csv.writer(_Line())
    yield writer.writerow(key for column in columns for key in column.csv_keys)
    for row in rows:
        yield writer.writerow(csv_cell(value) for column in columns for value in column.csv(row))


def csv_response(name: str, columns: Sequence[Column], rows: Rows) -> StreamingHttpResponse:
    """A download named `name`.csv with every row of the current filter, not only one page."""
    source = rows.iterator(chunk_size=_CHUNK) if isinstance(rows, QuerySet) else iter(rows)
    return StreamingHttpResponse(
        csv_lines(columns, source),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"', "Cache-Control": "no-store"},
    )
