"""SQL of reconciliation: statements over a batch of payers in one snapshot, and what is kept of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

import psycopg
from django.db.models import JSONField, Model

from core.sql import number_array

M = TypeVar("M", bound=Model)
Params = dict[str, Any]
SPAN: Final = """span AS MATERIALIZED (
    SELECT * FROM unnest(
        %(customers)s::bigint[], %(payers)s::bigint[], %(after)s::bigint[], %(upto)s::bigint[])
        AS t(customer_id, payer_id, after, upto))"""
STREAMED_AT_ONCE: Final = 2000


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
        yield from cursor.execute(_with_span(query), params)


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


def _with_span(query: str) -> bytes:
    text = query.strip()
    if text.startswith("WITH "):
        return f"WITH {SPAN}, {text.removeprefix('WITH ')}".encode()
    return f"WITH {SPAN} {text}".encode()
