"""`manage.py erase_person`: a person's data of a customer, erased while everything charged stays proved."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any, Final

from accounts.models import Customer
from billing.erasures import request_erasure, run_erasure
from billing.models import Erasure
from core import clock
from core.api.references import find_referenced
from core.audit import Source, audited
from core.commands import TollgateCommand

WAIT: Final = 1.0
"""Seconds between two looks at an erasure that another process is at."""


class Command(TollgateCommand):
    """Asks for the erasure and carries it out; started again, `run_erasures` goes on with it."""

    help = "Erase a person's data of one customer. What money depends on stays, and is named."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose, what and why."""
        parser.add_argument("--customer", required=True, metavar="cus_...")
        parser.add_argument("--user", help="as events name the person")
        parser.add_argument(
            "--property", action="append", default=[], metavar="NAME", help="of the user's events, to erase"
        )
        parser.add_argument(
            "--value",
            action="append",
            default=[],
            metavar="TEXT",
            help="every property that is this text is erased, whoever the user (an e-mail address)",
        )
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Erase, and say what was and what stays."""
        customer = find_referenced(Customer.objects.all(), "cus", options["customer"])
        with audited(Source.COMMAND, "erase_person"):
            erasure = request_erasure(
                customer,
                user=options["user"],
                properties=options["property"],
                values=options["value"],
                reason=options["reason"],
                by="erase_person",
            )
            while not run_erasure(erasure.pk, clock.now()) and _waits(erasure):
                time.sleep(WAIT)
        erasure.refresh_from_db()
        self.stdout.write(
            f"{erasure.public_id}: {erasure.parts} values of {erasure.events} events and"
            f" {erasure.others} authorizations and quarantined events are erased."
        )
        for name, reason in sorted(erasure.kept.items()):
            self.stdout.write(f"{name} stays: {reason}.")


def _waits(erasure: Erasure) -> bool:
    erasure.refresh_from_db()
    return erasure.status == Erasure.Status.WAITING
