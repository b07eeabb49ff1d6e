"""Whole lines of log files, and files known by what is in them.

A file is known by its first line, which names a request that there is only once: so it stays the same file
when it is renamed, copied or packed, and a log that was truncated is a new one. Only whole lines are read:
one that is still being written waits for its end.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import IO, Final

LINE_BYTES_MAX: Final = 1 << 18
PACKED: Final = ".gz"


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log as it stands at `path` now. `identity` is its content's; `modified_ns` its time then."""

    path: Path
    identity: str
    modified_ns: int


@dataclass(frozen=True, slots=True)
class RawLine:
    """A whole line without its line end, from `offset` to `end`. `is_cut`: too long to be read."""

    offset: int
    end: int
    text: bytes
    is_cut: bool = False

    @property
    def digest(self) -> str:
        """Tells whether a later reading finds the same line here."""
        return sha256(self.text).hexdigest()


def look_at(path: Path) -> LogFile | None:
    """The log at `path`; None when there is none, or no whole line in it yet."""
    try:
        stat = path.stat()
        if not S_ISREG(stat.st_mode):
            return None
        with open_log(path) as stream:
            first = next(whole_lines(stream, 0), None)
    except (FileNotFoundError, EOFError, gzip.BadGzipFile):  # moved away meanwhile, or still being packed
        return None
    if first is None:
        return None
    place = b"" if _names_a_request(first.text) else b"%d:%d:" % (stat.st_dev, stat.st_ino)
    return LogFile(path, sha256(place + first.text).hexdigest(), stat.st_mtime_ns)


@contextmanager
def open_log(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a log, unpacked where its name ends in `.gz`."""
    stream: IO[bytes]
    with gzip.open(path) if path.suffix == PACKED else path.open("rb") as stream:  # type: ignore[assignment]
        yield stream


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
