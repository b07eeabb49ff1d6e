"""`manage.py simulate`: what versions or plan files would have charged for usage that happened."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.models import BillingEntity, Customer
from billing.simulations import request_simulation, run_simulation
from billing.simulations.asking import GROWS_BY, documents_in
from billing.simulations.export import csv_rows
from core.api.references import find_referenced
from core.audit import Source, audited
from core.commands import TollgateCommand
from core.instants import parse_instant
from core.numbers import parse_price
from pricing.api.plans import find_plan
from pricing.catalog import CatalogError, load_catalog
from pricing.models import PlanVersion, Simulation
from pricing.simulation import Cohort

COHORTS = ("customer", "payer", "plan")


class Command(TollgateCommand):
    """Exits with 0 when it is done, with 1 when something about the question is wrong."""

    help = "Simulate plan versions or files against past usage, side by side. The result is kept."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """A parser in which `--version` is that of a plan, not of Django."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What, over when, for whom."""
        parser.add_argument("--version", action="append", default=[], metavar="pv_...", dest="versions")
        parser.add_argument("--file", action="append", default=[], metavar="PLAN.yaml", dest="files")
        parser.add_argument("--from", required=True, dest="starts_at", help="an instant, or a day (UTC)")
        parser.add_argument("--to", required=True, dest="ends_at", help="an instant, or a day (UTC)")
        parser.add_argument(
            "--cohort",
            action="append",
            default=[],
            metavar="customer:ID | payer:ID | plan:KEY",
            help="may be repeated; default: all who had a subscription in the window",
        )
        parser.add_argument("--grows-by", default=str(GROWS_BY), metavar="PERCENT")
        parser.add_argument(
            "--csv", metavar="FILE", help="write a line for each payer; - for standard output"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate; CommandError (exit code 1) says what is wrong."""
        try:
            with audited(Source.COMMAND):
                simulation = self._request(options)
            run_simulation(simulation.pk)
        except CatalogError as error:
            raise CommandError("\n".join(map(str, error.problems))) from error
        simulation.refresh_from_db()
        if simulation.status != Simulation.Status.DONE:
            raise CommandError(f"{simulation.public_id} is {simulation.status}. {simulation.problem}".strip())
        if options["csv"] == "-":
            self.stdout.writelines(line.rstrip("\r\n") + "\n" for line in csv_rows(simulation))
            return
        self._print(simulation)
        if options["csv"]:
            with Path(options["csv"]).open("w", encoding="utf-8", newline="") as file:
                file.writelines(csv_rows(simulation))

    def _request(self, options: dict[str, Any]) -> Simulation:
        versions = [
            find_referenced(PlanVersion.objects.select_related("plan"), "pv", reference)
            for reference in options["versions"]
        ]
        contents = [
            document for path in options["files"] for document in documents_in(load_catalog(Path(path)))
        ]
        return request_simulation(
            versions,
            contents,
            starts_at=_instant(options["starts_at"], "--from"),
            ends_at=_instant(options["ends_at"], "--to"),
            cohort=_cohort(options["cohort"]),
            grows_by=max(parse_price(options["grows_by"], "--grows-by"), Decimal(0)),
        )

    def _print(self, simulation: Simulation) -> None:
        self.stdout.write(f"{simulation.public_id}: {simulation.payers_done} payers")
        for version, totals in zip(simulation.versions, simulation.totals, strict=True):
            name = f"{version['plan']} v{version['number']}" if version["number"] else version["plan"]
            self.stdout.write(f"\n{name} ({totals['label']}), {totals['currency']}")
            for key, value in totals.items():
                if key not in ("label", "currency"):
                    shown = ", ".join(value) if isinstance(value, list) else value
                    self.stdout.write(f"  {key.replace('_', ' '):20} {'-' if shown is None else shown}")


def _instant(text: str, param: str) -> datetime:
    return parse_instant(f"{text}T00:00:00Z" if len(text) == len("2026-01-01") else text, param)


def _cohort(words: list[str]) -> Cohort:
    customers, payers, plan = [], [], None
    for word in words:
        kind, _, reference = word.partition(":")
        if kind not in COHORTS or not reference:
            raise CommandError(f"--cohort {word!r}: give customer:ID, payer:ID or plan:KEY.")
        if kind == "customer":
            customers.append(find_referenced(Customer.objects.all(), "cus", reference).pk)
        elif kind == "payer":
            payers.append(find_referenced(BillingEntity.objects.all(), "be", reference).pk)
        else:
            plan = find_plan(reference).pk
    return Cohort(tuple(customers), tuple(payers), plan)
