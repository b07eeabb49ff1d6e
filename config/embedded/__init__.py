"""A real PostgreSQL and a real Redis from Python wheels, under var/, started when they are needed.

`Postgres(var_dir)` and `Redis(var_dir)` control one server each: `start() stop() kill9() dsn`. Tests
and benchmarks make private ones with a folder of their own.
"""

from __future__ import annotations

from config.embedded.errors import ServerError
from config.embedded.postgres import Postgres
from config.embedded.redis import Redis

__all__ = ["Postgres", "Redis", "ServerError"]
