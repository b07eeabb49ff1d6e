"""What has to be done before the processes start, each step with a line on the terminal."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable

from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from config.environment import METRICS_DIR
from config.supervisor.servers import NAMES

Say = Callable[[str], None]


def check_port(host: str, port: int) -> None:
    """CommandError when the web server could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CommandError(
                f"Port {port} on {host} is in use; stop what listens there, or set PORT to another."
            ) from error
        reason = error.strerror or str(error)
        raise CommandError(f"Cannot listen on {host}:{port} ({reason}); set HOST and PORT.") from error


def start_servers(say: Say) -> None:
    """PostgreSQL and Redis, unless they are somebody else's."""
    for name, server in NAMES.items():
        began = time.monotonic()
        was_down = server.start()
        say(f"{name}: " + (f"started ({time.monotonic() - began:.1f} s)" if was_down else "runs already"))


def migrate(say: Say) -> None:
    """Bring the tables up to date."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        say(f"Tables: applying {len(plan)} migrations")
        began = time.monotonic()
        call_command("migrate", interactive=False, verbosity=0)
        say(f"Tables: {len(plan)} migrations applied ({time.monotonic() - began:.1f} s)")
    else:
        say("Tables: up to date")


def forget_figures() -> None:
    """Empty the folder of what web processes counted: none runs, and counters may begin anew."""
    for path in METRICS_DIR.glob("*.db"):
        path.unlink(missing_ok=True)


def collect_static_files(say: Say) -> None:
    """Gather the files of the pages under var/static, with names that change when they do."""
    began = time.monotonic()
    call_command("collectstatic", interactive=False, verbosity=0)
    say(f"Static files: collected ({time.monotonic() - began:.1f} s)")
