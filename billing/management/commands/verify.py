"""`manage.py verify`: everything that was booked, recomputed from stored events and versions."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from dateutil.relativedelta import relativedelta
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from accounts.models import BillingEntity, Customer
from billing.verification import Difference, Verified, Window, verify
from core.api.references import find_referenced
from core.errors import TollgateError

PROGRESS_EVERY: Final = 1.0
"""Seconds between two lines of progress."""


class Command(BaseCommand):
    """Ends with 0 when everything comes out again, with 1 when something does not; each thing is named."""

    help = "Recompute charges, positions, balances and periods from what is stored, and check the seals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, and which period."""
        parser.add_argument("--customer", metavar="cus_...", help="only this customer's payers")
        parser.add_argument("--payer", metavar="be_...", help="only this payer")
        parser.add_argument(
            "--period",
            metavar="YYYY-MM",
            help="only the charges and closes of billing periods that touch this month (UTC)",
        )
        parser.add_argument("--json", action="store_true", help="JSON lines: differences, then a summary")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify, tell of each difference as it is found, and sum up."""
        try:
            payers, window = _payers(options), _window(options["period"])
        except TollgateError as error:
            raise CommandError(error.message) from error
        is_json, next_at, total = options["json"], time.monotonic() + PROGRESS_EVERY, payers.count()

        def progress(done: Verified) -> None:
            nonlocal next_at
            if time.monotonic() >= next_at:
                next_at = time.monotonic() + PROGRESS_EVERY
                self.stderr.write(f"{done.payers:,} of {total:,} payers, {done.charges:,} charges")

        done = Verified(on_progress=progress)
        for difference in verify(payers.iterator(), done, window):
            self._tell(difference, is_json=is_json)
        self._sum_up(done, is_json=is_json)
        if done.differences:
            sys.exit(1)

    def _tell(self, found: Difference, *, is_json: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps({"type": "difference"} | asdict(found)))
        else:
            sides = (
                f"stored {found.stored}, recomputed {found.recomputed}" if found.recomputed else found.stored
            )
            self.stdout.write(f"{found.billing_entity} {found.kind} {found.subject}: {found.field}: {sides}")

    def _sum_up(self, done: Verified, *, is_json: bool) -> None:
        counts = {
            "payers": done.payers,
            "charges": done.charges,
            "balances": done.balances,
            "periods": done.periods,
            "sealed_rows": done.sealed_rows,
            "differences": done.differences,
        }
        if is_json:
            self.stdout.write(json.dumps({"type": "summary"} | counts))
            return
        *parts, differences = (_counted(count, name.replace("_", " ")) for name, count in counts.items())
        self.stdout.write(f"Recomputed {', '.join(parts)}: {differences}.")


def _counted(count: int, names: str) -> str:
    return f"{count:,} {names.removesuffix('s') if count == 1 else names}"


def _payers(options: dict[str, Any]) -> QuerySet[BillingEntity]:
    rows = BillingEntity.objects.order_by("customer_id", "pk")
    if options["payer"]:
        rows = rows.filter(pk=find_referenced(BillingEntity.objects.all(), "be", options["payer"]).pk)
    if options["customer"]:
        rows = rows.filter(customer=find_referenced(Customer.objects.all(), "cus", options["customer"]))
    return rows


def _window(month: str | None) -> Window | None:
    if month is None:
        return None
    try:
        start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise CommandError(f"--period {month!r}: give a month such as 2026-01.") from error
    return Window(start, start + relativedelta(months=1))
