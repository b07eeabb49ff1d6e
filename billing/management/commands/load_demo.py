"""`manage.py load_demo`: fills an empty database with the demo."""

from __future__ import annotations

import gc
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Customer
from billing.demo.loading import DAYS, PER_DAY, load
from core import clock
from core.audit import Source, audited


class Command(BaseCommand):
    """Does nothing when there are customers already; refuses in production unless forced."""

    help = 'Load the demo: the operator "Nimbus AI", 40 customers and six months of history.'
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """How much, and whether to do it in an installation that is no sandbox."""
        parser.add_argument("--days", type=int, default=DAYS, help=f"days of history (default {DAYS})")
        parser.add_argument("--per-day", type=int, default=PER_DAY, help=f"calls a day (default {PER_DAY})")
        parser.add_argument("--force", action="store_true", help="load it even in production")

    def handle(self, *args: Any, days: int, per_day: int, force: bool, **options: Any) -> None:
        """Load it, unless something is there."""
        if settings.TOLLGATE_ENVIRONMENT == "production" and not force:
            raise CommandError("This is a production environment; --force loads the demo all the same.")
        if not 60 <= days <= 366 or not 1 <= per_day <= 5000:
            raise CommandError("--days may be 60 to 366, --per-day 1 to 5000.")
        if Customer.objects.exists():
            self.stdout.write("There are customers already; nothing was loaded.")
            return
        began = clock.system_now()
        gc.disable()  # hundreds of thousands of short-lived objects, none in a circle
        try:
            with audited(Source.COMMAND, "load_demo"):
                events = load(self._say, days=days, per_day=per_day)
        finally:
            gc.enable()
        seconds = (clock.system_now() - began).total_seconds()
        self._say(f"{events:,} events in {seconds:.0f} s")

    def _say(self, line: str) -> None:
        self.stdout.write(f"  {line}")
        self.stdout.flush()
