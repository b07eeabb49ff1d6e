"""Whole lines of log files, and files known by what is in them.

A file is known by its first line, which names a request that there is only once: so it stays the same file
when it is renamed, copied or packed, and a log that was truncated is a new one. Only whole lines are read:
one that is still being written waits for its end.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import IO, Final

LINE_BYTES_MAX: Final = 1 << 18
PACKED: Final = ".gz"
BROKEN: Final = (EOFError, gzip.BadGzipFile, zlib.error, PermissionError)
"""What reading a log raises that is cut off, damaged or still being packed, or that may not be read."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log that is open. `identity` is its content's, `modified_ns` its time when it was opened; `is_ours`:
    its first line names a request."""

    path: Path
    stream: IO[bytes]
    identity: str
    modified_ns: int
    is_ours: bool


@dataclass(frozen=True, slots=True)
class RawLine:
    """A whole line without its line end, from `offset` to `end`. `is_cut`: too long to be read. `caller`: the
    fingerprint of the key that was taken out of a line that is tried again."""

    offset: int
    end: int
    text: bytes
    is_cut: bool = False
    caller: str = ""

    @property
    def digest(self) -> str:
        """Tells whether a later reading finds the same line here."""
        return sha256(self.text).hexdigest()


@contextmanager
def open_log(path: Path) -> Iterator[LogFile | None]:
    """The log at `path`, unpacked where its name ends in `.gz`; None when there is none, or no whole line.

    It stays the same file while it is open, whatever rotation does to its name.
    """
    try:
        opened = path.open("rb")
    except (FileNotFoundError, IsADirectoryError):  # it may have moved away
        yield None
        return
    with opened:
        yield _look_at(path, opened)


def _look_at(path: Path, opened: BufferedReader) -> LogFile | None:
    stat = os.fstat(opened.fileno())
    stream: IO[bytes] = gzip.GzipFile(fileobj=opened) if path.suffix == PACKED else opened  # type: ignore[assignment]
    try:
        first = next(whole_lines(stream, 0), None)
    except (EOFError, gzip.BadGzipFile, zlib.error):  # still being packed
        return None
    if first is None:
        return None
    is_ours = _names_a_request(first.text)
    place = b"" if is_ours else b"%d:%d:" % (stat.st_dev, stat.st_ino)
    return LogFile(path, stream, sha256(place + first.text).hexdigest(), stat.st_mtime_ns, is_ours)


def whole_lines(stream: IO[bytes], offset: int) -> Iterator[RawLine]:
    """The whole lines from `offset` on; blank ones are skipped.

    A last line without its end counts as whole once it is a JSON object: nothing can be added to one.
    """
    stream.seek(offset)
    while text := stream.readline(LINE_BYTES_MAX):
        start, offset = offset, offset + len(text)
        is_cut = len(text) == LINE_BYTES_MAX and not text.endswith(b"\n")
        if is_cut:
            offset = _skip_line(stream, offset)
        elif not text.endswith(b"\n") and not _is_object(text):
            return
        if text.strip():
            yield RawLine(start, offset, text.strip(), is_cut)


def whole_lines_at_most(stream: IO[bytes], offset: int, most: int) -> tuple[list[RawLine], Exception | None]:
    """The next whole lines, and what ended them before there were so many, if not the end of the log."""
    lines: list[RawLine] = []
    try:
        lines.extend(islice(whole_lines(stream, offset), most))
    except BROKEN as error:
        return lines, error
    return lines, None


def is_line_at(stream: IO[bytes], offset: int, digest: str) -> bool:
    """Whether the line that was read at `offset` is still there: not if the log was cut off or rewritten."""
    line = next(whole_lines(stream, offset), None)
    return line is not None and line.offset == offset and line.digest == digest


def rotated(path: Path) -> list[Path]:
    """The logs that were once at `path`, oldest first: `NAME.1`, `NAME-20261125.gz` and the like."""
    found = []
    for entry in os.scandir(path.parent):
        if entry.name != path.name and entry.name.startswith(
            (f"{path.name}.", f"{path.name}-", f"{path.stem}-")
        ):
            try:
                found.append((entry.stat().st_mtime_ns, entry.name))
            except FileNotFoundError:  # rotated away while we looked
                continue
    return [path.parent / name for _, name in sorted(found)]


def _skip_line(stream: IO[bytes], offset: int) -> int:
    while text := stream.readline(LINE_BYTES_MAX):
        offset += len(text)
        if text.endswith(b"\n"):
            break
    return offset


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _names_a_request(text: bytes) -> bool:
    try:
        return bool(json.loads(text)["request_id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
