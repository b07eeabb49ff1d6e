"""Events <-> charges: a charge has its event, an event is charged once, and a charge is its lines."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.link import Checked, Finding, Link, Scope
from core.ids import hot_id

NAME: Final = "charges"
WITHOUT: Final = "charge_without_event"
TWICE: Final = "charged_twice"
STANDS: Final = "reversed_but_charged"
LINES: Final = "charge_not_its_lines"
FUNDING: Final = "charge_not_its_funding"
WITHOUT_EVENT: Final = """
    SELECT c.customer_id, c.billing_entity_id, c.id, c.event_id, c.amount
    FROM span
    JOIN billing_charge c ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id
        AND c.seq > span.after
    LEFT JOIN metering_usageevent e
        ON e.customer_id = c.customer_id AND e.id = c.event_id AND e.recorded_at = c.event_recorded_at
    WHERE e.id IS NULL OR e.billing_entity_id <> c.billing_entity_id"""
STANDING: Final = """
    WITH standing AS MATERIALIZED (
        SELECT c.customer_id, c.billing_entity_id, c.event_id, c.id, c.seq, c.amount
        FROM span
        JOIN billing_charge c ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id
            AND c.seq > span.after
        LEFT JOIN billing_reversal v ON v.customer_id = c.customer_id AND v.charge_id = c.id
        LEFT JOIN billing_reversedcharge x ON x.customer_id = c.customer_id AND x.charge_id = c.id
        WHERE v.id IS NULL AND x.charge_id IS NULL)
    SELECT 'twice', customer_id, billing_entity_id, event_id, (array_agg(id ORDER BY seq))[2:],
           sum(amount), (array_agg(amount ORDER BY seq))[1]
    FROM standing GROUP BY 2, 3, 4 HAVING count(*) > 1
    UNION ALL
    SELECT 'reversed', s.customer_id, s.billing_entity_id, s.event_id, ARRAY[s.id], s.amount, 0
    FROM span
    JOIN billing_reversal v ON v.customer_id = span.customer_id AND v.billing_entity_id = span.payer_id
        AND v.cause = 'event'
    JOIN standing s ON s.customer_id = v.customer_id AND s.event_id = v.event_id"""
PARTS: Final = """
    SELECT c.customer_id, c.billing_entity_id, c.id, c.amount, parts.lines, parts.funding
    FROM span
    JOIN billing_charge c ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id
        AND c.seq > span.after
    CROSS JOIN LATERAL (SELECT
        (SELECT coalesce(sum((one->>'amount')::numeric), 0)
         FROM jsonb_array_elements(c.lines) AS one) AS lines,
        (SELECT coalesce(sum((one->>'amount')::numeric), 0)
         FROM jsonb_array_elements(c.funding) AS one) AS funding) AS parts
    WHERE c.amount <> parts.lines OR c.amount <> parts.funding"""


def check(scope: Scope) -> Checked:
    """The charges that are looked at, and their events."""
    findings = [*_without_event(scope), *_standing(scope), *_parts(scope)]
    return Checked(scope.counted.charges, findings)


def _without_event(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, charge_id, event_id, amount in scope.rows(WITHOUT_EVENT):
        charge = hot_id("ch", customer_id, charge_id)
        yield Finding(
            WITHOUT,
            f"charge {charge}",
            scope.currency(payer_id),
            None,
            amount,
            customer_id,
            payer_id,
            cause="The event that was charged is gone, or is another payer's.",
            detail={"charge": charge, "event": hot_id("evt", customer_id, event_id)},
        )


def _standing(scope: Scope) -> Iterator[Finding]:
    for what, customer_id, payer_id, event_id, charge_ids, actual, expected in scope.rows(STANDING):
        event = hot_id("evt", customer_id, event_id)
        charges = [hot_id("ch", customer_id, charge_id) for charge_id in charge_ids]
        is_twice = what == "twice"
        yield Finding(
            TWICE if is_twice else STANDS,
            f"event {event}" if is_twice else f"charge {charges[0]}",
            scope.currency(payer_id),
            Decimal(expected),
            actual,
            customer_id,
            payer_id,
            detail={"event": event, "charges": charges},
        )


def _parts(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, charge_id, amount, lines, funding in scope.rows(PARTS):
        charge = hot_id("ch", customer_id, charge_id)
        for kind, believed in ((LINES, lines), (FUNDING, funding)):
            if believed != amount:
                detail: dict[str, Any] = {"charge": charge, "lines": str(lines), "funding": str(funding)}
                yield Finding(
                    kind,
                    f"charge {charge}",
                    scope.currency(payer_id),
                    believed,
                    amount,
                    customer_id,
                    payer_id,
                    detail=detail,
                )


LINK: Final = Link(
    NAME,
    "events",
    "charges",
    {
        WITHOUT: "A charge names an event that is not there.",
        TWICE: "An event has more than one charge that stands.",
        STANDS: "An event was reversed, and a charge of it still stands.",
        LINES: "A charge's amount is not the sum of its lines.",
        FUNDING: "A charge's amount is not the sum of what paid for it.",
    },
    check,
)
