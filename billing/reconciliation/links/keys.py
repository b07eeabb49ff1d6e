"""Keys <-> events: every event and authorization has its key, every key what it counted for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from billing.reconciliation.link import EVENTS, Checked, Finding, Link, Scope
from core.ids import hot_id
from core.numbers import ONE, ZERO

NAME: Final = "keys"
MISSING: Final = "key_missing"
ORPHAN: Final = "key_without_event"
PAYLOAD: Final = "event_changed"
# The key of an authorization names the call, whose event may bear it too.
EVENTS_WITHOUT: Final = """
    SELECT e.customer_id, e.billing_entity_id, e.id, e.idempotency_key, k.event_id
    FROM span
    JOIN metering_usageevent e ON e.customer_id = span.customer_id AND e.billing_entity_id = span.payer_id
        AND e.seq > span.after
    LEFT JOIN metering_idempotencykey k ON k.customer_id = e.customer_id AND k.key = e.idempotency_key
    WHERE (k.event_id IS DISTINCT FROM e.id OR k.recorded_at IS DISTINCT FROM e.recorded_at)
        AND NOT EXISTS (SELECT FROM billing_authorization a
                        WHERE a.customer_id = k.customer_id AND a.id = k.event_id)"""
HOLDS_WITHOUT: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.id, a.idempotency_key, k.event_id, a.kind
    FROM span
    JOIN billing_authorization a ON a.customer_id = span.customer_id AND a.billing_entity_id = span.payer_id
    LEFT JOIN metering_idempotencykey k
        ON k.customer_id = a.customer_id AND k.key = a.idempotency_key AND k.event_id = a.id
    WHERE k.recorded_at IS DISTINCT FROM a.authorized_at"""
KEYS_WITHOUT: Final = """
    SELECT k.customer_id, k.key, k.event_id
    FROM unnest(%(whole)s::bigint[]) AS w(customer_id)
    JOIN metering_idempotencykey k ON k.customer_id = w.customer_id
    LEFT JOIN metering_usageevent e
        ON e.customer_id = k.customer_id AND e.id = k.event_id AND e.recorded_at = k.recorded_at
    WHERE e.id IS NULL
        AND NOT EXISTS (SELECT FROM billing_authorization a
                        WHERE a.customer_id = k.customer_id AND a.id = k.event_id)"""


def check(scope: Scope) -> Checked:
    """Events and holds without a key; of customers looked at as a whole, keys without either."""
    findings = [*_missing(scope), *_orphans(scope), *scope.usage.changed]
    return Checked(scope.counted.events, findings)


def _missing(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, uuid, key, other in scope.rows(EVENTS_WITHOUT):
        event = hot_id("evt", customer_id, uuid)
        yield Finding(
            MISSING,
            f"event {event}",
            EVENTS,
            ONE,
            ZERO,
            customer_id,
            payer_id,
            cause="The key is gone: the same call would count again."
            if other is None
            else "The key names another event.",
            detail={"event": event, "key": key, "names": None if other is None else str(other)},
        )
    for customer_id, payer_id, uuid, key, other, kind in scope.rows(HOLDS_WITHOUT):
        hold = hot_id("lease" if kind == "lease" else "auth", customer_id, uuid)
        yield Finding(
            MISSING,
            f"authorization {hold}",
            EVENTS,
            ONE,
            ZERO,
            customer_id,
            payer_id,
            cause="The key of the hold is gone, or was written at another instant.",
            detail={"authorization": hold, "key": key, "names": None if other is None else str(other)},
        )


def _orphans(scope: Scope) -> Iterator[Finding]:
    for customer_id, key, uuid in scope.rows(KEYS_WITHOUT, whole=sorted(scope.whole)):
        event = hot_id("evt", customer_id, uuid)
        yield Finding(
            ORPHAN,
            f"key {key}",
            EVENTS,
            ONE,
            ZERO,
            customer_id,
            None,
            amount=Decimal(-1),
            cause="The event that the key counted for is gone.",
            detail={"event": event, "key": key},
        )


LINK: Final = Link(
    NAME,
    "keys",
    "events",
    {
        MISSING: "An event or authorization has no key, so its call could count twice.",
        ORPHAN: "A key counted for an event that is not there.",
        PAYLOAD: "An event is not what was sent under its key.",
    },
    check,
)
