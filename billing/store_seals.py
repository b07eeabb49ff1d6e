"""SQL of seals: which payers have numbers that are not sealed, the rows of ranges of numbers as canonical
texts, and the writing of seals. Reads no row under a lock: what a committed number names never changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby
from typing import Any, Final, NamedTuple

import psycopg

from billing.ledger import PayerId
from billing.seals.canonical import (
    CHARGE,
    EVENT,
    FIELDS,
    PROPERTY,
    TRANSFER,
    USER,
    Parts,
    Place,
    Row,
    Terms,
)
from core.sql import TAB, HotTable, execute, key_arrays, number_array

_INSTANTS: Final = frozenset({"recorded_at", "occurred_at", "event_recorded_at", "sealed_at"})
_NUMBERS: Final = frozenset({"cost", "amount", "settled_after", "held_after", "available_after"})
_INSTANT: Final = """to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _text(column: str) -> str:
    """A column as its canonical text: instants in UTC with microseconds, amounts without trailing zeros."""
    if column in _INSTANTS:
        return _INSTANT.replace("{0}", f"r.{column}")
    return f"trim_scale(r.{column})::text" if column in _NUMBERS else f"r.{column}::text"


def _rows_of(table: str, fields: Sequence[str], more: str = "", join: str = "", order: str = "r.seq") -> str:
    """The rows of ranges: (customer, payer, seq, fields..., more...). OFFSET 0 keeps to the index."""
    columns = ", ".join(map(_text, fields))
    return f"""
        SELECT t.c, t.b, r.seq, {columns}{more}
        FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS t(c, b, low, high),
        LATERAL (SELECT * FROM {table}
                 WHERE customer_id = t.c AND billing_entity_id = t.b AND seq BETWEEN t.low AND t.high
                 OFFSET 0) AS r{join}
        ORDER BY t.c, t.b, {order}"""  # noqa: S608 - the names are ours


_PARTS: Final = """, r."user",
    (SELECT json_object_agg(p.key, p.value::text)::text FROM jsonb_each(r.properties) AS p), x.parts::text"""
_ERASED: Final = """
    LEFT JOIN billing_erasedrecord x ON x.customer_id = r.customer_id AND x.record_id = r.id"""
EVENTS: Final = _rows_of("metering_usageevent", FIELDS[EVENT], _PARTS, _ERASED, "r.seq, r.id")
CHARGES: Final = _rows_of("billing_charge", FIELDS[CHARGE], order="r.seq, r.id")
TRANSFERS: Final = _rows_of("billing_transfer", FIELDS[TRANSFER], order="r.seq, r.position")

UNSEALED: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.seq - COALESCE(s.to_seq, 0)
    FROM billing_ledgeraccount a
    LEFT JOIN LATERAL (SELECT to_seq FROM billing_seal
                       WHERE customer_id = a.customer_id AND billing_entity_id = a.billing_entity_id
                       ORDER BY from_seq DESC LIMIT 1) AS s ON true
    WHERE a.kind = 'wallet' AND a.seq > COALESCE(s.to_seq, 0)
        AND (a.customer_id, a.billing_entity_id) > (%s::bigint, %s::bigint)
    ORDER BY a.customer_id, a.billing_entity_id LIMIT %s::int"""
TRY_LOCK: Final = """
    SELECT t.c, t.b, pg_try_advisory_xact_lock(hashtextextended('seal ' || t.b, 0))
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b)"""
WAIT_LOCK: Final = TRY_LOCK.replace("pg_try_advisory_xact_lock", "pg_advisory_xact_lock")
ENDS: Final = """
    SELECT t.c, t.b, a.seq, COALESCE(s.to_seq, 0), s.head, s.sealed_at
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b)
    JOIN billing_ledgeraccount a ON a.customer_id = t.c AND a.billing_entity_id = t.b AND a.kind = 'wallet'
    LEFT JOIN LATERAL (SELECT to_seq, head, sealed_at FROM billing_seal
                       WHERE customer_id = t.c AND billing_entity_id = t.b
                       ORDER BY from_seq DESC LIMIT 1) AS s ON true
    ORDER BY t.c, t.b"""
SEALS: Final = HotTable(
    "billing_seal",
    {
        "customer_id": "bigint",
        "billing_entity_id": "bigint",
        "from_seq": "bigint",
        "to_seq": "bigint",
        "rows": "integer",
        "previous_head": "bytea",
        "head": "bytea",
        "entries": "bytea",
        "sealed_at": "timestamptz",
    },
)
SALTS: Final = HotTable(
    "billing_sealsalts",
    {"customer_id": "bigint", "billing_entity_id": "bigint", "to_seq": "bigint", "salts": "bytea"},
)


class Range(NamedTuple):
    """Numbers of a payer, both ends counted."""

    payer: PayerId
    low: int
    high: int


class End(NamedTuple):
    """A payer's last number, the last that is sealed (0: none), and the head there and its instant."""

    payer: PayerId
    seq: int
    sealed: int
    head: bytes | None
    sealed_at: datetime | None


