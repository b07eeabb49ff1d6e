"""SQL of reversals: which charges of events still stand, and what a group's counter was folded from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg

from billing.ledger import PayerId
from core.ids import first_uuid7
from core.jsonio import decode_json
from core.sql import execute, number_array, text_array
from pricing.store import CounterKey

STANDING: Final = """
    WITH events AS (SELECT * FROM unnest(%s::uuid[], %s::timestamptz[]) AS t(event_id, recorded_at)),
    made AS (
        SELECT event_id, event_id AS id, recorded_at FROM events
        UNION SELECT r.event_id, r.charge_id, r.recorded_at
        FROM events e JOIN billing_rerating r ON r.customer_id = %s AND r.event_id = e.event_id
        UNION SELECT v.event_id, v.replaced_by, v.recorded_at
        FROM events e JOIN billing_reversal v ON v.customer_id = %s AND v.event_id = e.event_id
        WHERE v.replaced_by IS NOT NULL)
    SELECT made.event_id, c.id, c.recorded_at, c.seq, c.lines
    FROM made
    JOIN billing_charge c ON c.customer_id = %s AND c.id = made.id AND c.recorded_at = made.recorded_at
    WHERE NOT EXISTS (SELECT 1 FROM billing_reversedcharge x WHERE x.customer_id = %s AND x.charge_id = c.id)
    ORDER BY c.seq"""
FOLDED: Final = """
    SELECT (line->>'segment')::bigint, (line->>'component_id')::bigint, line->>'dimensions', c.id,
           (line->>'quantity')::numeric
    FROM billing_charge c, jsonb_array_elements(c.lines) AS line
    WHERE c.customer_id = %s AND c.billing_entity_id = %s AND c.recorded_at >= %s AND c.id >= %s
        AND (line->>'segment')::bigint = ANY(%s::bigint[])
        AND (line->>'component_id')::bigint = ANY(%s::bigint[])
        AND NOT line ? 'reverses'
        AND NOT EXISTS (SELECT 1 FROM billing_reversedcharge x
                        WHERE x.customer_id = c.customer_id AND x.charge_id = c.id)
    ORDER BY c.seq"""


@dataclass(slots=True, frozen=True)
class StandingCharge:
    """A charge that was not taken back, as it is stored."""

    id: UUID
    recorded_at: datetime
    seq: int
    lines: list[dict[str, Any]]


def standing_charges(
    raw: psycopg.Connection[Any], customer_id: int, events: Sequence[tuple[UUID, datetime]]
) -> dict[UUID, list[StandingCharge]]:
    """By event (id, recorded_at), its charges that stand, in `seq` order; the payer's row is locked."""
    arrays = (text_array(str(pk) for pk, _ in events), text_array(at.isoformat() for _, at in events))
    found: dict[UUID, list[StandingCharge]] = defaultdict(list)
    for event_id, pk, recorded_at, seq, lines in execute(raw, STANDING, (*arrays, *[customer_id] * 4)):
        found[event_id].append(StandingCharge(pk, recorded_at, seq, decode_json(lines.encode())))
    return found


def folded_quantities(
    raw: psycopg.Connection[Any], payer: PayerId, keys: Iterable[CounterKey], since: datetime
) -> dict[CounterKey, list[tuple[UUID, Decimal]]]:
    """What the counters of `keys` were folded from: (charge, quantity) in `seq` order, without what was
    taken back. Nothing of them was recorded before `since`."""
    wanted = set(keys)
    segments, components = {key.segment_id for key in wanted}, {key.component_id for key in wanted}
    found: dict[CounterKey, list[tuple[UUID, Decimal]]] = {key: [] for key in wanted}
    params = (*payer, since, first_uuid7(since), number_array(segments), number_array(components))
    for segment_id, component_id, dimensions, charge_id, quantity in execute(raw, FOLDED, params):
        key = CounterKey(payer[0], segment_id, component_id, dimensions)
        if key in wanted:
            found[key].append((charge_id, quantity))
    return found
