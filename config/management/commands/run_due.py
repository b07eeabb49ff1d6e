"""`manage.py run_due [--now ISO] [--only NAME]`: every due task, once, here and now."""

from __future__ import annotations

import textwrap
from typing import Any, Final

from django.core.management import CommandError, CommandParser

from core import clock, test_clock
from core.commands import TollgateCommand
from core.instants import parse_instant
from core.jobs import Job, find_job, jobs, run_job
from core.jobs.running import Status, Trigger

PATIENCE: Final = 60.0
"""So many seconds a run that goes on elsewhere is waited for."""


class Command(TollgateCommand):
    """Run the due tasks in the order of the schedule, as if it were `--now`."""

    help = "Run every due task once, in this process."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--now` sets the clock for this command only."""
        parser.add_argument("--now", help="an instant, for example 2026-03-01T00:00:00Z")
        parser.add_argument("--only", action="append", metavar="NAME", help="this task only; may be repeated")
        parser.add_argument(
            "--list", action="store_true", help="say what there is, as a table, and run nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run them, each whatever became of the others; CommandError at the end if any failed."""
        if options["list"]:
            self.stdout.write(table(jobs()))
            return
        wanted = [find_job(name) for name in options["only"] or ()] or jobs()
        if options["now"]:
            instant = parse_instant(options["now"], "now")
            clock.use(lambda: instant)
        try:
            problems = [problem for job in wanted if (problem := self._run(job))]
        finally:
            clock.use(None)
            test_clock.install()
        if problems:
            raise CommandError("\n".join([f"{len(problems)} of {len(wanted)} tasks failed:", *problems]))

    def _run(self, job: Job) -> str | None:
        """Run one; the report's lines if it failed."""
        run = run_job(job, Trigger.COMMAND, patience=PATIENCE)
        if run is None:
            self.stdout.write(f"{job.name}  runs elsewhere, and did so for {PATIENCE:.0f} s")
            return f"  {job.name}: runs elsewhere"
        self.stdout.write(f"{job.name}  {run.status}, {run.seconds or 0:.2f} s")
        is_good = run.status == Status.SUCCEEDED
        return None if is_good else textwrap.indent(f"{job.name}: {run.error}", "  ")


def table(wanted: list[Job]) -> str:
    """The jobs as they stand in docs/operations/running.md."""
    rows = [f"| `{job.name}` | {job.interval} | {job.does} |" for job in wanted]
    return "\n".join(["| task | every | does |", "| --- | --- | --- |", *rows])
