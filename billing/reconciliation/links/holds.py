"""Holds and leases <-> balances and charges: what is reserved, and what captured it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from billing.reconciliation.link import Checked, Finding, Link, Scope
from core.ids import hot_id
from core.numbers import ZERO

NAME: Final = "holds"
HELD: Final = "held"
CAPTURE: Final = "capture"
SUMS: Final = """
    SELECT span.customer_id, span.payer_id, coalesce(h.held, 0), coalesce(a.held, 0), a.kind,
           coalesce(h.holds, 0)
    FROM span
    LEFT JOIN billing_ledgeraccount a ON a.customer_id = span.customer_id
        AND a.billing_entity_id = span.payer_id
    LEFT JOIN LATERAL (
        SELECT sum(held) AS held, count(*) AS holds FROM billing_authorization
        WHERE customer_id = span.customer_id AND billing_entity_id = span.payer_id
            AND status = 'authorized' AND a.kind = 'wallet') AS h ON true"""
CAPTURES: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.id, a.event_id, a.captured_amount, c.amount
    FROM span
    JOIN billing_authorization a ON a.customer_id = span.customer_id AND a.billing_entity_id = span.payer_id
    LEFT JOIN metering_usageevent e
        ON e.customer_id = a.customer_id AND e.id = a.event_id AND e.recorded_at = a.event_recorded_at
    LEFT JOIN billing_charge c
        ON c.customer_id = a.customer_id AND c.id = a.event_id AND c.recorded_at = a.event_recorded_at
    WHERE a.status = 'captured' AND a.kind = 'authorization'
        AND (e.id IS NULL OR c.amount IS DISTINCT FROM a.captured_amount
             OR e.billing_entity_id <> a.billing_entity_id)"""


def check(scope: Scope) -> Checked:
    """The open holds of every payer, and the captures."""
    checked = Checked()
    for customer_id, payer_id, expected, actual, kind, holds in scope.rows(SUMS):
        checked.rows += holds
        if expected == actual:
            continue
        checked.findings.append(
            Finding(
                HELD,
                f"account {kind or 'wallet'}",
                scope.currency(payer_id),
                expected,
                actual,
                customer_id,
                payer_id,
                cause="Something is reserved that no open hold reserves."
                if actual > expected
                else "An open hold reserves what the wallet does not.",
                detail={"open_holds": holds},
            )
        )
    checked.findings += _captures(scope)
    return checked


def _captures(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, uuid, event_id, captured, charged in scope.rows(CAPTURES):
        hold = hot_id("auth", customer_id, uuid)
        yield Finding(
            CAPTURE,
            f"authorization {hold}",
            scope.currency(payer_id),
            charged,
            captured,
            customer_id,
            payer_id,
            amount=ZERO if charged == captured else None,
            cause="The event that captured the hold is gone."
            if charged is None
            else "The hold names another amount or payer than the charge that captured it.",
            detail={
                "authorization": hold,
                "event": None if event_id is None else hot_id("evt", customer_id, event_id),
            },
        )


LINK: Final = Link(
    NAME,
    "holds and leases",
    "balances",
    {
        HELD: "What the wallet reserves is not the sum of the open holds and leases.",
        CAPTURE: "A captured hold is not the charge that it names.",
    },
    check,
)