def find_unsealed(raw: psycopg.Connection[Any], after: PayerId, limit: int) -> list[tuple[PayerId, int]]:
    """Payers after `after`, in order, that have unsealed numbers, and how many."""
    rows = execute(raw, UNSEALED, (*after, limit))
    return [((customer_id, payer_id), count) for customer_id, payer_id, count in rows]


def lock_seals(
    raw: psycopg.Connection[Any], payers: Sequence[PayerId], *, wait: bool = False
) -> list[PayerId]:
    """Those of `payers` that nobody else seals until this transaction ends; with `wait`, all of them."""
    rows = execute(raw, WAIT_LOCK if wait else TRY_LOCK, key_arrays(payers, "nn"))
    return [(row[0], row[1]) for row in rows if wait or row[2]]


def read_ends(raw: psycopg.Connection[Any], payers: Sequence[PayerId]) -> list[End]:
    """How far payers have come, and their seals."""
    rows = execute(raw, ENDS, key_arrays(payers, "nn"))
    return [End((row[0], row[1]), row[2], row[3], row[4] and bytes(row[4]), row[5]) for row in rows]


def read_rows(
    raw: psycopg.Connection[Any], ranges: Sequence[Range]
) -> Iterator[tuple[PayerId, Iterator[Row]]]:
    """The rows of ranges, payer by payer in (customer, payer) order, each in the order of sealing.

    Events come without their salts: where a seal keeps them only its reader knows.
    """
    params = key_arrays(((*each.payer, each.low, each.high) for each in ranges), "nnnn")
    streams = (
        (((row[0], row[1]), _event(row)) for row in execute(raw, EVENTS, params)),
        (((row[0], row[1]), Row(Place(row[2], CHARGE), row[3:])) for row in execute(raw, CHARGES, params)),
        (
            ((row[0], row[1]), Row(Place(row[2], TRANSFER, int(row[4])), row[3:]))
            for row in execute(raw, TRANSFERS, params)
        ),
    )
    rows = merge(*streams, key=lambda each: (each[0], each[1].place.order))
    for payer, found in groupby(rows, key=lambda each: each[0]):
        yield payer, (row for _, row in found)


def _event(row: Sequence[Any]) -> Row:
    *fields, user, properties, parts = row[3:]
    values = {PROPERTY + name: text for name, text in json.loads(properties or "{}").items()}
    if user is not None:
        values[USER] = user
    if parts is None:
        return Row(Place(row[2], EVENT), fields, Parts(values, {}, {}))
    kept = json.loads(parts)
    return Row(
        Place(row[2], EVENT),
        fields,
        Parts(
            values,
            {path: bytes.fromhex(part["salt"]) for path, part in kept.items() if "salt" in part},
            {path: bytes.fromhex(part["hash"]) for path, part in kept.items() if "hash" in part},
        ),
    )


