"""`manage.py import_payments PROVIDER FILE`: what a payment provider lists."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from billing.imports.rows import FORMATS
from billing.outside.payments import FileProvider, load_payments
from core.audit import Source, audited
from core.commands import TollgateCommand, reading
from core.instants import instant_text, parse_instant

EPILOG: Final = """
Columns: id, kind (payment, refund, payout), amount, currency, at, reference, and billing_entity where the
list knows whose it is; others are left out. The list is taken as all that happened in the time it covers:
what an older list said of that time and this one does not is superseded, and stays in the history.

A top-up names its payment by PROVIDER:ID in its reference, an adjustment in its reason.
"""


class Command(TollgateCommand):
    """Load a payment provider's list."""

    help = "Load a payment provider's list of payments, refunds and payouts (CSV or JSONL), to be reconciled."
    epilog = EPILOG
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The provider, the file and what it covers."""
        parser.add_argument("provider", help="its name, such as stripe")
        parser.add_argument("file", help="CSV with a header, or JSONL; also .gz")
        parser.add_argument("--format", choices=FORMATS, help="default: by the file's name")
        parser.add_argument("--from", metavar="ISO", dest="covers_from", help="default: the first row")
        parser.add_argument("--until", metavar="ISO", dest="covers_until", help="default: the last row")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load the file and say what became of it."""
        path = Path(options["file"])
        start, end = (
            parse_instant(options[name], name) if options[name] else None
            for name in ("covers_from", "covers_until")
        )
        with reading(path), audited(Source.COMMAND, "import_payments"):
            statement = load_payments(
                FileProvider(options["provider"], path, options["format"]),
                covers_from=start,
                covers_until=end,
                name=path.name,
                by="import_payments",
            )
        self.stdout.write(
            f"{statement.rows:,} rows from {instant_text(statement.covers_from)} until"
            f" {instant_text(statement.covers_until)}: {statement.added:,} added,"
            f" {statement.superseded:,} superseded."
        )
