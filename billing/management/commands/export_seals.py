"""`manage.py export_seals`: the heads of all chains, to be kept where nobody here can write."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.models import Customer
from billing.seals.exporting import export_heads, json_line, opened
from billing.store_snapshot import snapshot
from core.api.references import find_referenced
from core.commands import TollgateCommand


class Command(TollgateCommand):
    """One JSON line for each payer that has a seal."""

    help = "Write the last head of every payer's chain, as JSON lines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, and where to."""
        parser.add_argument("--customer", metavar="cus_...", help="only this customer's payers")
        parser.add_argument("--out", metavar="FILE", default="-", help="default: standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the heads."""
        customer = None
        if options["customer"]:
            customer = find_referenced(Customer.objects.all(), "cus", options["customer"]).pk
        path = options["out"]
        with opened(path, self.stdout) as out, snapshot() as raw:
            for line in export_heads(raw, customer):
                out.write(json_line(line))
