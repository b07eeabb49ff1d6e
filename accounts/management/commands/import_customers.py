"""`manage.py import_customers FILE`: customers, trees, payers and key fingerprints, as often as you like."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.importing.batch import Report, import_rows
from accounts.importing.rows import COLUMNS, LineError, Row, read_rows
from core.audit import Source, audited
from core.commands import TollgateCommand

BATCH: Final = 1000
ERRORS_SHOWN: Final = 100


class Command(TollgateCommand):
    """Exits with 0 when every line was taken, with 1 otherwise; a second run adds nothing."""

    help = f"Import customers from CSV or JSONL. Fields: {', '.join(COLUMNS)}."

    def add_arguments(self, parser: CommandParser) -> None:
        """The file, and whether to write."""
        parser.add_argument("file", metavar="FILE", type=Path, help="a .csv file with a header, or JSONL")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")

    def handle(self, *args: Any, file: Path, dry_run: bool, **options: Any) -> None:
        """Import; CommandError (exit code 1) when a line or the file could not be taken."""
        report = Report()
        with audited(Source.COMMAND, "manage.py import_customers"):
            if dry_run:
                self._rehearse(file, report)
            else:
                self._import(file, report)
        self._tell(report, dry_run)
        if report.errors:
            raise CommandError(f"{len(report.errors)} of {report.lines} lines were not taken.")

    def _import(self, file: Path, report: Report) -> None:
        for batch in _batched(read_rows(file)):
            report.lines += len(batch)
            report.errors += [line for line in batch if isinstance(line, LineError)]
            import_rows([line for line in batch if isinstance(line, Row)], report)
            if report.lines % (10 * BATCH) == 0:
                self.stderr.write(f"{report.lines:,} lines")

    def _rehearse(self, file: Path, report: Report) -> None:
        """Everything as for real, in a transaction that is taken back."""
        with transaction.atomic():
            self._import(file, report)
            transaction.set_rollback(True)

    def _tell(self, report: Report, dry_run: bool) -> None:
        for error in sorted(report.errors, key=lambda error: error.line)[:ERRORS_SHOWN]:
            self.stderr.write(f"line {error.line}: {error.message}")
        if len(report.errors) > ERRORS_SHOWN:
            self.stderr.write(f"... and {len(report.errors) - ERRORS_SHOWN} more")
        would = "would be " if dry_run else ""
        self.stdout.write(f"{report.lines} lines read")
        for noun in report.created:
            created, changed = report.created[noun], report.changed[noun]
            self.stdout.write(f"{noun}: {created} {would}created, {changed} {would}changed")


def _batched(lines: Iterator[Row | LineError]) -> Iterator[list[Row | LineError]]:
    while batch := list(islice(lines, BATCH)):
        yield batch
