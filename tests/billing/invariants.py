"""DESIGN.md section 5 as queries: what must hold after whatever happened. Each names the rows that break it.

Takes a plain connection, so that a test can ask any installation, the one that it has just killed too.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import psycopg

from core.jsonio import decode_json
from pricing.rating.component import Component, read_component
from pricing.rating.state import State

ZERO = Decimal(0)
BALANCES = """
    SELECT customer_id, billing_entity_id, kind, a.balance, e.amount
    FROM billing_ledgeraccount a
    FULL JOIN (SELECT customer_id, billing_entity_id, kind, sum(amount) AS amount
               FROM billing_ledgerentry GROUP BY 1, 2, 3) e USING (customer_id, billing_entity_id, kind)
    WHERE coalesce(a.balance, 0) <> coalesce(e.amount, 0)"""
ZERO_SUM = """
    SELECT customer_id, billing_entity_id, sum(balance) FROM billing_ledgeraccount
    GROUP BY 1, 2 HAVING sum(balance) <> 0"""
SEQ = """
    WITH numbers AS (
        SELECT customer_id, billing_entity_id, seq FROM metering_usageevent
        UNION SELECT customer_id, billing_entity_id, seq FROM billing_charge
        UNION SELECT customer_id, billing_entity_id, seq FROM billing_transfer)
    SELECT customer_id, billing_entity_id, count(n.seq), min(n.seq), max(n.seq), a.seq
    FROM billing_ledgeraccount a LEFT JOIN numbers n USING (customer_id, billing_entity_id)
    WHERE a.kind = 'wallet'
    GROUP BY customer_id, billing_entity_id, a.seq
    HAVING count(n.seq) <> a.seq OR a.seq > 0 AND (min(n.seq) <> 1 OR max(n.seq) <> a.seq)"""
SEQ_TWICE = """
    SELECT 'event', customer_id, billing_entity_id, seq FROM metering_usageevent
    GROUP BY 2, 3, 4 HAVING count(*) > 1
    UNION ALL SELECT 'charge', customer_id, billing_entity_id, seq FROM billing_charge
    GROUP BY 2, 3, 4 HAVING count(*) > 1"""
KEYS = """
    SELECT coalesce(e.customer_id, k.customer_id), coalesce(e.idempotency_key, k.key), e.id, k.event_id
    FROM metering_usageevent e
    FULL JOIN metering_idempotencykey k ON k.customer_id = e.customer_id AND k.key = e.idempotency_key
    WHERE (e.id IS DISTINCT FROM k.event_id OR e.recorded_at IS DISTINCT FROM k.recorded_at)
        AND NOT EXISTS (SELECT 1 FROM billing_authorization a
                        WHERE a.customer_id = k.customer_id AND a.id = k.event_id)"""
HOLD_KEYS = """
    SELECT a.customer_id, a.id, a.idempotency_key, k.event_id FROM billing_authorization a
    LEFT JOIN metering_idempotencykey k
        ON k.customer_id = a.customer_id AND k.key = a.idempotency_key AND k.event_id = a.id
    WHERE k.recorded_at IS DISTINCT FROM a.authorized_at"""
HELD = """
    SELECT customer_id, billing_entity_id, a.held, h.held
    FROM (SELECT customer_id, billing_entity_id, held FROM billing_ledgeraccount WHERE kind = 'wallet') a
    FULL JOIN (SELECT customer_id, billing_entity_id, sum(held) AS held FROM billing_authorization
               WHERE status = 'authorized' GROUP BY 1, 2) h USING (customer_id, billing_entity_id)
    WHERE coalesce(a.held, 0) <> coalesce(h.held, 0)
    UNION ALL
    SELECT customer_id, billing_entity_id, held, NULL FROM billing_ledgeraccount
    WHERE kind <> 'wallet' AND held <> 0"""
CAPTURES = """
    SELECT a.customer_id, a.id, a.event_id, a.captured_amount, c.amount FROM billing_authorization a
    LEFT JOIN metering_usageevent e ON e.customer_id = a.customer_id AND e.id = a.event_id
    LEFT JOIN billing_charge c ON c.customer_id = a.customer_id AND c.id = a.event_id
    WHERE a.status = 'captured' AND a.kind = 'authorization'
        AND (e.recorded_at IS DISTINCT FROM a.event_recorded_at OR c.amount IS DISTINCT FROM a.captured_amount
             OR e.billing_entity_id <> a.billing_entity_id)"""
CHARGED_TWICE = """
    SELECT customer_id, c.event_id, count(*) FROM billing_charge c
    WHERE NOT EXISTS (SELECT 1 FROM billing_reversal v
                      WHERE v.customer_id = c.customer_id AND v.charge_id = c.id)
        AND NOT EXISTS (SELECT 1 FROM billing_reversedcharge x
                        WHERE x.customer_id = c.customer_id AND x.charge_id = c.id)
    GROUP BY 1, 2 HAVING count(*) > 1"""
REVERSED_STANDS = """
    SELECT v.customer_id, v.event_id, c.id FROM billing_reversal v
    JOIN billing_charge c ON c.customer_id = v.customer_id AND c.event_id = v.event_id
    WHERE v.cause = 'event'
        AND NOT EXISTS (SELECT 1 FROM billing_reversal w
                        WHERE w.customer_id = c.customer_id AND w.charge_id = c.id)
        AND NOT EXISTS (SELECT 1 FROM billing_reversedcharge x
                        WHERE x.customer_id = c.customer_id AND x.charge_id = c.id)"""
USAGE_TRANSFERS = """
    SELECT customer_id, billing_entity_id, seq, c.amount, t.amount
    FROM (SELECT customer_id, billing_entity_id, seq, amount FROM billing_charge WHERE amount <> 0) c
    FULL JOIN (SELECT customer_id, billing_entity_id, seq,
                      sum(CASE WHEN destination = 'revenue' THEN amount ELSE -amount END) AS amount
               FROM billing_transfer WHERE reason IN ('usage', 'reversal')
               GROUP BY 1, 2, 3) t USING (customer_id, billing_entity_id, seq)
    WHERE coalesce(c.amount, 0) <> coalesce(t.amount, 0)"""
FUNDING = """
    SELECT customer_id, id, amount FROM billing_charge
    WHERE amount <> (SELECT coalesce(sum((part->>'amount')::numeric), 0)
                     FROM jsonb_array_elements(funding) AS part)
       OR amount <> (SELECT coalesce(sum((line->>'amount')::numeric), 0)
                     FROM jsonb_array_elements(lines) AS line)"""
MARGINS = """
    WITH counted AS (
        SELECT e.customer_id, e.billing_entity_id, e.name AS event, e.cost, e.id,
               NOT EXISTS (SELECT 1 FROM billing_reversal v WHERE v.customer_id = e.customer_id
                               AND v.event_id = e.id AND v.cause = 'event') AS counts,
               (SELECT coalesce(sum(c.amount), 0) FROM billing_charge c
                WHERE c.customer_id = e.customer_id AND c.event_id = e.id) AS revenue
        FROM metering_usageevent e)
    SELECT customer_id, billing_entity_id, event, m.events, e.events, m.revenue, e.revenue, m.cost, e.cost
    FROM (SELECT customer_id, billing_entity_id, event, sum(events) AS events, sum(revenue) AS revenue,
                 sum(cost) AS cost
          FROM billing_marginbucket WHERE event NOT IN ('base_fee', 'period_close', 'coupon')
          GROUP BY 1, 2, 3) m
    FULL JOIN (SELECT customer_id, billing_entity_id, event, count(*) FILTER (WHERE counts) AS events,
                      sum(revenue) AS revenue, coalesce(sum(cost) FILTER (WHERE counts), 0) AS cost
               FROM counted GROUP BY 1, 2, 3) e USING (customer_id, billing_entity_id, event)
    WHERE (m.events, m.revenue, m.cost) IS DISTINCT FROM (e.events, e.revenue, e.cost)"""
FEE_TRANSFERS = """
    SELECT customer_id, billing_entity_id, seq, f.amount, t.amount
    FROM (SELECT customer_id, billing_entity_id, seq, amount FROM billing_bookedfee
          UNION ALL SELECT customer_id, billing_entity_id, seq, -amount FROM billing_couponcredit) f
    FULL JOIN (SELECT customer_id, billing_entity_id, seq,
                      sum(CASE WHEN destination = 'revenue' THEN amount ELSE -amount END) AS amount
               FROM billing_transfer WHERE reason IN ('base_fee', 'coupon')
               GROUP BY 1, 2, 3) t USING (customer_id, billing_entity_id, seq)
    WHERE f.amount IS DISTINCT FROM t.amount"""
PERIODS_FOLLOW = """
    SELECT a.subscription_id, a.ends_at, b.starts_at FROM pricing_billingperiod a
    JOIN pricing_billingperiod b ON b.subscription_id = a.subscription_id AND b.starts_at > a.starts_at
    WHERE b.starts_at < a.ends_at
    UNION ALL
    SELECT a.subscription_id, a.ends_at, b.starts_at FROM pricing_segment a
    JOIN pricing_segment b ON b.subscription_id = a.subscription_id AND b.starts_at > a.starts_at
    WHERE b.starts_at < a.ends_at
    UNION ALL
    SELECT s.subscription_id, s.starts_at, s.ends_at FROM pricing_segment s
    JOIN pricing_billingperiod p ON p.id = s.period_id
    WHERE s.starts_at < p.starts_at OR s.ends_at > p.ends_at"""
CLOSING_TRANSFERS = """
    SELECT customer_id, billing_entity_id, seq, c.amount, t.amount
    FROM (SELECT customer_id, billing_entity_id, seq, amount FROM billing_closingline WHERE amount <> 0) c
    FULL JOIN (SELECT customer_id, billing_entity_id, seq,
                      sum(CASE WHEN destination = 'revenue' THEN amount ELSE -amount END) AS amount
               FROM billing_transfer WHERE reason = 'close'
               GROUP BY 1, 2, 3) t USING (customer_id, billing_entity_id, seq)
    WHERE coalesce(c.amount, 0) <> coalesce(t.amount, 0)"""
CLOSING_MARGINS = """
    SELECT customer_id, billing_entity_id, c.amount, m.revenue
    FROM (SELECT customer_id, billing_entity_id, sum(amount) AS amount
          FROM billing_closingline GROUP BY 1, 2) c
    FULL JOIN (SELECT customer_id, billing_entity_id, sum(revenue) AS revenue
               FROM billing_marginbucket WHERE event = 'period_close' GROUP BY 1, 2) m
        USING (customer_id, billing_entity_id)
    WHERE coalesce(c.amount, 0) <> coalesce(m.revenue, 0)"""
COUPON_MARGINS = """
    SELECT customer_id, billing_entity_id, c.amount, m.revenue
    FROM (SELECT customer_id, billing_entity_id, sum(amount) AS amount
          FROM billing_couponcredit GROUP BY 1, 2) c
    FULL JOIN (SELECT customer_id, billing_entity_id, sum(revenue) AS revenue
               FROM billing_marginbucket WHERE event = 'coupon' GROUP BY 1, 2) m
        USING (customer_id, billing_entity_id)
    WHERE coalesce(c.amount, 0) <> -coalesce(m.revenue, 0)"""
COUPONS = """
    SELECT c.customer_id, c.id, c.amount, c.line_amount FROM billing_couponcredit c
    LEFT JOIN pricing_billingperiod p ON p.id = c.period_id
    WHERE p.closed_at IS NULL
       OR c.amount <> -(SELECT coalesce(sum((part->>'amount')::numeric), 0)
                        FROM jsonb_array_elements(c.funding) AS part)"""
CLOSED = """
    SELECT p.id, p.status, p.closed_at, s.closed_at FROM pricing_billingperiod p
    JOIN pricing_segment s ON s.period_id = p.id
    WHERE p.closed_at IS DISTINCT FROM s.closed_at"""
GRANTS = """
    SELECT g.customer_id, g.id, g.remaining, g.amount, g.covered, t.amount
    FROM billing_creditgrant g
    LEFT JOIN (SELECT customer_id, grant_id,
                      sum(CASE WHEN destination = 'wallet' THEN amount ELSE -amount END) AS amount
               FROM billing_transfer WHERE grant_id IS NOT NULL GROUP BY 1, 2) t
        ON t.customer_id = g.customer_id AND t.grant_id = g.id
    WHERE g.remaining <> CASE WHEN g.booked_at IS NULL THEN g.amount
                              ELSE coalesce(t.amount, 0) - g.covered END"""
OVERDRAWN = """
    SELECT a.customer_id, a.billing_entity_id, a.balance, g.remaining
    FROM billing_ledgeraccount a
    JOIN (SELECT customer_id, billing_entity_id, sum(remaining) AS remaining FROM billing_creditgrant
          WHERE booked_at IS NOT NULL GROUP BY 1, 2) g USING (customer_id, billing_entity_id)
    WHERE a.kind = 'wallet' AND a.balance > g.remaining"""
BALANCE_AFTER = """
    WITH entries AS (
        SELECT customer_id, billing_entity_id, seq,
               sum(sum(amount) FILTER (WHERE kind = 'wallet')) OVER (
                   PARTITION BY customer_id, billing_entity_id ORDER BY seq) AS wallet
        FROM billing_ledgerentry GROUP BY 1, 2, 3)
    SELECT customer_id, billing_entity_id, seq, settled_after, wallet
    FROM billing_charge JOIN entries USING (customer_id, billing_entity_id, seq)
    WHERE settled_after <> wallet"""
STATEMENTS = {
    "a balance is the sum of its entries": BALANCES,
    "a payer's accounts sum to zero": ZERO_SUM,
    "seq is gapless": SEQ,
    "seq is used once": SEQ_TWICE,
    "an event has its key": KEYS,
    "an authorization has its key": HOLD_KEYS,
    "what is held is the sum of open holds": HELD,
    "a capture is the event that it names": CAPTURES,
    "an event is charged once": CHARGED_TWICE,
    "a reversed event costs nothing more": REVERSED_STANDS,
    "a charge is its transfers": USAGE_TRANSFERS,
    "a charge is its lines, and paid for": FUNDING,
    "a base fee or coupon is its transfers": FEE_TRANSFERS,
    "periods and segments of a subscription do not overlap": PERIODS_FOLLOW,
    "margin buckets are the sum of events and charges": MARGINS,
    "a closing line is its transfers": CLOSING_TRANSFERS,
    "margin buckets hold what closes booked": CLOSING_MARGINS,
    "margin buckets hold what coupons took off": COUPON_MARGINS,
    "a coupon's credit is in a closed period, and went back to who paid": COUPONS,
    "a period closes with its segments": CLOSED,
    "a grant has left what its transfers left": GRANTS,
    "a wallet holds no more than its grants": OVERDRAWN,
    "the balance answered is the balance then": BALANCE_AFTER,
}
LINES = """
    SELECT c.customer_id, (line->>'segment')::bigint, (line->>'component_id')::bigint,
           sum((line->>'amount')::numeric)
    FROM billing_charge c, jsonb_array_elements(c.lines) AS line GROUP BY 1, 2, 3"""
CLOSED_COMPONENTS = """
    SELECT s.customer_id, s.id, c.id, coalesce(sum(l.amount), 0)
    FROM pricing_segment s
    JOIN pricing_component c ON c.version_id = s.version_id
    JOIN metering_meter m ON m.id = c.meter_id AND m.aggregation IN ('count', 'sum', 'max', 'unique')
    LEFT JOIN billing_closingline l ON l.segment_id = s.id AND l.component_id = c.id
    WHERE s.closed_at IS NOT NULL GROUP BY 1, 2, 3"""
COUNTERS = """
    SELECT customer_id, segment_id, component_id, dimensions, quantity, transactions, volume, amount
    FROM pricing_counter"""
COMPONENTS = """
    SELECT c.id, c.definition::text, m.aggregation
    FROM pricing_component c JOIN metering_meter m ON m.id = c.meter_id"""
TOTAL = "*"


def broken_invariants(connection: psycopg.Connection[Any]) -> list[str]:
    """What does not hold, a sentence and a row each; empty when all is well."""
    cursor = psycopg.Cursor(connection)
    broken = [
        f"{sentence}: {row}"
        for sentence, query in STATEMENTS.items()
        for row in cursor.execute(query.encode()).fetchall()
    ]
    return broken + [f"charges are the counters' F: {row}" for row in _differing_counters(cursor)]


def _differing_counters(cursor: psycopg.Cursor[Any]) -> list[Any]:
    """(customer, segment, component, sum of charges, F of the counters) wherever the two differ.

    In a closed segment, what the close added counts with the charges, and makes at most the minimum of them.
    """
    components = {
        pk: read_component(decode_json(definition.encode()), aggregation="max" if kind == "max" else "sum")
        for pk, definition, kind in cursor.execute(COMPONENTS.encode()).fetchall()
    }
    states: dict[tuple[int, int, int], dict[str, State]] = defaultdict(dict)
    for *key, dimensions, quantity, transactions, volume, amount in cursor.execute(COUNTERS.encode()):
        states[key[0], key[1], key[2]][dimensions] = State(quantity, transactions, volume, amount)
    charged = {(row[0], row[1], row[2]): row[3] for row in cursor.execute(LINES.encode())}
    closed = {(row[0], row[1], row[2]): row[3] for row in cursor.execute(CLOSED_COMPONENTS.encode())}
    return [
        (*key, charged.get(key), states.get(key))
        for key in sorted(charged.keys() | states.keys() | closed.keys())
        if not _agrees(components[key[2]], states.get(key, {}), charged.get(key, ZERO), closed.get(key))
    ]


def _agrees(
    component: Component, counters: dict[str, State], charged: Decimal, added: Decimal | None
) -> bool:
    groups = [state for dimensions, state in counters.items() if dimensions != TOTAL]
    if TOTAL in counters:
        assert counters[TOTAL].amount == component.subtotal(groups), "the total is kept beside the groups"
    if added is None:
        return charged == component.total(component.subtotal(groups))
    usage, booked = component.close(groups, ZERO), charged + added
    return booked == usage or usage < booked <= component.modifiers.minimum
