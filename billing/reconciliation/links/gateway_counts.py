"""Gateways' own counts <-> events: how many calls of a key there were in an hour.

Only hours are compared that every gateway which counted them had counted to their end. A reversed event
counts: the call took place. A finding names no payer, which would change as calls are recorded.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.finding import Checked, Finding
from billing.reconciliation.link import Link
from billing.reconciliation.scope import Scope
from core.ids import public_id
from core.instants import instant_text
from core.jsonio import decode_json

NAME: Final = "gateway_counts"
CALLS: Final = "calls"
TOO_HIGH: Final = "count_too_high"
TOO_LOW: Final = "count_too_low"
DIFFERENCES: Final = """
    WITH counted AS MATERIALIZED (
        SELECT customer_id, api_key_id, hour, event, sum(calls)::bigint AS calls,
               bool_and(counted_until >= hour + interval '1 hour') AS is_complete,
               jsonb_agg(jsonb_build_object('id', id, 'source', source, 'calls', calls)
                         ORDER BY source) AS counts
        FROM billing_gatewaycount WHERE superseded_at IS NULL GROUP BY 1, 2, 3, 4),
    reach AS MATERIALIZED (
        SELECT customer_id, min(hour) AS first, max(hour) AS last FROM counted WHERE is_complete GROUP BY 1),
    recorded AS MATERIALIZED (
        SELECT e.customer_id, e.api_key_id, date_trunc('hour', e.occurred_at, 'UTC') AS hour, e.name,
               count(*) AS calls, min(e.billing_entity_id) AS payer, max(e.billing_entity_id) AS last_payer
        FROM reach r JOIN metering_usageevent e ON e.customer_id = r.customer_id
            AND e.recorded_at >= r.first - interval '1 day' AND e.occurred_at >= r.first
            AND e.occurred_at < r.last + interval '1 hour' AND e.api_key_id IS NOT NULL
        GROUP BY 1, 2, 3, 4)
    SELECT c.customer_id, c.api_key_id, k.fingerprint, c.hour, c.event, c.calls,
           coalesce(sum(r.calls), 0)::bigint, min(r.payer), max(r.last_payer), c.counts::text,
           coalesce(jsonb_object_agg(r.name, r.calls) FILTER (WHERE r.name IS NOT NULL), '{}')::text
    FROM counted c JOIN accounts_apikey k ON k.id = c.api_key_id
    LEFT JOIN recorded r ON r.customer_id = c.customer_id AND r.api_key_id = c.api_key_id AND r.hour = c.hour
        AND (c.event = '' OR r.name = c.event)
    WHERE c.is_complete
    GROUP BY c.customer_id, c.api_key_id, k.fingerprint, c.hour, c.event, c.calls, c.counts
    HAVING coalesce(sum(r.calls), 0) <> c.calls
    ORDER BY c.customer_id, c.api_key_id, c.hour, c.event"""
WAITING: Final = """
    SELECT id, payload->>'api_key', payload->>'event',
           coalesce((payload->>'occurred_at')::timestamptz, received_at)
    FROM metering_quarantinedevent
    WHERE status = 'waiting' AND payload->>'api_key' = ANY(%(keys)s::text[]) ORDER BY id"""
STANDING: Final = "SELECT count(*) FROM billing_gatewaycount WHERE superseded_at IS NULL"
HOUR: Final = timedelta(hours=1)
Waiting = dict[tuple[str, datetime], list[tuple[int, str]]]
"""(key's fingerprint or id, hour) -> (row, event) of what waits in quarantine."""


def check(scope: Scope) -> Checked:
    """Every complete hour of every key that somebody counted."""
    rows = scope.rows(DIFFERENCES)
    waiting = _waiting(scope, rows)
    findings = [_finding(row, waiting) for row in rows]
    return Checked(scope.rows(STANDING)[0][0], findings)


def _finding(row: tuple[Any, ...], waiting: Waiting) -> Finding:
    customer_id, key_id, fingerprint, hour, event, counted, recorded, payer, last_payer, counts, names = row
    key = public_id("key", key_id)
    here = [*waiting[fingerprint, hour], *waiting[key, hour]]
    quarantined = [number for number, name in here if not event or name == event]
    return Finding(
        TOO_HIGH if counted > recorded else TOO_LOW,
        f"key {key} hour {instant_text(hour)}" + (f" event {event}" if event else ""),
        CALLS,
        Decimal(counted),
        Decimal(recorded),
        customer_id,
        None,
        cause=_cause(counted, recorded, len(quarantined)),
        detail={
            "payer": public_id("be", payer) if payer is not None and payer == last_payer else None,
            "api_key": key,
            "hour": instant_text(hour),
            "event": event,
            "counts": decode_json(counts.encode()),
            "recorded": decode_json(names.encode()),
            "quarantined": [public_id("qe", number) for number in quarantined[:100]],
        },
    )


def _cause(counted: int, recorded: int, quarantined: int) -> str:
    if counted < recorded:
        return (
            "More calls were recorded than the gateway let through: calls that did not pass it, several"
            " events of one call, or one call under two idempotency keys."
        )
    if quarantined:
        rest = max(0, counted - recorded - quarantined)
        says = f"{quarantined} of the missing calls wait in quarantine"
        return f"{says}; of {rest} more nothing is known here." if rest else f"{says}."
    return "The gateway let calls through of which no event came: not sent, or refused when they were."


def _waiting(scope: Scope, rows: list[tuple[Any, ...]]) -> Waiting:
    found: Waiting = defaultdict(list)
    keys = {name for row in rows for name in (row[2], public_id("key", row[1]))}
    for number, key, event, at in scope.rows(WAITING, keys=sorted(keys)) if keys else ():
        found[key, at.replace(minute=0, second=0, microsecond=0)].append((number, event))
    return found


LINK: Final = Link(
    NAME,
    "gateway's counts",
    "events",
    {
        TOO_HIGH: "A gateway counted more calls of a key in an hour than were recorded.",
        TOO_LOW: "A gateway counted fewer calls of a key in an hour than were recorded.",
    },
    check,
    is_outside=True,
)
