"""How each job did of late: for every name its last run, its last good one, and the failures since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from django.db import connection

_STATES: Final = """
    SELECT names.job, last.id, good.finished_at, coalesce(bad.number, 0)
    FROM unnest(%s::text[]) WITH ORDINALITY AS names(job, place)
    LEFT JOIN LATERAL (
        SELECT id FROM core_jobrun WHERE job = names.job ORDER BY id DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT id, finished_at FROM core_jobrun WHERE job = names.job AND status = 'succeeded'
        ORDER BY id DESC LIMIT 1
    ) AS good ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS number FROM core_jobrun
        WHERE job = names.job AND id > coalesce(good.id, 0) AND status IN ('failed', 'lost')
    ) AS bad ON true
    ORDER BY names.place"""
_STARTS: Final = """
    SELECT names.job, (
        SELECT started_at FROM core_jobrun WHERE job = names.job ORDER BY id DESC LIMIT 1
    ) FROM unnest(%s::text[]) AS names(job)"""
_PRUNE: Final = """
    DELETE FROM core_jobrun AS run
    WHERE (run.status = 'succeeded' AND run.finished_at < %s OR run.finished_at < %s)
      AND run.trigger <> 'request'
      AND EXISTS (SELECT FROM core_jobrun AS later WHERE later.job = run.job AND later.id > run.id)
      AND (run.status <> 'succeeded' OR EXISTS (
          SELECT FROM core_jobrun AS later
          WHERE later.job = run.job AND later.id > run.id AND later.status = 'succeeded'))"""


class StateRow(NamedTuple):
    """A job's last run, when it last went well, and how often it failed since."""

    job: str
    last_id: int | None
    good_at: datetime | None
    failures: int


def read_states(names: Sequence[str]) -> list[StateRow]:
    """A row for each name, in their order; one statement, which looks at the newest rows only."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES, [list(names)])
        return [StateRow(*row) for row in cursor.fetchall()]


def last_starts(names: Sequence[str]) -> dict[str, datetime | None]:
    """When each job last began."""
    with connection.cursor() as cursor:
        cursor.execute(_STARTS, [list(names)])
        return dict(cursor.fetchall())


def prune_runs(good_before: datetime, any_before: datetime) -> int:
    """Delete runs that ended before; each job keeps its last run and its last good one; how many went."""
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE, [good_before, any_before])
        return int(cursor.rowcount)


def let_go() -> None:
    """Close this thread's connection, where a process is about to fork or to sleep; not inside of a block."""
    if not connection.in_atomic_block:
        connection.close()
