"""Monthly partitions of the hot tables, made ahead and, should one be missing, on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

from dateutil.relativedelta import relativedelta
from django.db import connection, transaction
from psycopg import sql

PARTITIONED = ("metering_usageevent", "billing_charge", "billing_transfer")
MONTHS_AHEAD = 3


def partition_table_sql(table: str, primary_key: str, indexes: Iterable[str]) -> str:
    """SQL that turns the empty table Django made into one partitioned by month of recorded_at.

    `indexes` are whole CREATE INDEX statements: they go with the old table. Rows are append-only:
    the trigger stands on every partition.
    """
    return f"""
        CREATE TABLE {table}_partitioned
            (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (recorded_at);
        DROP TABLE {table};
        ALTER TABLE {table}_partitioned RENAME TO {table};
        ALTER TABLE {table} ADD PRIMARY KEY ({primary_key});
        {"; ".join(indexes)};
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION core_refuse_change();
    """


_ready: set[tuple[int, int]] = set()


def ensure_month(at: datetime) -> None:
    """Make sure, before a transaction that writes at `at`, that its month has its partitions.

    Free once this process knows; the months ahead are made by a scheduled task.
    """
    month = (at.year, at.month)
    if month not in _ready:
        ensure_partitions(at, at)
        # Not before the commit: a rolled back partition is not there.
        transaction.on_commit(partial(_ready.add, month))


def ensure_partitions(first: datetime, last: datetime | None = None) -> int:
    """Make the partitions of every month from `first` to `last` (default: MONTHS_AHEAD more).

    Returns how many were made. Safe to run at any time, by several processes at once.
    """
    month = first.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = last or first + relativedelta(months=MONTHS_AHEAD)
    made = 0
    while month <= last:
        following = month + relativedelta(months=1)
        made += sum(_ensure_partition(table, month, following) for table in PARTITIONED)
        month = following
    return made


def _ensure_partition(table: str, start: datetime, end: datetime) -> bool:
    name = f"{table}_{start:%Y_%m}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return False
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [table])
        cursor.execute(
            # As text: the audit trail's hook, which looks at every statement, knows no composed ones.
            sql.SQL("CREATE TABLE IF NOT EXISTS {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})")
            .format(sql.Identifier(name), sql.Identifier(table), sql.Literal(start), sql.Literal(end))
            .as_string(connection.connection)
        )
        return True
