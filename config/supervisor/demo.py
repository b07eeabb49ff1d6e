"""The demo's data: loaded once into an empty database, by a command of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import time

from django.core.management import CommandError, get_commands
from django.db import connection

from accounts.models import Customer
from config.embedded.installation import POSTGRES
from config.environment import BASE_DIR, DATABASE_URL, VAR_DIR, env
from config.supervisor.groups import end_groups
from config.supervisor.programs import MANAGE
from config.supervisor.steps import Say, migrate

FACTS = VAR_DIR / "demo.json"
UNFINISHED = VAR_DIR / "demo.unfinished"
FILES = (FACTS, UNFINISHED, VAR_DIR / "demo.key")
"""What a demo keeps besides its database."""


def load_demo(say: Say) -> None:
    """Fill an empty database; a load that was broken off is begun again from nothing."""
    if "load_demo" not in get_commands():
        return
    if UNFINISHED.exists():
        _empty(say)
    elif Customer.objects.exists():
        return
    connection.close()
    say("Demo data: loading six months of history (under a minute)")
    began = time.monotonic()
    UNFINISHED.touch()
    run(["load_demo"])
    UNFINISHED.unlink()
    say(f"Demo data: loaded ({time.monotonic() - began:.0f} s)")


def run(arguments: list[str]) -> None:
    """Run a management command in a process of its own; CommandError when it fails."""
    process = subprocess.Popen([*MANAGE, *arguments], cwd=BASE_DIR, start_new_session=True)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        end_groups([process.pid], 5)
        raise
    if code:
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise CommandError(f"manage.py {arguments[0]} failed ({name}).")


def facts(url: str) -> dict[str, str]:
    """Title -> text, as the loader wrote it down: the logins, and a `curl` line with {url} in it."""
    try:
        written = json.loads(FACTS.read_text())
    except (OSError, ValueError):
        return {}
    return {title.capitalize(): _spoken(text).replace("{url}", url) for title, text in written.items()}


def is_wanted() -> bool:
    """Whether this installation is a demo: `TOLLGATE_DEMO=1`."""
    wanted: bool = env.bool("TOLLGATE_DEMO", False)
    return wanted


def _spoken(value: object) -> str:
    return " / ".join(str(part) for part in value.values()) if isinstance(value, dict) else str(value)


def _empty(say: Say) -> None:
    if DATABASE_URL:
        raise CommandError(
            "Loading the demo data was broken off; empty the database that DATABASE_URL names, "
            f"remove {UNFINISHED}, and try again."
        )
    say("Demo data: the last load was broken off; starting over")
    connection.close()
    POSTGRES.recreate_database()
    migrate(say)
