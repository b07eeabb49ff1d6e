"""SQL of erasing a person's data: finding it, and letting it go by the one way that the triggers leave."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from billing.ledger import PayerId
from core.sql import execute, number_array, text_array

HASH_BYTES: Final = 16
"""Of the hash of a payload (metering.payload)."""
_VALUE: Final = "CASE WHEN jsonb_typeof(p.value) = 'string' THEN p.value #>> '{}' ELSE p.value::text END"
_OF_PERSON: Final = f"""
    (r."user" = %s OR EXISTS (
        SELECT FROM jsonb_each(r.properties) AS p WHERE {_VALUE} = ANY(%s::text[])))"""
FIND_EVENTS: Final = f"""
    SELECT r.seq, r.id, r.recorded_at, r.name, r."user",
           (SELECT json_object_agg(p.key, json_build_array(p.value::text, {_VALUE}))::text
            FROM jsonb_each(r.properties) AS p),
           x.parts::text
    FROM metering_usageevent r
    LEFT JOIN billing_erasedrecord x ON x.customer_id = r.customer_id AND x.record_id = r.id
    WHERE r.customer_id = %s AND r.billing_entity_id = %s AND r.seq > %s AND r.seq <= %s AND {_OF_PERSON}
    ORDER BY r.seq LIMIT %s::int"""  # noqa: S608 - the texts are ours
SEALS_OF: Final = """
    SELECT t.seq, s.to_seq, s.entries
    FROM unnest(%s::bigint[]) AS t(seq),
    LATERAL (SELECT from_seq, to_seq, entries FROM billing_seal
             WHERE customer_id = %s AND billing_entity_id = %s AND to_seq >= t.seq
             ORDER BY to_seq LIMIT 1) AS s
    WHERE s.from_seq <= t.seq"""
LOCK_SALTS: Final = """
    SELECT to_seq, salts FROM billing_sealsalts
    WHERE customer_id = %s AND billing_entity_id = %s AND to_seq = ANY(%s::bigint[])
    ORDER BY to_seq FOR UPDATE"""
WRITE_SALTS: Final = """
    UPDATE billing_sealsalts AS x SET salts = decode(t.salts, 'hex')
    FROM unnest(%s::bigint[], %s::text[]) AS t(to_seq, salts)
    WHERE x.customer_id = %s AND x.billing_entity_id = %s AND x.to_seq = t.to_seq"""
WRITE_RECORDS: Final = """
    INSERT INTO billing_erasedrecord AS x
        (customer_id, record_id, billing_entity_id, seq, parts, erasure_id, erased_at)
    SELECT %s, t.id, t.b, t.seq, t.parts, %s, %s
    FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::jsonb[]) AS t(id, b, seq, parts)
    ON CONFLICT (customer_id, record_id) DO UPDATE
    SET parts = x.parts || EXCLUDED.parts, erasure_id = EXCLUDED.erasure_id, erased_at = EXCLUDED.erased_at"""
ERASE_EVENTS: Final = """
    UPDATE metering_usageevent AS e
    SET "user" = CASE WHEN t.names ? 'user' THEN NULL ELSE e."user" END,
        properties = e.properties - ARRAY(
            SELECT substr(path, 12) FROM jsonb_array_elements_text(t.names) AS path
            WHERE path LIKE 'properties.%%')
    FROM unnest(%s::uuid[], %s::timestamptz[], %s::jsonb[]) AS t(id, recorded_at, names)
    WHERE e.customer_id = %s AND e.id = t.id AND e.recorded_at = t.recorded_at"""
FORGET_HASHES: Final = """
    UPDATE metering_idempotencykey AS k SET payload_hash = ''
    FROM metering_usageevent e, unnest(%s::uuid[], %s::timestamptz[]) AS t(id, recorded_at)
    WHERE e.customer_id = %s AND e.id = t.id AND e.recorded_at = t.recorded_at
        AND k.customer_id = e.customer_id AND k.key = e.idempotency_key AND k.event_id = e.id"""


def _find_payloads(columns: str, table: str, key: str, lock: str = "") -> str:
    return f"""
    SELECT {columns}, r.payload->>'user',
           (SELECT json_object_agg(p.key, {_VALUE})::text
            FROM jsonb_each(COALESCE(r.payload->'properties', '{{}}')) AS p)
    FROM {table} r
    WHERE r.customer_id = %s AND r.id > %s::{key}
        AND (r.payload->>'user' = %s OR EXISTS (
            SELECT FROM jsonb_each(COALESCE(r.payload->'properties', '{{}}')) AS p
            WHERE {_VALUE} = ANY(%s::text[])))
    ORDER BY r.id LIMIT %s::int{lock}"""  # noqa: S608 - the texts are ours


FIND_HOLDS: Final = _find_payloads(
    "r.id, r.billing_entity_id, r.idempotency_key, r.event", "billing_authorization", "uuid"
)
FIND_QUARANTINED: Final = _find_payloads(
    "r.id, r.payload->>'event'", "metering_quarantinedevent", "bigint", " FOR UPDATE"
)
ERASE_HOLDS: Final = """
    UPDATE billing_authorization AS a
    SET payload = CASE WHEN a.payload ? 'properties' THEN jsonb_set(
            a.payload - ARRAY(SELECT jsonb_array_elements_text(t.names)), '{properties}',
            (a.payload->'properties') - ARRAY(
                SELECT substr(path, 12) FROM jsonb_array_elements_text(t.names) AS path
                WHERE path LIKE 'properties.%%'))
        ELSE a.payload - ARRAY(SELECT jsonb_array_elements_text(t.names)) END
    FROM unnest(%s::uuid[], %s::jsonb[]) AS t(id, names)
    WHERE a.customer_id = %s AND a.id = t.id"""
ERASE_QUARANTINED: Final = (
    ERASE_HOLDS.replace("billing_authorization", "metering_quarantinedevent")
    .replace("SET payload", "SET payload_hash = decode(t.hash, 'hex'), payload")
    .replace(
        "unnest(%s::uuid[], %s::jsonb[]) AS t(id, names)\n    WHERE a.customer_id = %s AND a.id",
        "unnest(%s::bigint[], %s::jsonb[], %s::text[]) AS t(id, names, hash)\n    WHERE a.id",
    )
)
FORGET_HOLD_HASHES: Final = """
    UPDATE metering_idempotencykey AS k SET payload_hash = ''
    FROM unnest(%s::text[], %s::uuid[]) AS t(key, id)
    WHERE k.customer_id = %s AND k.key = t.key AND k.event_id = t.id"""


class Person(NamedTuple):
    """Whose data: of one customer, by the user that events name, or by values of their properties."""

    customer_id: int
    user: str | None
    values: Sequence[str]


@dataclass(slots=True)
class FoundEvent:
    """An event with something of a person. `texts`: property -> canonical text; `shown`: as compared."""

    seq: int
    id: UUID
    recorded_at: datetime
    name: str
    user: str | None
    texts: dict[str, str]
    shown: dict[str, str]
    parts: dict[str, dict[str, str]] | None
    erased: list[str] = field(default_factory=list)


def find_events(
    raw: psycopg.Connection[Any], person: Person, payer_id: int, after: int, upto: int, limit: int
) -> list[FoundEvent]:
    """A payer's events with something of the person, by number."""
    params = (person.customer_id, payer_id, after, upto, person.user, text_array(person.values), limit)
    return [
        FoundEvent(
            seq,
            event_id,
            recorded_at,
            name,
            user,
            {key: value[0] for key, value in json.loads(properties or "{}").items()},
            {key: value[1] for key, value in json.loads(properties or "{}").items()},
            None if parts is None else json.loads(parts),
        )
        for seq, event_id, recorded_at, name, user, properties, parts in execute(raw, FIND_EVENTS, params)
    ]


