"""`manage.py run_due [--now ISO]`: every due task, once, here and now."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from config.schedule import SCHEDULE
from core import clock, test_clock
from core.errors import TollgateError
from core.instants import parse_instant


class Command(BaseCommand):
    """Run the due tasks in the order of the schedule, as if it were `--now`."""

    help = "Run every due task once, in this process."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--now` sets the clock for this command only."""
        parser.add_argument("--now", help="an instant, for example 2026-03-01T00:00:00Z")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run them; the first that fails ends the command."""
        if options["now"]:
            try:
                instant = parse_instant(options["now"], "now")
            except TollgateError as error:
                raise CommandError(error.message) from error
            clock.use(lambda: instant)
        try:
            for due in SCHEDULE:
                import_string(due.task)()
                self.stdout.write(due.task)
        finally:
            clock.use(None)
            test_clock.install()
