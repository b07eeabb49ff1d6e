"""`manage.py retry_access_log`: try the lines again that could not be settled when they were read."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError

from billing.access_log.retrying import Retried, retry_lines, waiting_lines
from billing.models import AccessLog
from core.audit import Source, audited
from core.commands import TollgateCommand

SHOWN_MAX: Final = 10
NAME: Final = "retry_access_log"


class Command(TollgateCommand):
    """Try lines of access logs again."""

    help = (
        "Try the lines of access logs again that could not be settled: each counts once, under its request's"
        " own key. Ends with 1 while some wait on."
    )
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which lines: all, or those of one log."""
        parser.add_argument("file", nargs="?", help="only the lines of the log that was read from this path")

    def handle(self, *args: Any, **options: Any) -> None:
        """Settle what can be settled now."""
        lines = waiting_lines()
        if options["file"]:
            logs = AccessLog.objects.filter(path=str(Path(options["file"]).absolute()))
            if not logs.exists():
                raise CommandError(f"No log was read from {options['file']}.")
            lines = lines.filter(log__in=logs)
        with audited(Source.COMMAND, NAME):
            retried = retry_lines(lines, by=NAME)
        self._tell(retried)
        if retried.counts["unread"]:
            sys.exit(1)

    def _tell(self, retried: Retried) -> None:
        counts = retried.counts
        became = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if name != "unread")
        self.stdout.write(
            f"{counts.total():,} lines tried again: {retried.settled:,} settled{became and f' ({became})'},"
            f" {counts['unread']:,} wait on."
        )
        for problem, count in retried.problems.most_common(SHOWN_MAX):
            self.stderr.write(f"  {count:,} x unread: {problem}")
