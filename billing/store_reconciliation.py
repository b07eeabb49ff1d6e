"""SQL of reconciliation: statements over a batch of payers in one snapshot, and what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import psycopg
from django.db import connection, transaction
from django.db.models import JSONField, Model

from core.sql import execute, key_arrays, number_array

M = TypeVar("M", bound=Model)
Params = dict[str, Any]
SPAN: Final = """span AS MATERIALIZED (
    SELECT * FROM unnest(
        %(customers)s::bigint[], %(payers)s::bigint[], %(after)s::bigint[], %(upto)s::bigint[])
        AS t(customer_id, payer_id, after, upto))"""
NO_SPANS: Final[Params] = {"customers": "{}", "payers": "{}", "after": "{}", "upto": "{}"}
STREAMED_AT_ONCE: Final = 2000
# One instant for all of it; and one processor, for the others belong to the calls.
ALONE: Final = """
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;
    SET LOCAL max_parallel_workers_per_gather = 0"""
COMMITS: Final = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
FORGET_SUMS: Final = """
    DELETE FROM billing_provensum s USING unnest(%s::bigint[], %s::bigint[]) AS t(c, p)
    WHERE s.customer_id = t.c AND s.billing_entity_id = t.p"""
FORGET_CHECKPOINTS: Final = """
    DELETE FROM billing_payercheckpoint s USING unnest(%s::bigint[], %s::bigint[]) AS t(c, p)
    WHERE s.customer_id = t.c AND s.billing_entity_id = t.p"""
WRITE_SUMS: Final = """
    INSERT INTO billing_provensum (customer_id, billing_entity_id, key, link, amount)
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::numeric[])
    ON CONFLICT (customer_id, billing_entity_id, link, key) DO UPDATE SET amount = EXCLUDED.amount"""
WRITE_CHECKPOINTS: Final = """
    INSERT INTO billing_payercheckpoint (customer_id, billing_entity_id, seq, proven_at, run_id)
    SELECT c, p, seq, %s::timestamptz, %s::bigint
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS t(c, p, seq)
    ON CONFLICT (customer_id, billing_entity_id) DO UPDATE
    SET seq = EXCLUDED.seq, proven_at = EXCLUDED.proven_at, run_id = EXCLUDED.run_id"""


def span_params(spans: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    """The parameters of SPAN; a span begins with (customer, payer, after, upto)."""
    columns = list(zip(*(span[:4] for span in spans), strict=True)) or [(), (), (), ()]
    names = ("customers", "payers", "after", "upto")
    return {name: number_array(column) for name, column in zip(names, columns, strict=True)}


def fetch(raw: psycopg.Connection[Any], query: str, params: Params) -> list[tuple[Any, ...]]:
    """All rows of a statement that may read `span`: `WITH` and its text are put before it."""
    with psycopg.Cursor(raw) as cursor:
        return cursor.execute(_with_span(query), params).fetchall()


def stream(raw: psycopg.Connection[Any], query: str, params: Params) -> Iterator[tuple[Any, ...]]:
    """The same, STREAMED_AT_ONCE rows in memory at a time; inside a transaction."""
    with psycopg.ServerCursor(raw, "reconciliation") as cursor:
        cursor.itersize = STREAMED_AT_ONCE
        yield from cursor.execute(_with_span(query), params, binary=True)


def fetch_models(raw: psycopg.Connection[Any], model: type[M], where: str, **params: Any) -> list[M]:
    """Rows of `model` as its instances, read through `raw` and not through Django: any installation's."""
    fields = model._meta.concrete_fields
    columns = ", ".join(
        f'"{field.column}"::text' if isinstance(field, JSONField) else f'"{field.column}"' for field in fields
    )
    query = f"SELECT {columns} FROM {model._meta.db_table} WHERE {where}"  # noqa: S608 - names of our own
    with psycopg.Cursor(raw) as cursor:
        rows = cursor.execute(query.encode(), params).fetchall()
    return [
        model.from_db(
            None,
            [field.attname for field in fields],
            [
                json.loads(value) if isinstance(field, JSONField) and value is not None else value
                for field, value in zip(fields, row, strict=True)
            ],
        )
        for row in rows
    ]


@contextmanager
def snapshot() -> Iterator[None]:
    """A transaction that sees one instant (REPEATABLE READ), and writes what was found in it.

    Inside a caller's transaction it is that one's, at whatever level that is.
    """
    is_own = not connection.in_atomic_block
    with transaction.atomic():
        if is_own:
            with connection.cursor() as cursor:
                cursor.execute(ALONE)
        yield


def read_commits(raw: psycopg.Connection[Any]) -> int:
    """How many transactions the database has committed, as far as its sessions have said so (each second)."""
    ((commits,),) = execute(raw, COMMITS, ())
    return int(commits)


def forget_payers(raw: psycopg.Connection[Any], spans: Sequence[tuple[Any, ...]]) -> None:
    """Take back what was proven of payers; a span begins with (customer, payer)."""
    columns = key_arrays([span[:2] for span in spans], "nn")
    if spans:
        execute(raw, FORGET_SUMS, columns)
        execute(raw, FORGET_CHECKPOINTS, columns)


def write_sums(
    raw: psycopg.Connection[Any], sums: Sequence[tuple[tuple[int, int, str], str, Decimal]]
) -> None:
    """Keep proven sums: ((customer, payer, key), link, amount) each."""
    if sums:
        execute(raw, WRITE_SUMS, key_arrays([(*key, link, amount) for key, link, amount in sums], "nnttn"))


def write_checkpoints(
    raw: psycopg.Connection[Any], spans: Sequence[tuple[Any, ...]], now: datetime, run_id: int
) -> None:
    """Keep up to which number payers are proven; a span begins with (customer, payer, after, upto)."""
    if spans:
        columns = key_arrays([(span[0], span[1], span[3]) for span in spans], "nnn")
        execute(raw, WRITE_CHECKPOINTS, (now, run_id, *columns))


def _with_span(query: str) -> bytes:
    text = query.strip()
    for word in ("WITH RECURSIVE ", "WITH "):
        if text.startswith(word):
            return f"{word}{SPAN}, {text.removeprefix(word)}".encode()
    return f"WITH {SPAN} {text}".encode()
