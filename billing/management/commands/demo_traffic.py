"""`manage.py demo_traffic`: live calls over HTTP against the running demo, until it is stopped."""

from __future__ import annotations

import secrets
import signal
from decimal import Decimal
from threading import Event
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.demo.dice import thrown_dice
from billing.demo.gateway import Gateway
from billing.demo.notes import read_secret
from billing.demo.traffic import Sums, run


class Command(BaseCommand):
    """Survives restarts of the web server; SIGTERM or Ctrl-C ends it."""

    help = "Send about three calls a second to the running demo."
    requires_system_checks = ()
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to, and how often."""
        parser.add_argument("--url", default=settings.DEMO_API_URL, help="the address of the web server")
        parser.add_argument("--per-second", type=Decimal, default=Decimal(3), help="calls a second (3)")

    def handle(self, *args: Any, url: str, per_second: Decimal, **options: Any) -> None:
        """Send calls until a signal comes."""
        secret = read_secret()
        if secret is None:
            raise CommandError("There is no key of the demo here; run manage.py load_demo first.")
        if not per_second.is_finite() or not 0 < per_second <= 100:
            raise CommandError("--per-second may be up to 100.")
        over = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        sums = Sums()

        def sleep(seconds: Decimal) -> bool:
            return over.wait(float(seconds))

        run(
            Gateway(url.rstrip("/"), secret), thrown_dice(), secrets.token_hex(4), 1 / per_second, sleep, sums
        )
        self.stdout.write(f"{sums.charged} charged, {sums.reported} reported, {sums.denied} denied.")
