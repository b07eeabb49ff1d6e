"""The floor under `ingest`: the fewest statements that store the same rows once and count them by hour.

No HTTP, no JSON, no attribution, no rating, no money; the rows are ready as text.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from threading import Thread
from typing import Final
from uuid import uuid4

import psycopg

from benchmarks.installation import Installation

COLUMNS: Final = "customer_id, key, name, occurred_at, properties, quantity"
TABLES: Final = """
    CREATE TABLE floor_event (
        customer_id bigint, key text, name text, occurred_at timestamptz, properties jsonb, quantity numeric,
        PRIMARY KEY (customer_id, key));
    CREATE TABLE floor_bucket (
        customer_id bigint, name text, hour timestamptz, quantity numeric, events bigint,
        PRIMARY KEY (customer_id, name, hour)) WITH (fillfactor = 60);
"""
INCOMING: Final = "CREATE TEMP TABLE incoming (LIKE floor_event) ON COMMIT DELETE ROWS"
INSERT: Final = f"""
    WITH added AS (
        INSERT INTO floor_event ({COLUMNS}) SELECT {COLUMNS} FROM incoming
        ON CONFLICT DO NOTHING RETURNING customer_id, name, occurred_at, quantity)
    INSERT INTO floor_bucket AS b (customer_id, name, hour, quantity, events)
    SELECT customer_id, name, date_trunc('hour', occurred_at, 'UTC'), sum(quantity), count(*)
    FROM added GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (customer_id, name, hour) DO UPDATE
    SET quantity = b.quantity + EXCLUDED.quantity, events = b.events + EXCLUDED.events
"""


class Floor:
    """Tables beside the product's, in the same database."""

    def __init__(self, installation: Installation, *, payers: int, rows: int, writers: int) -> None:
        self._dsn = installation.postgres.dsn
        self._payers, self._rows, self._writers = payers, rows, writers
        with psycopg.connect(self._dsn) as connection:
            connection.execute(TABLES)

    def per_second(self, seconds: float) -> float:
        """Rows per second over so many seconds, in batches, by all writers together."""
        counts = [0] * self._writers
        batches = [[self._batch() for _ in range(int(60 * seconds))] for _ in range(self._writers)]
        started = time.perf_counter()
        threads = [
            Thread(target=self._write, args=(number, batches[number], started + seconds, counts))
            for number in range(self._writers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) * self._rows / (time.perf_counter() - started)

    def _write(self, number: int, batches: list[bytes], deadline: float, counts: list[int]) -> None:
        with psycopg.connect(self._dsn) as connection:
            connection.execute(INCOMING)
            connection.commit()
            while time.perf_counter() < deadline:
                with connection.transaction(), connection.cursor() as cursor:
                    with cursor.copy(f"COPY incoming ({COLUMNS}) FROM STDIN") as copy:
                        copy.write(batches.pop() if batches else self._batch())
                    cursor.execute(INSERT, prepare=True)
                counts[number] += 1

    def _batch(self) -> bytes:
        at = datetime.now(UTC).isoformat()
        return "".join(self._line(at, random.randint(1, 500)) for _ in range(self._rows)).encode()

    def _line(self, at: str, tokens: int) -> str:
        properties = f'{{"tokens":{tokens},"model":"gpt-4o","region":"eu"}}'
        customer_id = random.randint(1, self._payers)
        return f"{customer_id}\t{uuid4()}\tcompletion\t{at}\t{properties}\t{tokens}\n"
