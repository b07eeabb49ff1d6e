"""SQL of holds. Rows of one payer are only written by the transaction that holds its wallet row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from billing.holds import FirstAnswer, Hold, HoldId
from billing.ledger import PayerId
from core.jsonio import decode_json
from core.pipeline import Answer
from core.sql import HotTable, Session, execute, key_arrays, nullable_text_array, number_array, text_array

encode = msgspec.json.Encoder(decimal_format="number").encode
HOLDS: Final = HotTable(
    "billing_authorization",
    {
        "customer_id": "bigint",
        "id": "uuid",
        "billing_entity_id": "bigint",
        "workspace_id": "bigint",
        "api_key_id": "bigint",
        "kind": "text",
        "idempotency_key": "text",
        "event": "text",
        "payload": "jsonb",
        "amount": "numeric",
        "currency": "text",
        "occurred_at": "timestamptz",
        "authorized_at": "timestamptz",
        "expires_in": "integer",
        "expires_at": "timestamptz",
        "status": "text",
        "held": "numeric",
        "reserved": "jsonb",
        "metered": "jsonb",
        "counted_in": "jsonb",
        "available_after": "numeric",
        "settled_after": "numeric",
        "held_after": "numeric",
    },
)
COLUMNS: Final = """
    a.customer_id, a.id, a.billing_entity_id, a.workspace_id, a.api_key_id, a.kind, a.status, a.amount,
    a.held, a.expires_at, a.counted_in, a.settled_at, a.event_id, a.event_recorded_at, a.captured_amount,
    a.idempotency_key, a.payload, a.currency, a.authorized_at + a.expires_in * interval '1 second',
    a.available_after, a.settled_after, a.held_after, a.refused_key, a.reserved, a.capped_at"""
# OFFSET 0 keeps the planner to one index lookup a payer, as for grants.
READ: Final = f"""
    SELECT {COLUMNS} FROM unnest(%s::bigint[], %s::uuid[]) AS t(c, i)
    JOIN billing_authorization a ON a.customer_id = t.c AND a.id = t.i
    UNION ALL
    SELECT {COLUMNS} FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b), LATERAL (
        SELECT * FROM billing_authorization
        WHERE customer_id = t.c AND billing_entity_id = t.b AND status = 'authorized' AND expires_at <= %s
        OFFSET 0) AS a"""  # noqa: S608
PROMISED_FIELDS: Final = (
    "customer_id",
    "id",
    "billing_entity_id",
    "workspace_id",
    "api_key_id",
    "kind",
    "idempotency_key",
    "event",
    "occurred_at",
    "expires_at",
    "status",
)
READ_PROMISED: Final = f"""
    SELECT {", ".join(f"a.{name}" for name in PROMISED_FIELDS)}, a.payload::text
    FROM unnest(%s::bigint[], %s::uuid[]) AS t(c, i)
    JOIN billing_authorization a ON a.customer_id = t.c AND a.id = t.i
    WHERE a.kind = 'authorization'"""  # noqa: S608
READ_REFUSED: Final = f"""
    SELECT {COLUMNS} FROM unnest(%s::bigint[], %s::text[]) AS t(c, k)
    JOIN billing_authorization a ON a.customer_id = t.c AND a.refused_key = t.k
    WHERE a.status = 'expired'"""  # noqa: S608
WRITE: Final = """
    UPDATE billing_authorization AS a
    SET status = t.status, held = t.held, expires_at = t.expires_at, settled_at = t.settled_at,
        event_id = t.event_id, event_recorded_at = t.event_recorded_at,
        captured_amount = t.captured_amount, refused_key = t.refused_key, capped_at = t.capped_at
    FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::numeric[], %s::timestamptz[], %s::timestamptz[],
                %s::uuid[], %s::timestamptz[], %s::numeric[], %s::text[], %s::numeric[])
        AS t(customer_id, id, status, held, expires_at, settled_at, event_id, event_recorded_at,
             captured_amount, refused_key, capped_at)
    WHERE a.customer_id = t.customer_id AND a.id = t.id"""
RESERVED: Final = """
    SELECT a.customer_id, a.billing_entity_id, r.key::bigint, sum(r.value::numeric)
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b), LATERAL (
        SELECT * FROM billing_authorization
        WHERE customer_id = t.c AND billing_entity_id = t.b AND status = 'authorized'
        OFFSET 0) AS a, jsonb_each_text(a.reserved) AS r
    GROUP BY 1, 2, 3"""
# What was absorbed of an event's charges nobody has paid. They are its own, what was made of it later, and
# what took those back: each is looked up by its key.
CAPS: Final = """
    SELECT a.event_id, a.capped_at, coalesce((
        SELECT sum((f->>'amount')::numeric)
        FROM (
            SELECT a.event_id AS id, a.event_recorded_at AS recorded_at
            UNION SELECT r.charge_id, r.recorded_at
            FROM billing_rerating r WHERE r.customer_id = a.customer_id AND r.event_id = a.event_id
            UNION SELECT unnest(ARRAY[v.charge_id, v.replaced_by]), v.recorded_at
            FROM billing_reversal v WHERE v.customer_id = a.customer_id AND v.event_id = a.event_id) made
        JOIN billing_charge c ON c.customer_id = a.customer_id AND c.id = made.id
            AND c.recorded_at = made.recorded_at,
            jsonb_array_elements(c.funding) AS f
        WHERE f->>'account' <> 'leakage'), 0)
    FROM billing_authorization a
    WHERE a.customer_id = %s AND a.event_id = ANY(%s::uuid[]) AND a.capped_at IS NOT NULL"""
DUE: Final = """
    SELECT DISTINCT customer_id, billing_entity_id FROM billing_authorization
    WHERE status = 'authorized' AND expires_at <= %s ORDER BY 1, 2 LIMIT %s"""


def read_holds(raw: Session, ids: Sequence[HoldId], payers: Sequence[PayerId], now: datetime) -> Answer:
    """The holds of these ids, and those of the payers that are open though their time is over."""
    wanted = (number_array(customer_id for customer_id, _ in ids), text_array(str(uuid) for _, uuid in ids))
    return execute(raw, READ, (*wanted, *key_arrays(payers, "nn"), now))


def read_promised(raw: Session, ids: Collection[HoldId]) -> Answer:
    """The authorizations of these ids: PROMISED_FIELDS, and the payload as text."""
    wanted = (number_array(customer_id for customer_id, _ in ids), text_array(str(uuid) for _, uuid in ids))
    return execute(raw, READ_PROMISED, wanted)


def read_reserved(raw: Session, payers: Sequence[PayerId]) -> dict[PayerId, dict[int, Decimal]]:
    """What the payers' open holds count on of grants that are limited to components, by grant."""
    reserved: dict[PayerId, dict[int, Decimal]] = {}
    for customer_id, payer_id, grant_id, amount in execute(raw, RESERVED, key_arrays(payers, "nn")):
        reserved.setdefault((customer_id, payer_id), {})[grant_id] = amount
    return reserved