def read_seals_of(
    raw: psycopg.Connection[Any], payer: PayerId, numbers: Iterable[int]
) -> dict[int, tuple[int, bytes]]:
    """By number, the seal over it: its last number and its entries."""
    rows = execute(raw, SEALS_OF, (number_array(numbers), *payer))
    return {row[0]: (row[1], bytes(row[2])) for row in rows}


def lock_salts(raw: psycopg.Connection[Any], payer: PayerId, seals: Iterable[int]) -> dict[int, bytearray]:
    """The salts of seals, by their last numbers."""
    return {row[0]: bytearray(row[1]) for row in execute(raw, LOCK_SALTS, (*payer, number_array(seals)))}


def write_salts(raw: psycopg.Connection[Any], payer: PayerId, salts: Mapping[int, bytearray]) -> None:
    """Write salts back, those of erased events as zeros."""
    execute(raw, WRITE_SALTS, (number_array(salts), text_array(map(bytearray.hex, salts.values())), *payer))


def erase_events(
    raw: psycopg.Connection[Any], payer: PayerId, erasure_id: int, at: datetime, events: Sequence[FoundEvent]
) -> None:
    """Let go what is erased of events (`erased`, `parts`), and forget the hashes of what was sent."""
    ids = text_array(str(event.id) for event in events)
    instants = text_array(event.recorded_at.isoformat() for event in events)
    payers = number_array(payer[1] for _ in events)
    parts = text_array(json.dumps(event.parts) for event in events)
    seqs = number_array(event.seq for event in events)
    execute(raw, WRITE_RECORDS, (payer[0], erasure_id, at, ids, payers, seqs, parts))
    execute(raw, FORGET_HASHES, (ids, instants, payer[0]))
    names = text_array(json.dumps(event.erased) for event in events)
    execute(raw, ERASE_EVENTS, (ids, instants, names, payer[0]))


