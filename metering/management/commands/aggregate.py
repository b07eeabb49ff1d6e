"""`manage.py aggregate FILE|-`: what a meter makes of events. Needs no database."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.jsonio import run_door
from metering.aggregation.door import aggregate_document


class Command(BaseCommand):
    """Answers a document (or each of an array) of RATING.md section 5; exit code 2 when any is in error."""

    help = "Aggregate the events of a JSON document (or of each in an array) by the meter in it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """One argument: the file, or - for standard input."""
        parser.add_argument("file", help="a JSON file, or - for standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the answer as JSON."""
        text, exit_code = run_door(options["file"], aggregate_document)
        self.stdout.write(text)
        if exit_code:
            sys.exit(exit_code)
