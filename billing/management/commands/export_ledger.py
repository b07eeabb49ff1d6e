"""`manage.py export_ledger`: a payer's sealed rows for an auditor."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.models import BillingEntity, Customer
from billing.ledger import PayerId
from billing.seals import seal_payers
from billing.seals.exporting import export_ledger, json_line, opened
from billing.store_snapshot import snapshot
from core import clock
from core.api.references import find_referenced
from core.commands import TollgateCommand

CHECKER = "billing/seals/check_export.py"


class Command(TollgateCommand):
    """Seals what is not sealed yet, then writes everything as JSON lines."""

    help = (
        f"Write a payer's sealed events, charges and transfers with their seals. Check them with {CHECKER}."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, and where to."""
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--payer", metavar="be_...", help="one payer")
        whose.add_argument("--customer", metavar="cus_...", help="all payers of a customer")
        parser.add_argument("--out", metavar="FILE", default="-", help="default: standard output")
        parser.add_argument(
            "--redact", action="store_true", help="leave out users and properties; their hashes stay"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the export; what was written is told on standard error."""
        payers = _payers(options)
        keys: list[PayerId] = [(payer.customer_id, payer.pk) for payer in payers]
        seal_payers(keys, clock.now())
        path = options["out"]
        with opened(path, self.stdout) as out:
            for payer in payers:
                with snapshot() as raw:
                    for line in export_ledger(raw, payer, is_redacted=options["redact"]):
                        out.write(json_line(line))
        self.stderr.write(f"{len(payers)} payers; check it: python3 -I -S {CHECKER} {path}")


def _payers(options: dict[str, Any]) -> list[BillingEntity]:
    if options["payer"]:
        return [find_referenced(BillingEntity.objects.all(), "be", options["payer"])]
    customer = find_referenced(Customer.objects.all(), "cus", options["customer"])
    return list(BillingEntity.objects.filter(customer=customer).order_by("pk"))
