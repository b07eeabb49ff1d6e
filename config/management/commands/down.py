"""`manage.py down`: stop what commands have left running."""

from __future__ import annotations

from typing import Any

from django.core.management import BaseCommand

from config.environment import VAR_DIR
from config.supervisor.instance import end_leftovers, only_one
from config.supervisor.servers import NAMES


class Command(BaseCommand):
    """Stop the embedded servers, and the processes that a killed `up` has left behind."""

    help = "Stop the embedded PostgreSQL and Redis, whoever uses them."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Stop them; refuses while `up` runs, which stops its own."""
        with only_one(VAR_DIR):
            end_leftovers(VAR_DIR)
            for name, server in NAMES.items():
                was_up = server.pid is not None
                server.stop()
                self.stdout.write(f"{name}: {'stopped' if was_up else 'was down'}")