@dataclass(slots=True)
class FoundHold:
    """An authorization with something of a person; `shown`: property -> text as compared."""

    id: UUID
    payer_id: int
    key: str
    name: str
    user: str | None
    shown: dict[str, str]
    erased: list[str] = field(default_factory=list)


def find_holds(raw: psycopg.Connection[Any], person: Person, after: UUID, limit: int) -> list[FoundHold]:
    """The customer's authorizations with something of the person, by id."""
    params = (person.customer_id, after, person.user, text_array(person.values), limit)
    return [
        FoundHold(row[0], row[1], row[2], row[3], row[4], json.loads(row[5] or "{}"))
        for row in execute(raw, FIND_HOLDS, params)
    ]


def erase_holds(
    raw: psycopg.Connection[Any],
    customer_id: int,
    erasure_id: int,
    at: datetime,
    holds: Sequence[FoundHold],
) -> None:
    """Let go what is erased of authorizations (`erased`), and forget the hashes of what was sent."""
    ids = text_array(str(hold.id) for hold in holds)
    parts = text_array(json.dumps({path: {"hash": None} for path in hold.erased}) for hold in holds)
    nulls = "{" + ",".join("NULL" for _ in holds) + "}"
    payers = number_array(hold.payer_id for hold in holds)
    execute(raw, WRITE_RECORDS, (customer_id, erasure_id, at, ids, payers, nulls, parts))
    execute(raw, FORGET_HOLD_HASHES, (text_array(hold.key for hold in holds), ids, customer_id))
    names = text_array(json.dumps(hold.erased) for hold in holds)
    execute(raw, ERASE_HOLDS, (ids, names, customer_id))


@dataclass(slots=True)
class FoundQuarantined:
    """An event in quarantine with something of a person; `shown`: property -> text as compared."""

    id: int
    name: str
    user: str | None
    shown: dict[str, str]
    erased: list[str] = field(default_factory=list)


def find_quarantined(
    raw: psycopg.Connection[Any], person: Person, after: int, limit: int
) -> list[FoundQuarantined]:
    """The customer's events in quarantine with something of the person, locked, by id."""
    params = (person.customer_id, after, person.user, text_array(person.values), limit)
    rows = execute(raw, FIND_QUARANTINED, params)
    return [FoundQuarantined(row[0], row[1], row[2], json.loads(row[3] or "{}")) for row in rows]


def erase_quarantined(raw: psycopg.Connection[Any], rows: Sequence[FoundQuarantined]) -> None:
    """Let go what is erased of events in quarantine (`erased`); chance takes the place of their hashes."""
    ids = number_array(row.id for row in rows)
    names = text_array(json.dumps(row.erased) for row in rows)
    hashes = text_array(secrets.token_hex(HASH_BYTES) for _ in rows)
    execute(raw, ERASE_QUARANTINED, (ids, names, hashes))
