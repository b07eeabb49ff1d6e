"""SQL of balances that fell below what their payers asked to be told of, under the payers' locks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from core.sql import Session, execute, key_arrays

# Once per amount and billing period, and again after value came in: the key counts the grants so far. Without
# a period, the payer's local month stands in.
FIRE: Final = """
    WITH low AS (
        SELECT t.*, p.currency, coalesce(
                (SELECT g.starts_at
                 FROM pricing_subscription s JOIN pricing_billingperiod g ON g.subscription_id = s.id
                 WHERE s.billing_entity_id = t.payer AND g.starts_at <= %s AND g.ends_at > %s
                 ORDER BY s.id LIMIT 1),
                date_trunc('month', %s::timestamptz AT TIME ZONE p.time_zone) AT TIME ZONE p.time_zone
            ) AS starts_at,
            (SELECT count(*) FROM billing_creditgrant g
             WHERE g.customer_id = t.customer AND g.billing_entity_id = t.payer
                AND g.booked_at IS NOT NULL) AS grants
        FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::numeric[], %s::numeric[], %s::boolean[])
            AS t(customer, payer, name, threshold, available, reminds)
        JOIN accounts_billingentity p ON p.id = t.payer),
    fired AS (
        INSERT INTO billing_alert
            (kind, key, customer_id, billing_entity_id, limit_id, level, level_id, threshold, used, bound,
             currency, starts_at, ends_at, details, fired_at)
        SELECT 'low_balance', concat_ws('/', 'balance', name, trim_scale(threshold),
                   to_char(starts_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS'), grants),
               customer, payer, NULL, 'billing_entity', name, threshold, available, threshold, currency,
               starts_at, NULL, '{}', %s::timestamptz
        FROM low
        WHERE NOT reminds OR starts_at > ALL (
                SELECT a.starts_at FROM billing_alert a
                WHERE a.customer_id = low.customer AND a.billing_entity_id = low.payer
                    AND a.kind = 'low_balance' AND a.threshold = low.threshold)
            AND EXISTS (
                SELECT FROM billing_alert a
                WHERE a.customer_id = low.customer AND a.billing_entity_id = low.payer
                    AND a.kind = 'low_balance' AND a.threshold = low.threshold)
        ORDER BY customer, payer, threshold DESC
        ON CONFLICT (key) DO NOTHING
        RETURNING *)
    INSERT INTO billing_outboxmessage (kind, key, customer_id, payload, created_at)
    SELECT 'alert.low_balance', 'alert/' || key, customer_id,
           jsonb_build_object('level', level, 'id', level_id, 'threshold', trim_scale(threshold)::text,
               'used', trim_scale(used)::text, 'limit', trim_scale(bound)::text, 'currency', currency,
               'key', key),
           fired_at
    FROM fired ORDER BY id"""


class LowBalance(NamedTuple):
    """A payer (its ids and its public one) has less than `threshold` left: `available`, without holds.

    `reminds`: it had no more before; then it is told only where an earlier period was told, and this one not.
    """

    customer_id: int
    payer_id: int
    name: str
    threshold: Decimal
    available: Decimal
    reminds: bool


def fire_low_balances(raw: Session, rows: Sequence[LowBalance], now: datetime) -> None:
    """Keep these alerts, each with its message, unless they have fired in the payer's period already."""
    if rows:
        execute(raw, FIRE, (now, now, now, *key_arrays(rows, "nntnnn"), now))
