"""SQL of open holds and the limits of organizations: where they count, and where they stand."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from billing.ledger import PayerId
from core.pipeline import Answer
from core.sql import Session, execute, number_array

PAYERS: Final = """
    SELECT customer_id, id FROM accounts_billingentity WHERE customer_id = ANY(%s::bigint[]) ORDER BY 1, 2"""
# A hold counts in the limits of the organizations above its workspace; without one, above its payer. `held`
# is null where it counts and does not stand, `counted` where it stands and does not count.
MISPLACED: Final = """
    WITH RECURSIVE bound AS MATERIALIZED (
        SELECT customer_id, organization_id, currency, 'lim:' || id AS counter FROM billing_spendlimit
        WHERE customer_id = ANY(%s::bigint[]) AND level = 'organization' AND ended_at IS NULL),
    above AS (
        SELECT id AS home, id AS organization_id, parent_id FROM accounts_organization
        WHERE customer_id IN (SELECT customer_id FROM bound)
        UNION
        SELECT above.home, o.id, o.parent_id
        FROM above JOIN accounts_organization o ON o.id = above.parent_id),
    hold AS MATERIALIZED (
        SELECT a.customer_id, a.billing_entity_id AS payer_id, a.id, a.expires_at, a.held, a.currency,
               a.counted_in,
               CASE WHEN a.workspace_id IS NULL THEN b.organization_id ELSE w.organization_id END AS home
        FROM billing_authorization a
        JOIN accounts_billingentity b ON b.id = a.billing_entity_id
        LEFT JOIN accounts_workspace w ON w.id = a.workspace_id
        WHERE a.customer_id IN (SELECT customer_id FROM bound) AND a.status = 'authorized'
            AND a.expires_at > %s::timestamptz AND a.held > 0),
    stands AS (
        SELECT hold.customer_id, hold.payer_id, hold.id, hold.expires_at, bound.counter, hold.held
        FROM hold JOIN above ON above.home = hold.home
        JOIN bound ON bound.organization_id = above.organization_id AND bound.currency = hold.currency),
    counts AS (
        SELECT hold.customer_id, hold.payer_id, hold.id, hold.expires_at, one->>0 AS counter,
               LEAST((one->>1)::numeric, hold.held) AS counted
        FROM hold CROSS JOIN LATERAL jsonb_array_elements(hold.counted_in) AS one
        WHERE one->>0 IN (SELECT counter FROM bound))
    SELECT customer_id, payer_id, id, counter, held, counted, expires_at
    FROM stands FULL JOIN counts USING (customer_id, payer_id, id, expires_at, counter)
    WHERE held IS NULL OR counted IS NULL"""
# The trigger that keeps holds' rows does not look at `counted_in`.
PLACE: Final = f"""
    WITH misplaced AS MATERIALIZED ({MISPLACED}),
    moved AS (
        SELECT customer_id, id, array_agg(counter) AS counters,
               COALESCE(jsonb_agg(jsonb_build_array(counter, held::text)) FILTER (WHERE held IS NOT NULL),
                        '[]') AS entered
        FROM misplaced GROUP BY 1, 2),
    placed AS (
        UPDATE billing_authorization a
        SET counted_in = moved.entered || COALESCE((
            SELECT jsonb_agg(one) FROM jsonb_array_elements(a.counted_in) AS one
            WHERE one->>0 <> ALL (moved.counters)), '[]')
        FROM moved WHERE a.customer_id = moved.customer_id AND a.id = moved.id),
    gone AS (
        DELETE FROM billing_limithold h USING misplaced m
        WHERE m.held IS NULL AND h.customer_id = m.customer_id AND h.authorization_id = m.id
            AND h.counter = m.counter)
    INSERT INTO billing_limithold (customer_id, authorization_id, counter, amount, expires_at)
    SELECT customer_id, id, counter, held, expires_at
    FROM misplaced WHERE held IS NOT NULL"""  # noqa: S608


def read_payers(raw: Session, customer_ids: Collection[int]) -> list[PayerId]:
    """All payers of customers, in the order in which they are locked."""
    return execute(raw, PAYERS, (number_array(customer_ids),)).fetchall()


def read_misplaced(raw: Session, customer_ids: Collection[int], now: datetime) -> Answer:
    """(customer, payer, hold, counter, held, counted, end) of what open holds of customers miss, or have too
    much, of organizations' limits."""
    return execute(raw, MISPLACED, (number_array(customer_ids), now))


def place_holds(raw: Session, customer_ids: Collection[int], now: datetime) -> None:
    """Let the open holds of customers count in the limits of the organizations above them, and in those of
    no other. Their payers are locked."""
    execute(raw, PLACE, (number_array(customer_ids), now))