def read_due(raw: Session, now: datetime, limit: int) -> list[Any]:
    """(customer, payer) of those with an open hold whose time is over."""
    return execute(raw, DUE, (now, limit)).fetchall()


def hold_from_row(row: Sequence[Any]) -> Hold:
    """A row of `read_holds`."""
    return Hold(
        customer_id=row[0],
        id=row[1],
        payer_id=row[2],
        workspace_id=row[3],
        api_key_id=row[4],
        kind=row[5],
        status=row[6],
        amount=row[7],
        held=row[8],
        expires_at=row[9],
        counted_in=_decoded(row[10]),
        settled_at=row[11],
        event_id=row[12],
        event_recorded_at=row[13],
        captured_amount=row[14],
        refused_key=row[22],
        capped_at=row[24],
        reserved={int(grant): Decimal(amount) for grant, amount in _decoded(row[23]).items()},
        first=FirstAnswer(row[15], _decoded(row[16]), row[7], row[17], *row[18:22]),
    )


def read_refused(raw: Session, keys: Sequence[tuple[int, str]]) -> list[Hold]:
    """The expired holds whose captures were refused under these keys of customers."""
    return [hold_from_row(row) for row in execute(raw, READ_REFUSED, key_arrays(keys, "nt"))]


def read_caps(raw: Session, customer_id: int, events: Sequence[UUID]) -> list[tuple[UUID, Decimal, Decimal]]:
    """(event, the most that it may cost, what it has cost the payer) of those captured with a cap."""
    found = execute(raw, CAPS, (customer_id, "{" + ",".join(str(event) for event in events) + "}"))
    return [(event, cap, paid) for event, cap, paid in found]


def write_holds(raw: Session, holds: Sequence[Hold]) -> None:
    """Write what became of holds."""
    if not holds:
        return
    params = (
        number_array(hold.customer_id for hold in holds),
        text_array(str(hold.id) for hold in holds),
        text_array(hold.status for hold in holds),
        number_array(hold.held for hold in holds),
        _array(hold.expires_at for hold in holds),
        _array(hold.settled_at for hold in holds),
        _array(hold.event_id for hold in holds),
        _array(hold.event_recorded_at for hold in holds),
        _array(hold.captured_amount for hold in holds),
        nullable_text_array(hold.refused_key for hold in holds),
        _array(hold.capped_at for hold in holds),
    )
    execute(raw, WRITE, params)


def as_json(value: Any) -> str:
    """A value as a column of jsonb: numbers exactly as they came."""
    return encode(value).decode()


def _decoded(column: Any) -> Any:
    """Django leaves jsonb as text on its connections."""
    return decode_json(column.encode()) if isinstance(column, str) else column


def _array(values: Iterable[datetime | UUID | Decimal | None]) -> str:
    """An array literal in which None is null."""
    shown = ("NULL" if value is None else f'"{_text(value)}"' for value in values)
    return "{" + ",".join(shown) + "}"


def _text(value: datetime | UUID | Decimal) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
