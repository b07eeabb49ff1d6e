"""A private PostgreSQL and Redis with a worker and a beat of their own, which may be killed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from redis import Redis as RedisClient

from benchmarks.installation import Installation
from config.supervisor.programs import beat, worker


class Workshop(Installation):
    """An installation whose worker and beat can be started, stopped and killed."""

    def start(self, name: str) -> None:
        """Start `worker` or `beat`, unless it runs."""
        self.launch(name, {"worker": worker, "beat": beat}[name]())

    def log(self, name: str) -> str:
        """What it has said."""
        return (self.var_dir / f"{name}.log").read_text()

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What the database says."""
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def queue(self) -> RedisClient:
        """A client of the queue."""
        return RedisClient.from_url(self.redis.dsn)

    def wait_for(self, what: Callable[[], Any], seconds: float = 40.0) -> Any:
        """Wait until `what` gives something true; gives that."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, f"{self.log('worker')[-3000:]}\n{self.log('beat')[-3000:]}"
            time.sleep(0.1)
        return found

    def wait_for_run(self, job: str, after: Any = None) -> Any:
        """The start of a good run of the job that began after an instant."""
        query = "SELECT max(started_at) FROM core_jobrun WHERE job = %s AND status = 'succeeded'"

        def found() -> Any:
            at = self.rows(query, job)[0][0]
            return at if at is not None and (after is None or at > after) else None

        return self.wait_for(found)
