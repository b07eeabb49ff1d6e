"""SQL of billing's tables beside the ledger: charges, margin buckets, denials, overspend."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import astuple

from core.sql import HotTable, Session, execute, key_arrays, number_array, text_array

CHARGES: Final = HotTable(
    "billing_charge",
    {
        "customer_id": "bigint",
        "id": "uuid",
        "recorded_at": "timestamptz",
        "seq": "bigint",
        "billing_entity_id": "bigint",
        "workspace_id": "bigint",
        "event_id": "uuid",
        "event_recorded_at": "timestamptz",
        "occurred_at": "timestamptz",
        "amount": "numeric",
        "currency": "text",
        "lines": "jsonb",
        "funding": "jsonb",
        "settled_after": "numeric",
        "held_after": "numeric",
        "available_after": "numeric",
    },
)
ADD_MARGINS: Final = """
    INSERT INTO billing_marginbucket AS m
        (customer_id, billing_entity_id, hour, workspace_id, event, events, costed, unmatched, unpriced,
         revenue, cost)
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::text[],
                         %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::numeric[])
    ON CONFLICT (customer_id, billing_entity_id, hour, workspace_id, event) DO UPDATE
    SET events = m.events + EXCLUDED.events, costed = m.costed + EXCLUDED.costed,
        unmatched = m.unmatched + EXCLUDED.unmatched, unpriced = m.unpriced + EXCLUDED.unpriced,
        revenue = m.revenue + EXCLUDED.revenue, cost = m.cost + EXCLUDED.cost"""
ADD_OVERSPEND: Final = """
    INSERT INTO billing_overspend (customer_id, billing_entity_id, seq, charge_id, amount, cause, recorded_at)
    SELECT c, p, s, i, a, w, %s::timestamptz
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::uuid[], %s::numeric[], %s::text[])
        AS t(c, p, s, i, a, w)"""
ADD_DENIALS: Final = """
    INSERT INTO billing_denial
        (denied_at, customer_id, billing_entity_id, workspace_id, api_key_id, occurred_at, idempotency_key,
         event, reason, level, level_id, expected_amount, available, "limit", used, resets_at, retryable)
    SELECT %s::timestamptz, t.*
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::numeric[],
        %s::numeric[], %s::timestamptz[], %s::boolean[]) AS t"""


ADD_RERATINGS: Final = """
    INSERT INTO billing_rerating (customer_id, event_id, charge_id, recorded_at)
    SELECT c, e, h, %s::timestamptz FROM unnest(%s::bigint[], %s::uuid[], %s::uuid[]) AS t(c, e, h)"""


class MarginKey(Struct, frozen=True):
    """One row of the margin buckets; `hour` as ISO text; workspace 0 = none."""

    customer_id: int
    payer_id: int
    hour: str
    workspace_id: int
    event: str


class OverspendRow(NamedTuple):
    """What a charge took below the allowed floor."""

    customer_id: int
    payer_id: int
    seq: int
    charge_id: UUID
    amount: Decimal
    cause: str


class DenialRow(NamedTuple):
    """A refused charge."""

    customer_id: int
    payer_id: int
    workspace_id: int | None
    api_key_id: int | None
    occurred_at: datetime
    idempotency_key: str
    event: str
    reason: str
    level: str
    level_id: str
    expected_amount: Decimal
    available: Decimal
    limit: Decimal | None
    used: Decimal | None
    resets_at: datetime | None
    retryable: bool


def write_margins(raw: Session, margins: dict[MarginKey, list[Any]]) -> None:
    """Add [events, costed, unmatched, unpriced, revenue, cost] to the margin buckets."""
    if not margins:
        return
    columns = key_arrays(map(astuple, margins), "nntnt") + key_arrays(margins.values(), "nnnnnn")
    execute(raw, ADD_MARGINS, columns)


def write_overspend(raw: Session, rows: Sequence[OverspendRow], now: datetime) -> None:
    """Report what went below the floor."""
    if not rows:
        return
    params = (
        now,
        number_array(row.customer_id for row in rows),
        number_array(row.payer_id for row in rows),
        number_array(row.seq for row in rows),
        text_array(str(row.charge_id) for row in rows),
        number_array(row.amount for row in rows),
        text_array(row.cause for row in rows),
    )
    execute(raw, ADD_OVERSPEND, params)


def write_denials(raw: Session, rows: Sequence[DenialRow], now: datetime) -> None:
    """Keep refusals."""
    if not rows:
        return
    params = (
        now,
        number_array(row.customer_id for row in rows),
        number_array(row.payer_id for row in rows),
        _nullable_array(row.workspace_id for row in rows),
        _nullable_array(row.api_key_id for row in rows),
        text_array(row.occurred_at.isoformat() for row in rows),
        text_array(row.idempotency_key for row in rows),
        text_array(row.event for row in rows),
        text_array(row.reason for row in rows),
        text_array(row.level for row in rows),
        text_array(row.level_id for row in rows),
        number_array(row.expected_amount for row in rows),
        number_array(row.available for row in rows),
        _nullable_array(row.limit for row in rows),
        _nullable_array(row.used for row in rows),
        _nullable_array(row.resets_at and f'"{row.resets_at.isoformat()}"' for row in rows),
        _nullable_array(row.retryable for row in rows),
    )
    execute(raw, ADD_DENIALS, params)


def write_reratings(raw: Session, rows: Sequence[tuple[int, UUID, UUID]], now: datetime) -> None:
    """Note (customer, event, charge): an event is re-rated once, its key here fails a second time."""
    if not rows:
        return
    params = (
        now,
        number_array(customer_id for customer_id, _, _ in rows),
        text_array(str(event_id) for _, event_id, _ in rows),
        text_array(str(charge_id) for _, _, charge_id in rows),
    )
    execute(raw, ADD_RERATINGS, params)


def _nullable_array(values: Any) -> str:
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"
