"""Rows of a file, one after the other: a file of any size is never held in memory."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from core.errors import InvalidRequest
from core.jsonio import parse_json
from core.texts import is_forbidden

LINE_BYTES_MAX: Final = 1 << 20
CSV, JSONL = FORMATS = ("csv", "jsonl")


@dataclass(slots=True)
class Row:
    """One row: where it stands (`line`, 1-based; `number` counts rows), its text, and its values by name.

    `problem` instead of values: why the row cannot be read.
    """

    line: int
    number: int
    text: str
    values: dict[str, Any]
    problem: str | None = None


def format_of(path: Path) -> str:
    """CSV or JSONL, by the file's name; raises InvalidRequest when it does not say."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = {".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL}.get(suffixes[-1] if suffixes else "")
    if kind is None:
        raise InvalidRequest("unknown_format", f"Is {path.name!r} CSV or JSONL? Say so with --format.")
    return kind


@contextmanager
def open_file(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file's bytes, unpacked when it is gzip, and the file itself, whose place tells the progress."""
    with path.open("rb") as raw:
        if path.suffix.lower() == ".gz":
            with gzip.open(raw, "rb") as unpacked:
                yield unpacked, raw  # type: ignore[misc]
        else:
            yield raw, raw


def read_rows(stream: IO[bytes], kind: str, columns: Iterable[str] = ()) -> Iterator[Row]:
    """The rows of a CSV file with a header, or of a JSONL file; empty lines are skipped.

    A row that cannot be read has a `problem`. Raises InvalidRequest for a CSV file without a usable header or
    without one of `columns`.
    """
    return _read_csv(stream, columns) if kind == CSV else _read_jsonl(stream)


def _read_csv(stream: IO[bytes], columns: Iterable[str]) -> Iterator[Row]:
    # What is not UTF-8 becomes half surrogates, which no event may contain: the row is refused, not the file.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield from _csv_rows(csv.reader(text, strict=True), columns)
    finally:
        text.detach()  # the stream is the caller's to close


def _csv_rows(reader: Any, columns: Iterable[str]) -> Iterator[Row]:
    header = _header(reader)
    for column in columns:
        if column not in header:
            there = ", ".join(header)
            raise InvalidRequest("invalid_mapping", f"There is no column {column!r}; there are {there}.")
    for number in count(1):
        try:
            cells = next(filter(None, reader))
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(reader.line_num, number, "", {}, f"not CSV: {error}")
            continue
        row = Row(reader.line_num, number, "\x1f".join(cells), {})
        if len(cells) == len(header):
            row.values = dict(zip(header, cells, strict=True))
        else:
            row.problem = f"{len(cells)} cells under {len(header)} columns"
        yield row


def _header(reader: Any) -> list[str]:
    try:
        header: list[str] = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise InvalidRequest("invalid_file", f"The header is not CSV: {error}.") from error
    if any(is_forbidden(letter) for name in header for letter in name):
        raise InvalidRequest("invalid_file", "The header is not text in UTF-8; save the file as UTF-8.")
    if not any(header):
        raise InvalidRequest("invalid_file", "The file is empty; a CSV file begins with a header.")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidRequest("invalid_file", f"The header names {twice[0]!r} twice.")
    return header


def _read_jsonl(stream: IO[bytes]) -> Iterator[Row]:
    number = line = 0
    while raw := stream.readline(LINE_BYTES_MAX):
        line += 1
        is_whole = raw.endswith(b"\n") or len(raw) < LINE_BYTES_MAX
        if not is_whole:
            while (rest := stream.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
                pass
        if not raw.strip():
            continue
        number += 1
        yield (
            _json_row(raw, line, number)
            if is_whole
            else Row(line, number, "", {}, f"the line is longer than {LINE_BYTES_MAX:,} bytes")
        )


def _json_row(raw: bytes, line: int, number: int) -> Row:
    row = Row(line, number, raw.strip().decode("utf-8", "surrogateescape"), {})
    try:
        value = parse_json(raw)
    except InvalidRequest as error:
        row.problem = error.message
        return row
    if isinstance(value, dict):
        row.values = value
    else:
        row.problem = "not a JSON object"
    return row
