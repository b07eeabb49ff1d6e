"""`manage.py ingest_access_log FILE [--follow]`: what the gateway logged, settled exactly once."""

from __future__ import annotations

import re
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Any, Final

from django.core.management.base import CommandError

from billing.access_log.following import follow
from billing.access_log.ingesting import Ingester, IngestReport
from billing.access_log.lines import FREE_FROM
from billing.reports.passed_calls import PassedCalls, passed_calls
from core import clock
from core.audit import Source, audited
from core.commands import TollgateCommand, reading
from core.numbers import plain

SHOWN_MAX: Final = 10
EXPOSURE_DAYS: Final = 90
EPILOG: Final = """
A line with a hold captures it with what the call really took, one without a hold is an event; the format is
in docs/operations/nginx.md. How far a log was read is kept in the database, and every line has a key of its
own: reading it again, from a copy or after a rotation adds nothing. What was rotated from FILE (FILE.1,
FILE-20261125.gz) and not read to its end is read first.

Ends with 1 when there was a line that could not be taken; see the page Gateway.
"""


class Command(TollgateCommand):
    """Settle a gateway's access log."""

    help = "Settle the calls in a gateway's access log: capture their holds, or charge them as events."
    epilog = EPILOG
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The log, and whether to stay with it."""
        parser.add_argument("file", help="the access log that the gateway writes now")
        parser.add_argument("--follow", action="store_true", help="go on until Ctrl-C or SIGTERM")
        parser.add_argument(
            "--free-from",
            type=_status,
            default=FREE_FROM,
            metavar="STATUS",
            help=f"calls answered with this status or a higher one cost nothing (default {FREE_FROM})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Settle what there is, and with --follow what comes."""
        path = Path(options["file"])
        if not options["follow"] and not path.is_file():
            raise CommandError(f"There is no file {path}.")
        ingester = Ingester(path, free_from=options["free_from"])
        with audited(Source.COMMAND, "ingest_access_log"):
            if options["follow"]:
                self._follow(ingester)
                return
            with reading(path):
                report = ingester.run()
        self._tell(report)
        if report.not_taken:
            sys.exit(1)

    def _follow(self, ingester: Ingester) -> None:
        stop = Event()

        def end(number: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        for report in follow(ingester, stops=stop.is_set, on_away=self._complain, sleep=_waiter(stop)):
            self._tell(report)

    def _complain(self, error: Exception) -> None:
        self.stderr.write(f"The database is away ({type(error).__name__}); the log waits.")

    def _tell(self, report: IngestReport) -> None:
        counts = report.counts
        self.stdout.write(
            f"{counts['lines']:,} lines: {counts['captured']:,} captured, {counts['events']:,} events,"
            f" {counts['passed']:,} passed without an answer, {counts['voided']:,} voided,"
            f" {counts['free']:,} failed and free, {counts['stopped']:,} stopped, {counts['known']:,} known"
            f" already, {counts['quarantined']:,} in quarantine, {counts['unread']:,} unread."
        )
        for problem, count in report.problems.most_common(SHOWN_MAX):
            self.stderr.write(f"  {count:,} x unread: {problem}")
        for path, problem in report.broken.items():
            self.stderr.write(f"  {path} cannot be read to its end: {problem}")
        if counts["passed"]:
            for exposure in passed_calls(since=clock.now() - timedelta(days=EXPOSURE_DAYS)):
                self.stdout.write(_exposure_line(exposure))
        self.stdout.flush()


def _status(text: str) -> int:
    if not re.fullmatch(r"[1-6]\d\d", text, re.ASCII):
        raise ArgumentTypeError(f"{text!r} is no status of HTTP; give one such as {FREE_FROM}")
    return int(text)


def _exposure_line(exposure: PassedCalls) -> str:
    payer, calls = exposure.payer, exposure.calls
    amount, below = plain(exposure.amount), plain(exposure.overspent)
    return (
        f"Passed without an answer in {EXPOSURE_DAYS} days: {payer.name} ({payer.public_id}),"
        f" {calls:,} calls, {amount} {payer.currency}, of which {below} below its floor."
    )


def _waiter(stop: Event) -> Any:
    """A pause that ends when somebody says to stop."""
    return lambda seconds: stop.wait(seconds)
