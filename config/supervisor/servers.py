"""The embedded servers as the supervisor sees them: started, watched, and stopped unless others use them."""

from __future__ import annotations

from config.embedded import Postgres, Redis, ServerError
from config.embedded.installation import POSTGRES, REDIS
from config.environment import DATABASE_URL, REDIS_URL

Server = Postgres | Redis

NAMES: dict[str, Server] = {}
"""The servers that this installation does not get from elsewhere."""
if not DATABASE_URL:
    NAMES["PostgreSQL"] = POSTGRES
if not REDIS_URL:
    NAMES["Redis"] = REDIS


def revive_servers() -> list[str]:
    """Start again what is down; a line for each."""
    return [line for name, server in NAMES.items() if (line := _revive(name, server))]


def stop_unused_servers() -> list[str]:
    """Stop the servers, except one that others (a test run, a shell) are using; a line for each."""
    return [line for name, server in NAMES.items() if (line := _stop(name, server))]


def _revive(name: str, server: Server) -> str | None:
    if server.is_running():
        return None
    try:
        return f"{name} was down; started again" if server.start() else None
    except ServerError as error:
        return str(error)


def _stop(name: str, server: Server) -> str | None:
    if server.pid is None:
        return None
    sessions = server.other_sessions() if server.is_running() else 0
    if sessions:
        others = "another connection uses" if sessions == 1 else f"{sessions} other connections use"
        return f"{name} stays up: {others} it (`manage.py down` stops it)"
    server.stop()
    return f"{name} stopped"
