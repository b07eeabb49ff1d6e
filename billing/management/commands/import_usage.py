"""`manage.py import_usage FILE`: history from CSV or JSONL, charged through the one path."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.management.base import CommandError

from accounts.models import ApiKey, BillingEntity, Workspace
from billing.imports import ImportReport, NotTaken, RowMapping, import_usage, read_mapping, read_rows
from billing.imports.rows import FORMATS, format_of, open_file
from core.api.references import find_referenced
from core.audit import Source, audited
from core.commands import TollgateCommand, reading
from metering.event_values import normalise_api_key

SHOWN_MAX: Final = 50
PROGRESS_EVERY: Final = 1.0
"""Seconds between two lines of progress."""

EPILOG: Final = """
FIELD is idempotency_key, event, workspace, api_key, billing_entity, occurred_at, user, trace,
properties.NAME, or cost.vendor, cost.amount, cost.currency. A column that bears a field's name needs
no --map; other columns are left out. In JSONL a COLUMN may be a path such as usage.tokens, and a line in
the form of POST /v1/events needs no mapping at all.

Rows without a key get one from the file's name (or --key-prefix), their number and their content, so
that the same file may be imported again, or go on after it was stopped: nothing counts twice.

Example:
  manage.py import_usage code.csv --map occurred_at=TIMESTAMP \\
      --map properties.input_tokens=ContextTokens --map properties.output_tokens=GeneratedTokens \\
      --set event=completion --set workspace=ws_1h \\
      --set properties.provider=openai --set properties.model=gpt-4o

Ends with 1 when there was a row that could not be taken.
"""


class Command(TollgateCommand):
    """Load usage from a file."""

    help = "Load usage from a CSV or JSONL file (also .gz), however old: each row is an event and charged."
    epilog = EPILOG
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file and how its rows become events."""
        parser.add_argument("file", help="CSV with a header, or JSONL")
        parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN")
        parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="constants")
        parser.add_argument("--format", choices=FORMATS, help="default: by the file's name")
        parser.add_argument(
            "--time-zone", default="UTC", help="whose clock times without an offset are (default UTC)"
        )
        parser.add_argument(
            "--key-prefix", help="beginning of the keys of rows without one; default: the file's name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Import the file and say what became of it."""
        path = Path(options["file"])
        with reading(path):
            kind = options["format"] or format_of(path)
            prefix = options["key_prefix"] or path.name
            zone = _zone(options["time_zone"])
            mapping = read_mapping(
                options["map"], options["constants"], kind=kind, zone=zone, key_prefix=prefix
            )
            _check_constants(mapping)
            with audited(Source.COMMAND, "import_usage"):
                report = self._run(path, kind, mapping)
        self._tell(report)
        if report.rejected or report.quarantined:
            sys.exit(1)

    def _run(self, path: Path, kind: str, mapping: RowMapping) -> ImportReport:
        shown = 0
        size = path.stat().st_size
        next_at = started = time.monotonic()

        def show(refusal: NotTaken) -> None:
            nonlocal shown
            shown += 1
            if shown <= SHOWN_MAX:
                self.stderr.write(f"line {refusal.line}: {_one_line(refusal.reason)}")

        with open_file(path) as (stream, place):

            def progress(report: ImportReport) -> None:
                nonlocal next_at
                moment = time.monotonic()
                if moment >= next_at:
                    next_at = moment + PROGRESS_EVERY
                    share = 100 * place.tell() // size if size else 100
                    rate = report.read / max(moment - started, 0.001)
                    self.stderr.write(f"{report.read:,} rows ({share} % of the file, {rate:,.0f} rows/s)")

            rows = read_rows(stream, kind, mapping.columns.values())
            return import_usage(rows, mapping, on_not_taken=show, on_batch=progress)

    def _tell(self, report: ImportReport) -> None:
        not_taken = report.rejected + report.quarantined
        if not_taken > SHOWN_MAX:
            self.stderr.write(f"... and {not_taken - SHOWN_MAX:,} more; by reason:")
            for reason, count in report.reasons.most_common(10):
                self.stderr.write(f"  {count:,} x {_one_line(reason)}")
        self.stdout.write(
            f"{report.read:,} rows: {report.taken:,} taken, {report.known:,} known already,"
            f" {report.quarantined:,} in quarantine, {report.rejected:,} rejected."
        )
        if report.unmatched or report.unpriced:
            self.stdout.write(
                f"Of those taken, no meter hears {report.unmatched:,} and nothing prices {report.unpriced:,}."
            )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise CommandError(f"There is no time zone {name!r}.") from error


def _check_constants(mapping: RowMapping) -> None:
    """Find a misspelt workspace before a million rows go into quarantine."""
    constants = mapping.constants
    if "workspace" in constants:
        find_referenced(Workspace.objects.all(), "ws", constants["workspace"])
    if "billing_entity" in constants:
        find_referenced(BillingEntity.objects.all(), "be", constants["billing_entity"])
    if "api_key" in constants:
        key = normalise_api_key(constants["api_key"])
        if not ApiKey.objects.filter(fingerprint=key).exists():
            find_referenced(ApiKey.objects.all(), "key", key)


def _one_line(text: str) -> str:
    return " ".join(text.split()).encode("utf-8", "backslashreplace").decode()
