"""`manage.py import_gateway_counts FILE`: what a gateway counted per key and hour."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from itertools import islice
from pathlib import Path
from typing import Any, Final

from billing.imports.rows import FORMATS, format_of, open_file, read_rows
from billing.outside.gateway_counts import SOURCE, LoadReport, counts_in, load_counts
from billing.outside.log_counts import count_access_log
from core.audit import Source, audited
from core.commands import TollgateCommand, reading
from core.instants import parse_instant

BATCH: Final = 5000
SHOWN_MAX: Final = 20
EPILOG: Final = """
Columns: api_key (key_..., or the SHA-256 of the secret), hour (its start, 2026-01-05T13:00:00Z), calls, and
event, where calls of one event alone were counted. With --access-log FILE is a log in the form of
docs/operations/nginx.md instead, and its lines are counted.

The same file again changes nothing; another count of the same hour supersedes the one before, which stays
in the history. Ends with 1 when there was a row that could not be taken.
"""


class Command(TollgateCommand):
    """Load a gateway's counts."""

    help = "Load a gateway's own count of calls per key and hour (CSV or JSONL), to be reconciled."
    epilog = EPILOG
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file and what it is."""
        parser.add_argument("file", help="CSV with a header, or JSONL; also .gz")
        parser.add_argument("--format", choices=FORMATS, help="default: by the file's name")
        parser.add_argument("--source", default=SOURCE, help=f"which gateway counted (default {SOURCE})")
        parser.add_argument("--counted-until", metavar="ISO", help="up to when it had counted; default: now")
        parser.add_argument("--access-log", action="store_true", help="FILE is an access log; count it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load the file and say what became of it."""
        path = Path(options["file"])
        with reading(path), audited(Source.COMMAND, "import_gateway_counts"):
            report, left_out = self._load(path, options)
        for problem in report.problems[:SHOWN_MAX]:
            self.stderr.write(f"row {problem.number + 1}: {problem.error.message}")
        self.stdout.write(
            f"{report.added:,} counts added, {report.superseded:,} of them in place of older ones,"
            f" {report.unchanged:,} unchanged, {len(report.problems):,} not taken."
        )
        if left_out:
            self.stdout.write(f"{left_out:,} lines name no key of ours, or cannot be read.")
        if report.problems:
            sys.exit(1)

    def _load(self, path: Path, options: dict[str, Any]) -> tuple[LoadReport, int]:
        if options["access_log"]:
            return count_access_log(path, by="import_gateway_counts")
        until = options["counted_until"] and parse_instant(options["counted_until"], "counted_until")
        report = LoadReport()
        with open_file(path) as (stream, _):
            rows = counts_in(read_rows(stream, options["format"] or format_of(path)), report)
            while batch := list(islice(rows, BATCH)):
                loaded = load_counts(
                    batch, source=options["source"], counted_until=until or None, by="import_gateway_counts"
                )
                report.add(loaded)
        return report, 0
