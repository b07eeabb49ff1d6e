"""`manage.py aggregate FILE|-`: what a meter makes of events. Needs no database."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.jsonio import EXIT_OK, run_door
from metering.aggregation.door import aggregate_document


class Command(BaseCommand):
    """Answers a document (or each of an array) of RATING.md section 5; exit code 2 when any is in error."""

    help = (
        "Aggregate events by a meter given as JSON (a file, or - for standard input). An array gives an"
        " array. A bad item is answered by its error, and the command exits with 2."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """One argument: the file, or - for standard input."""
        parser.add_argument("file", metavar="FILE", help="a JSON file, or - for standard input")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        """Print the answer; exit with 2 if any item had an error."""
        answer, exit_code = run_door(file, aggregate_document)
        self.stdout.write(answer)
        if exit_code != EXIT_OK:
            sys.exit(exit_code)
