"""`manage.py rate FILE|-`: price usage under price lists; needs no database and no server."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.jsonio import EXIT_OK, run_door
from pricing.rating import preview


class Command(BaseCommand):
    """Answers a JSON document of RATING.md section 4, or each item of an array in its place."""

    help = (
        "Price usage under a price list given as JSON (a file, or - for standard input). An array gives an"
        " array. A bad item is answered by its error, and the command exits with 2."
    )
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """One file."""
        parser.add_argument("file", metavar="FILE", help="a JSON file, or - for standard input")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        """Print the answer; exit with 2 if any item had an error."""
        answer, exit_code = run_door(file, preview)
        self.stdout.write(answer)
        if exit_code != EXIT_OK:
            sys.exit(exit_code)
