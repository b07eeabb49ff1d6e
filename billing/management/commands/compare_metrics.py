"""`manage.py compare_metrics`: which meter follows cost best."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError

from billing.simulations.metrics import compare_metrics
from core import clock
from core.commands import TollgateCommand
from core.instants import parse_instant
from core.numbers import plain
from pricing.cycles import Period

ROW = "{:24} {:>12} {:>10} {:>22} {:>10} {:>10} {:>11} {:>9}"
HEADINGS = ("meter", "correlation", "r2", "price", "median", "spread", "below cost", "unbilled")


class Command(TollgateCommand):
    """Exits with 1 when the window makes no sense."""

    help = "Rank tracked meters by how well they follow cost, with the spread of margins at one price."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The window and the currency."""
        parser.add_argument("--from", dest="starts_at", help="an instant; default: 90 days before --to")
        parser.add_argument("--to", dest="ends_at", help="an instant; default: now")
        parser.add_argument("--currency")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a table for each currency."""
        end = parse_instant(options["ends_at"], "--to") if options["ends_at"] else clock.now()
        given = options["starts_at"]
        start = parse_instant(given, "--from") if given else end - timedelta(days=90)
        if start >= end:
            raise CommandError("--to must be after --from.")
        for found in compare_metrics(Period(start, end), options["currency"]):
            self.stdout.write(f"{found.currency}: {found.customers} customers")
            self.stdout.write(ROW.format(*HEADINGS))
            for meter, fit in found.fits:
                figures = (fit.correlation, fit.r_squared, fit.price, fit.margin_median, fit.spread)
                cells = [meter.key, *map(_cell, figures), fit.below_cost, fit.unbilled]
                self.stdout.write(ROW.format(*map(str, cells)))


def _cell(value: Decimal | None) -> str:
    return "-" if value is None else plain(round(value, 6))
