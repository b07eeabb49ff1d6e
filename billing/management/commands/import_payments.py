"""`manage.py import_payments PROVIDER FILE`: what a payment provider lists."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError

from billing.imports.rows import FORMATS
from billing.outside.payments import FileProvider, load_payments
from core.audit import Source, audited
from core.errors import TollgateError
from core.instants import instant_text, parse_instant

EPILOG: Final = """
Columns: id, kind (payment, refund, payout), amount, currency, at, reference, and billing_entity where the
list knows whose it is; others are left out. The list is taken as all that happened in the time it covers:
what an older list said of that time and this one does not is superseded, and stays in the history.

A top-up names its payment by PROVIDER:ID in its reference, an adjustment in its reason.
"""


class Command(BaseCommand):
    """Load a payment provider's list."""

    help = "Load a payment provider's list of payments, refunds and payouts (CSV or JSONL), to be reconciled."
    requires_migrations_checks = True

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """A parser that keeps the lines of the epilog."""
        return super().create_parser(
            prog_name, subcommand, epilog=EPILOG, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

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
        try:
            with audited(Source.COMMAND, "import_payments"):
                statement = load_payments(
                    FileProvider(options["provider"], path, options["format"]),
                    covers_from=start,
                    covers_until=end,
                    name=path.name,
                    by="import_payments",
                )
        except TollgateError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror or error}.") from error
        self.stdout.write(
            f"{statement.rows:,} rows from {instant_text(statement.covers_from)} until"
            f" {instant_text(statement.covers_until)}: {statement.added:,} added,"
            f" {statement.superseded:,} superseded."
        )