def write_seals(
    raw: psycopg.Connection[Any], seals: Iterable[Sequence[str]], salts: Iterable[Sequence[str]]
) -> None:
    """Write seals and their salts, each with one statement."""
    for table, columns in ((SEALS, seals), (SALTS, salts)):
        rows = [TAB.join(row) for row in columns]
        if rows:
            table.insert(raw, rows)


_SEAL_TERMS: Final = f"""s.customer_id, s.billing_entity_id, s.from_seq, s.to_seq, s.rows, s.previous_head,
    s.head, {_INSTANT.replace("{0}", "s.sealed_at")}"""
HEADERS: Final = f"""
    SELECT {_SEAL_TERMS}, s.id
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS t(c, b, after),
    LATERAL (SELECT * FROM billing_seal
             WHERE customer_id = t.c AND billing_entity_id = t.b AND to_seq > t.after
                AND (customer_id, billing_entity_id, from_seq) > (%s::bigint, %s::bigint, %s::bigint)
             ORDER BY from_seq LIMIT %s::int OFFSET 0) AS s
    ORDER BY 1, 2, 3 LIMIT %s::int"""  # noqa: S608 - the names are ours
BODIES: Final = """
    SELECT s.id, s.entries, x.salts
    FROM billing_seal s
    LEFT JOIN billing_sealsalts x ON x.customer_id = s.customer_id
        AND x.billing_entity_id = s.billing_entity_id AND x.to_seq = s.to_seq
    WHERE s.id = ANY(%s::bigint[])"""


class Header(NamedTuple):
    """A seal without its entries, as it is stored."""

    terms: Terms
    rows: int
    previous: bytes
    head: bytes
    id: int

    @property
    def payer(self) -> PayerId:
        """Whose it is."""
        return self.terms.customer_id, self.terms.payer_id


class Body(NamedTuple):
    """What a seal has of its rows; salts None where they are gone."""

    entries: bytes
    salts: bytes | None


def read_headers(
    raw: psycopg.Connection[Any], spans: Sequence[tuple[int, int, int]], after: Header | None, limit: int
) -> list[Header]:
    """Seals of (customer, payer, after: those that end beyond it), in order, following a seal."""
    follows = (0, 0, 0) if after is None else (*after.payer, after.terms.from_seq)
    left = [span for span in spans if span[:2] >= follows[:2]]
    if not left:
        return []
    rows = execute(raw, HEADERS, (*key_arrays(left, "nnn"), *follows, limit, limit))
    return [_header(row) for row in rows]


def read_bodies(raw: psycopg.Connection[Any], ids: Sequence[int]) -> dict[int, Body]:
    """What seals have of their rows, by the seals' ids."""
    rows = execute(raw, BODIES, (number_array(ids),))
    return {row[0]: Body(bytes(row[1]), None if row[2] is None else bytes(row[2])) for row in rows}


LAST_SEALS: Final = f"""
    SELECT {_SEAL_TERMS}, s.id
    FROM (SELECT customer_id AS c, billing_entity_id AS b FROM billing_ledgeraccount
          WHERE kind = 'wallet' AND (customer_id, billing_entity_id) > (%s::bigint, %s::bigint)
            AND (%s::bigint IS NULL OR customer_id = %s::bigint)) AS t,
    LATERAL (SELECT * FROM billing_seal
             WHERE customer_id = t.c AND billing_entity_id = t.b ORDER BY from_seq DESC LIMIT 1) AS s
    ORDER BY t.c, t.b LIMIT %s::int"""  # noqa: S608 - the names are ours


def read_heads(
    raw: psycopg.Connection[Any], after: PayerId, customer_id: int | None, limit: int
) -> list[Header]:
    """The last seal of each payer after `after`, in order."""
    rows = execute(raw, LAST_SEALS, (*after, customer_id, customer_id, limit))
    return [_header(row) for row in rows]


def _header(row: Sequence[Any]) -> Header:
    return Header(Terms(row[0], row[1], row[2], row[3], row[7]), row[4], bytes(row[5]), bytes(row[6]), row[8])
