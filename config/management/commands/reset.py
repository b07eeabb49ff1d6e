"""`manage.py reset`: an empty installation again."""

from __future__ import annotations

import shutil
from typing import Any

from django.core.management import BaseCommand, CommandError

from config.environment import DATABASE_URL, VAR_DIR
from config.supervisor import demo
from config.supervisor.instance import end_leftovers, only_one
from config.supervisor.servers import NAMES


class Command(BaseCommand):
    """Throw the embedded servers' data away. The secret key stays."""

    help = "Stop the embedded servers and throw their data away."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Empty it; refuses while `up` runs, and for a database that is not embedded."""
        if DATABASE_URL:
            raise CommandError("DATABASE_URL is set; reset only empties the embedded database.")
        with only_one(VAR_DIR):
            end_leftovers(VAR_DIR)
            for server in NAMES.values():
                server.stop()
                shutil.rmtree(server.folder, ignore_errors=True)
            for file in (*demo.FILES, VAR_DIR / "beat"):
                file.unlink(missing_ok=True)
        self.stdout.write("Emptied: the next start makes a new database.")
