"""From checkpoint to checkpoint: a log is read in batches, and each is settled before it is noted as read.

What a batch brings has counted when the note is written; if we die in between, the same lines come again and
bring nothing, because each has a key of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from django.db import transaction
from django.db.models import F

from billing.access_log.files import (
    BROKEN,
    LogFile,
    RawLine,
    is_line_at,
    open_log,
    rotated,
    whole_lines_at_most,
)
from billing.access_log.lines import FREE_FROM, caller_mark
from billing.access_log.settling import Unread, settle_lines
from billing.models import AccessLog, UnreadLine
from billing.models.access_logs import COUNTS
from core import clock
from core.sql import drop_broken_connection

BATCH: Final = 500
TEXT_MAX: Final = 16_000
_CALLER: Final = re.compile(r'("(?:caller|api_key)"\s*:\s*")(?:[^"\\]|\\.)*')


@dataclass(slots=True)
class IngestReport:
    """What came of the lines, by the names of `AccessLog`'s counts, and why some could not be read.

    `broken`: rotated logs that could not be read to their end, with what went wrong.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    broken: dict[Path, str] = field(default_factory=dict)

    @property
    def not_taken(self) -> int:
        """How many lines and logs wait for somebody: in quarantine, unread, or broken."""
        return self.counts["quarantined"] + self.counts["unread"] + len(self.broken)


class Ingester:
    """Settles a log and what rotation made of it, again and again; remembers which files had nothing new."""

    def __init__(self, path: Path, *, free_from: int = FREE_FROM, batch: int = BATCH) -> None:
        self.path = path.absolute()
        self._free_from, self._batch = free_from, batch
        self._seen: dict[Path, tuple[int, int, int]] = {}
        self._broken: dict[Path, tuple[int, int, int] | None] = {}

    def run(self, on_batch: Callable[[IngestReport], None] = lambda report: None) -> IngestReport:
        """Read what there is, rotated logs first. Raises what the database raises; then nothing is lost."""
        report = IngestReport()
        drop_broken_connection()
        newest = AccessLog.objects.filter(path=str(self.path)).order_by("-modified_ns").first()
        for path in [*rotated(self.path), self.path]:
            try:
                self._run_file(path, newest, report, on_batch)
            except BROKEN as error:  # it keeps no other log waiting; once it changes it is read on
                if isinstance(error, PermissionError) and path == self.path:
                    raise
                report.broken[path] = str(error) or type(error).__name__
                self._broken[path] = _state(path)
        return report

    def _run_file(
        self,
        path: Path,
        newest: AccessLog | None,
        report: IngestReport,
        on_batch: Callable[[IngestReport], None],
    ) -> None:
        """Read a file's new lines. A rotated one in another format counts if newer than what is known."""
        state = _state(path)
        if state is None or state in (self._seen.get(path), self._broken.get(path)):
            return
        with open_log(path) as file:
            if file is None:
                return
            known = AccessLog.objects.filter(identity=file.identity).first()
            is_new = newest is not None and file.modified_ns > newest.modified_ns
            if known or path == self.path or file.is_ours or is_new:
                log = known or _begin(file, self.path)
                if not self._read(file, log, report, on_batch):
                    return
        self._seen[path] = state

    def _read(
        self,
        file: LogFile,
        log: AccessLog,
        report: IngestReport,
        on_batch: Callable[[IngestReport], None],
    ) -> bool:
        """Whether all there is has been read, and not by somebody else at the same time.

        Raises, after the lines before it, what is wrong with a broken log.
        """
        offset = log.offset
        if log.last_line_at is not None and not is_line_at(file.stream, log.last_line_at, log.last_line):
            offset = 0  # it was cut off or rewritten
        while True:
            lines, broken = whole_lines_at_most(file.stream, offset, self._batch)
            if not lines and broken is not None:
                raise broken
            if not lines:
                return True
            counts, unread = settle_lines(lines, self._free_from)
            if not _note(log, file, lines[-1], counts, unread, self._free_from):
                return False
            offset = lines[-1].end
            report.counts.update(counts)
            report.problems.update(one.problem for one in unread)
            on_batch(report)


def _state(path: Path) -> tuple[int, int, int] | None:
    """Changes whenever the file does."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _begin(file: LogFile, path: Path) -> AccessLog:
    now = clock.now()
    log, _ = AccessLog.objects.get_or_create(
        identity=file.identity, defaults={"path": str(path), "first_read_at": now, "last_read_at": now}
    )
    return log


def _note(
    log: AccessLog,
    file: LogFile,
    last: RawLine,
    counts: Counter[str],
    unread: Sequence[Unread],
    free_from: int,
) -> bool:
    """Note a batch as read, unless another process has done so."""
    now = clock.now()
    with transaction.atomic():
        changed = AccessLog.objects.filter(pk=log.pk, offset=log.offset).update(
            offset=last.end,
            last_line_at=last.offset,
            last_line=last.digest,
            modified_ns=file.modified_ns,
            last_read_at=now,
            **{name: F(name) + counts[name] for name in COUNTS},
        )
        if changed:
            UnreadLine.objects.bulk_create(
                [_unread_line(log, one, now, free_from) for one in unread], ignore_conflicts=True
            )
    log.offset = last.end
    return bool(changed)


def _unread_line(log: AccessLog, unread: Unread, now: datetime, free_from: int) -> UnreadLine:
    """What is kept of a line: its text as it is, but for the key that somebody may use again."""
    text = unread.line.text[: 4 * TEXT_MAX].decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return UnreadLine(
        log=log,
        offset=unread.line.offset,
        text=_CALLER.sub(r"\1...", text)[:TEXT_MAX],
        problem=unread.problem,
        read_at=now,
        caller=caller_mark(unread.line.text),
        free_from=free_from,
    )
