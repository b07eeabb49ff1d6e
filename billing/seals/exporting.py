"""Writing seals and the rows under them for an auditor, and the heads alone for safe keeping elsewhere.

JSON lines, each value in the canonical text that was hashed (docs/algorithms/seals.md): `check_export.py`
needs nothing else. A head that has left the installation cannot be made to fit other rows any more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg

from accounts.models import BillingEntity
from billing.ledger import PayerId
from billing.seals.canonical import (
    FIELDS,
    FORMAT,
    PROPERTY,
    TRANSFER,
    USER,
    Parts,
    Place,
    Row,
    unpack,
)
from billing.seals.verifying import SEALS_AT_ONCE, batches, rows_under, salts_of
from billing.store_seals import Body, Header, read_bodies, read_headers, read_heads
from core.ids import public_id

Line = dict[str, Any]
HEADS_AT_ONCE: Final = 1000


def export_ledger(
    raw: psycopg.Connection[Any], payer: BillingEntity, *, is_redacted: bool = False
) -> Iterator[Line]:
    """All seals of a payer, each followed by its rows, between a first line that names it and a last one.

    With `is_redacted`, what may be erased of events is left out already: commitments stand for it. Inside
    a snapshot, or an erasure may come in between. Memory is bounded.
    """
    key = (payer.customer_id, payer.pk)
    yield {
        "type": "payer",
        "format": FORMAT,
        "customer": payer.customer_id,
        "billing_entity": payer.pk,
        "customer_id": public_id("cus", payer.customer_id),
        "billing_entity_id": payer.public_id,
        "currency": payer.currency,
    }
    seals, rows = count(), count()
    for header, body, found in _sealed(raw, key):
        next(seals)
        yield seal_line(header, body)
        salts = salts_of(unpack(body.entries), body.salts or b"")
        for row in found:
            next(rows)
            yield row_line(row, salts, is_redacted=is_redacted)
    yield {"type": "end", "billing_entity": payer.pk, "seals": next(seals), "rows": next(rows)}


def _sealed(raw: psycopg.Connection[Any], payer: PayerId) -> Iterator[tuple[Header, Body, list[Row]]]:
    after = None
    while headers := read_headers(raw, [(*payer, 0)], after, SEALS_AT_ONCE):
        after = headers[-1]
        for batch in batches(headers):
            bodies = read_bodies(raw, [header.id for header in batch])
            for header, own in rows_under(raw, batch):
                yield header, bodies[header.id], own


def seal_line(header: Header, body: Body) -> Line:
    """A seal, as an export has it."""
    return {
        "type": "seal",
        "from_seq": header.terms.from_seq,
        "to_seq": header.terms.to_seq,
        "rows": header.rows,
        "sealed_at": header.terms.sealed_at,
        "previous_head": header.previous.hex(),
        "head": header.head.hex(),
        "entries": body.entries.hex(),
    }


def row_line(row: Row, salts: Mapping[Place, bytes], *, is_redacted: bool = False) -> Line:
    """A row, as an export has it: its fields in the order in which they are hashed."""
    line: Line = {"type": row.place.kind, "seq": row.place.seq}
    if row.place.kind == TRANSFER:
        line["position"] = row.place.position
    line["fields"] = dict(zip(FIELDS[row.place.kind], row.fields, strict=True))
    if row.parts is not None:
        line |= _parts(row.parts, salts.get(row.place, b""), is_redacted=is_redacted)
    return line


def _parts(parts: Parts, salt: bytes, *, is_redacted: bool) -> Line:
    if is_redacted:
        return {"user": None, "properties": {}, "salts": {}, "erased": _hex(parts.commitments(salt))}
    return {
        "user": parts.values.get(USER),
        "properties": {
            path.removeprefix(PROPERTY): text for path, text in parts.values.items() if path != USER
        },
        "salts": _hex({path: parts.salt_of(path, salt) for path in parts.values}),
        "erased": _hex(parts.erased),
    }


def _hex(values: Mapping[str, bytes]) -> dict[str, str]:
    return {path: value.hex() for path, value in values.items()}


def export_heads(raw: psycopg.Connection[Any], customer_id: int | None = None) -> Iterator[Line]:
    """The last head of every payer that has one, of one customer or of all."""
    after = (0, 0)
    while headers := read_heads(raw, after, customer_id, HEADS_AT_ONCE):
        after = headers[-1].payer
        for header in headers:
            yield {
                "type": "head",
                "format": FORMAT,
                "customer": header.terms.customer_id,
                "billing_entity": header.terms.payer_id,
                "billing_entity_id": public_id("be", header.terms.payer_id),
                "to_seq": header.terms.to_seq,
                "head": header.head.hex(),
                "sealed_at": header.terms.sealed_at,
            }


@contextmanager
def opened(path: str, standard: Any) -> Iterator[Any]:
    """Where lines go: a file, or `standard` for `-`."""
    if path == "-":
        yield standard
        return
    with Path(path).open("w", encoding="utf-8") as out:
        yield out


def json_line(line: Line) -> str:
    """A line of an export."""
    return json.dumps(line, ensure_ascii=False) + "\n"
