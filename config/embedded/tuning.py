"""The embedded PostgreSQL's settings: quick on a small machine, and never at the cost of a commit."""

from __future__ import annotations

from pathlib import Path

import psutil

_SMALL_BYTES = 2 * 1024**3


def configuration(sockets: Path) -> str:
    """The text of tollgate.conf; `sockets` is the folder for the socket."""
    is_small = psutil.virtual_memory().total < _SMALL_BYTES
    return f"""# Written anew at every start. Changes of your own go to the end of postgresql.conf.
listen_addresses = ''
unix_socket_directories = '{str(sockets).replace("'", "''")}'
unix_socket_permissions = 0700
max_connections = 200

shared_buffers = {"64MB" if is_small else "256MB"}
work_mem = 8MB
maintenance_work_mem = 64MB
jit = off

fsync = on
synchronous_commit = on
wal_buffers = 16MB
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min

timezone = 'UTC'
log_timezone = 'UTC'
log_min_error_statement = panic  # statements hold customers' values; the message is enough
"""
