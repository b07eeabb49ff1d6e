"""A key that has counted: the first answer again, or a conflict that names what differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from billing.charging.outcomes import Charged, Failed, Recorded
from billing.charging.planning import Planned
from billing.charging.reading import KnownKey
from core.errors import Conflict
from core.ids import public_id
from core.jsonio import decode_json
from core.sql import execute, number_array, text_array
from metering.payload import GIVEN, differing_fields, recorded_payload

STORED: Final = """
    SELECT t.n, e.id, e.recorded_at, e.seq, e.billing_entity_id, e.name, e.occurred_at, e.properties, e.costs,
           e.cost, e."user", e.trace, e.given, e.workspace_id, e.api_key_id, e.unmatched, e.unpriced,
           c.amount, c.currency, c.lines, c.available_after, c.settled_after, c.held_after
    FROM unnest(%s::bigint[], %s::uuid[], %s::timestamptz[])
        WITH ORDINALITY AS t(customer_id, id, recorded_at, n)
    JOIN metering_usageevent e
        ON e.customer_id = t.customer_id AND e.id = t.id AND e.recorded_at = t.recorded_at
    LEFT JOIN billing_charge c
        ON c.customer_id = t.customer_id AND c.id = t.id AND c.recorded_at = t.recorded_at"""
COLUMNS: Final = tuple(
    "n id recorded_at seq billing_entity_id name occurred_at properties costs cost user trace given"  # noqa: SIM905
    " workspace_id api_key_id unmatched unpriced amount currency lines available settled held".split()
)


def replay(
    raw: psycopg.Connection[Any], found: Sequence[tuple[Planned, KnownKey]]
) -> list[Charged | Recorded | Failed]:
    """The stored answers, in order; one statement."""
    if not found:
        return []
    customers = [item.attribution.config.customer_id for item, _ in found if item.attribution.config]
    rows = execute(
        raw,
        STORED,
        (
            number_array(customers),
            text_array(str(key.event_id) for _, key in found),
            text_array(key.recorded_at.isoformat() for _, key in found),
        ),
    )
    stored = {row[0]: _decoded(row) for row in rows}
    return [
        _answer(customer_id, item, key, stored[position])
        for position, (customer_id, (item, key)) in enumerate(zip(customers, found, strict=True), start=1)
    ]


def _decoded(row: Sequence[Any]) -> dict[str, Any]:
    fields = dict(zip(COLUMNS, row, strict=True))
    for name in ("properties", "costs", "lines"):  # Django leaves jsonb as text on its connections
        if fields[name] is not None:
            fields[name] = decode_json(fields[name].encode())
    return fields


def _answer(
    customer_id: int, item: Planned, key: KnownKey, row: dict[str, Any]
) -> Charged | Recorded | Failed:
    if item.payload_hash != key.payload_hash:
        differing = _differing(item, row)
        if differing:
            return Failed(conflict(item, differing))
    if row["amount"] is None:
        return Recorded(
            customer_id,
            row["id"],
            row["recorded_at"],
            row["seq"],
            row["unmatched"],
            row["unpriced"],
            is_replay=True,
        )
    return Charged(
        customer_id=customer_id,
        id=row["id"],
        recorded_at=row["recorded_at"],
        seq=row["seq"],
        billing_entity=public_id("be", row["billing_entity_id"]),
        amount=row["amount"],
        currency=row["currency"],
        cost=row["cost"],
        lines=row["lines"],
        available=row["available"],
        settled=row["settled"],
        held=row["held"],
        is_replay=True,
        unmatched=row["unmatched"],
        unpriced=row["unpriced"],
    )


def conflict(item: Planned, differing: Sequence[str]) -> Conflict:
    """The error of a key that has counted with another payload."""
    key = item.request.event.idempotency_key
    fields = ", ".join(differing)
    return Conflict(
        "idempotency_conflict", f"The key {key!r} was used with other values of: {fields}.", differing[0]
    )


def _differing(item: Planned, row: dict[str, Any]) -> list[str]:
    """Compare what is sent now with what was sent then; what either left out does not differ."""
    sent = named_payload(item)
    fields = ("name", "user", "trace", "given", "occurred_at", "properties", "costs")
    first = recorded_payload(**{name: row[name] for name in fields})
    for name in ("workspace", "api_key", "billing_entity"):
        if row["given"] & GIVEN[name]:
            first[name] = str(row[f"{name}_id"])
    return differing_fields(first, sent)


def named_payload(item: Planned) -> dict[str, Any]:
    """What was sent, with who calls by the rows' ids: a workspace is the same by each of its names."""
    payload, found = dict(item.request.event.payload), item.attribution
    for name, pk in (
        ("workspace", found.workspace_id),
        ("api_key", found.api_key_id),
        ("billing_entity", found.named_payer_id),
    ):
        if name in payload:
            payload[name] = str(pk)
    return payload
