"""Django's PostgreSQL engine with two additions.

It starts the embedded server at the first connection that finds it down, so that any command works
without a thought. And it sees a lost connection without asking the server: an idle connection on which
something has arrived has been closed from the other side. That makes `CONN_HEALTH_CHECKS` free, which
counts on a path of thousands of requests a second.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg
from django.db.backends.postgresql import base

from config.embedded import ServerError
from config.embedded.installation import POSTGRES


class DatabaseWrapper(base.DatabaseWrapper):
    """One connection of Django's."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Connect; if the embedded server is meant and down, start it first."""
        if not self.settings_dict.get("EMBEDDED"):
            return super().get_new_connection(conn_params)
        try:
            return super().get_new_connection({**conn_params, "host": str(POSTGRES.socket_dir)})
        except psycopg.OperationalError:
            _start()
        return super().get_new_connection({**conn_params, "host": str(POSTGRES.socket_dir)})

    def is_usable(self) -> bool:
        """Whether the idle connection still stands; costs one system call, no round trip."""
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)


def _start() -> None:
    """Start the embedded server. That it does not is the database's failure: who called may try again."""
    try:
        POSTGRES.start()
    except ServerError as error:
        raise psycopg.OperationalError(str(error)) from error
