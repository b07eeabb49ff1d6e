"""`manage.py reconcile`: hold the parts of the record against each other, and say what does not agree."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Customer
from billing.models import Discrepancy, ReconciliationRun
from billing.reconciliation.runs import UNFINISHED, request_run, run_steps
from core.api.references import find_referenced
from core.audit import Source, audited
from core.errors import TollgateError
from core.numbers import plain

Kind = ReconciliationRun.Kind
SHOWN_MAX = 100
LINK_WIDTH = 17
"""As many letters as the longest name of a link has."""


class Command(BaseCommand):
    """Exits with 0 when all agrees, with 1 when something does not, or when the run did not end."""

    help = "Reconcile: what came since it was proven, or with --full everything. Kept as a run."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to look at."""
        parser.add_argument("--full", action="store_true", help="from every payer's first number on")
        parser.add_argument("--customer", metavar="ID", help="only this one")
        parser.add_argument("--resume", action="store_true", help="carry on with the run that is unfinished")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it; CommandError (exit code 1) says what is wrong."""
        try:
            with audited(Source.COMMAND):
                run = self._run(options)
        except TollgateError as error:
            raise CommandError(error.message) from error
        if run.status != ReconciliationRun.Status.DONE:
            raise CommandError(f"{run.public_id} is {run.status}. {run.problem}".strip())
        self._print(run)
        if run.found:
            raise CommandError("1 discrepancy." if run.found == 1 else f"{run.found} discrepancies.")

    def _run(self, options: dict[str, Any]) -> ReconciliationRun:
        run = ReconciliationRun.objects.filter(status__in=UNFINISHED).first() if options["resume"] else None
        if run is None:
            reference = options["customer"]
            customer = (
                find_referenced(Customer.objects.all(), "cus", reference, "customer") if reference else None
            )
            kind = Kind.FULL if options["full"] else Kind.INCREMENTAL
            run = request_run(kind, customer=customer, created_by="manage.py reconcile")
        for step in run_steps(run.pk):
            self.stderr.write(f"{step.customers_done} of {step.customers_total} customers")
        run.refresh_from_db()
        return run

    def _print(self, run: ReconciliationRun) -> None:
        as_of = "" if run.as_of is None else f", complete up to {run.as_of.isoformat()}"
        self.stdout.write(f"{run.public_id}: {run.kind}{as_of}")
        self.stdout.write(f"{'link':<{LINK_WIDTH}} {'rows':>12} {'found':>7}  drift")
        for check in run.checks.order_by("pk"):
            drift = ", ".join(f"{amount} {unit}" for unit, amount in check.drift.items())
            self.stdout.write(
                f"{check.link:<{LINK_WIDTH}} {check.rows:>12} {check.discrepancies:>7}  {drift}"
            )
        rows = Discrepancy.objects.filter(last_run=run).exclude(status=Discrepancy.Status.RESOLVED)
        for row in rows.order_by("pk")[:SHOWN_MAX]:
            amount = f"{plain(row.amount)} {row.unit}"
            self.stdout.write(f"{row.public_id} {row.link} {row.type}: {row.subject}: {amount}")
