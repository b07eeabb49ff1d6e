"""SQL of margins of the whole, by plan and by model, in two stretches of time that follow each other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import connection

from billing.margins import Margin

WHOLE: Final = """
    SELECT '', p.currency, m.hour >= %(middle)s, sum(m.events)::bigint, sum(m.costed)::bigint, sum(m.revenue),
        sum(m.cost)
    FROM billing_marginbucket m JOIN accounts_billingentity p ON p.id = m.billing_entity_id
    WHERE m.hour >= %(first)s AND m.hour < %(last)s
    GROUP BY 1, 2, 3"""
# A payer's hour counts for the plan that it is on at the hour's end; for each of them if it is on several.
BY_PLAN: Final = """
    SELECT on_plan.key, p.currency, m.hour >= %(middle)s, sum(m.events)::bigint, sum(m.costed)::bigint,
        sum(m.revenue), sum(m.cost)
    FROM billing_marginbucket m
    JOIN accounts_billingentity p ON p.id = m.billing_entity_id
    CROSS JOIN LATERAL (
        SELECT DISTINCT plan.key
        FROM pricing_subscription s
        JOIN pricing_segment g ON g.subscription_id = s.id
            AND g.starts_at < m.hour + %(hour)s AND g.ends_at >= m.hour + %(hour)s
        JOIN pricing_planversion v ON v.id = g.version_id
        JOIN pricing_plan plan ON plan.id = v.plan_id
        WHERE s.billing_entity_id = m.billing_entity_id
            AND (%(subject)s = '' OR plan.key = %(subject)s)) on_plan
    WHERE m.hour >= %(first)s AND m.hour < %(last)s
    GROUP BY 1, 2, 3"""
# Revenue from all charges of an event (with it, later, and back), cost from what is known of it now.
BY_MODEL: Final = """
    SELECT model, currency, is_now, sum(events)::bigint, sum(costed)::bigint, sum(revenue), sum(cost)
    FROM (
        SELECT e.properties ->> 'model' AS model, p.currency, e.occurred_at >= %(middle)s AS is_now,
            count(*) AS events, count(known.cost) AS costed, 0 AS revenue,
            coalesce(sum(known.cost), 0) AS cost
        FROM metering_usageevent e
        JOIN accounts_billingentity p ON p.id = e.billing_entity_id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN k.id IS NULL THEN e.cost ELSE k.cost END AS cost
            FROM (SELECT 1) one LEFT JOIN LATERAL (
                SELECT id, cost FROM billing_costentry
                WHERE customer_id = e.customer_id AND event_id = e.id ORDER BY id DESC LIMIT 1) k ON true)
                known
        WHERE e.occurred_at >= %(first)s AND e.occurred_at < %(last)s AND e.recorded_at >= %(recorded)s
            AND NOT EXISTS (SELECT FROM billing_reversal r WHERE r.customer_id = e.customer_id
                            AND r.event_id = e.id AND r.cause = 'event')
        GROUP BY 1, 2, 3
        UNION ALL
        SELECT e.properties ->> 'model', c.currency, c.occurred_at >= %(middle)s, 0, 0, sum(c.amount), 0
        FROM billing_charge c
        JOIN metering_usageevent e ON e.customer_id = c.customer_id AND e.id = c.event_id
            AND e.recorded_at = c.event_recorded_at
        WHERE c.occurred_at >= %(first)s AND c.occurred_at < %(last)s AND c.recorded_at >= %(recorded)s
        GROUP BY 1, 2, 3) parts
    WHERE model <> '' AND length(model) <= 200 AND (%(subject)s = '' OR model = %(subject)s)
    GROUP BY 1, 2, 3"""
STATEMENTS: Final = {"whole": WHOLE, "plan": BY_PLAN, "model": BY_MODEL}
HOUR: Final = timedelta(hours=1)


class SubjectSum(NamedTuple):
    """What a plan, a model or the whole came to in one currency; `is_now`: in the later stretch."""

    subject: str
    currency: str
    is_now: bool
    margin: Margin


def subject_sums(
    scope: str, subject: str, first: datetime, middle: datetime, last: datetime
) -> Iterator[SubjectSum]:
    """The margins of `[first, middle)` and `[middle, last)` by subject and currency; `subject` empty: all."""
    values: dict[str, Any] = {
        "subject": subject,
        "first": first,
        "middle": middle,
        "last": last,
        "hour": HOUR,
        "recorded": first - settings.EVENT_AHEAD_MAX,
    }
    with connection.cursor() as cursor:
        cursor.execute(STATEMENTS[scope], values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    for name, currency, is_now, events, costed, revenue, cost in rows:
        margin = Margin(events=events, costed=costed, revenue=revenue, known_cost=cost)
        yield SubjectSum(name, currency, is_now, margin)


# A bucket's hour belongs to the period in which it ends, as in `billing.margin_floors.planning`.
RUNNING: Final = """
    SELECT p.id, r.starts_at, r.ends_at, sums.*
    FROM accounts_billingentity p
    LEFT JOIN LATERAL (
        SELECT g.starts_at, g.ends_at
        FROM pricing_subscription s
        JOIN pricing_billingperiod g ON g.subscription_id = s.id
        WHERE s.billing_entity_id = p.id AND g.starts_at <= %(now)s AND g.ends_at > %(now)s
        ORDER BY g.starts_at LIMIT 1) r ON true
    CROSS JOIN LATERAL (
        SELECT sum(events)::bigint AS events, sum(costed)::bigint, sum(unmatched)::bigint,
            sum(unpriced)::bigint, sum(revenue), sum(cost)
        FROM billing_marginbucket m
        WHERE m.customer_id = p.customer_id AND m.billing_entity_id = p.id
            AND m.hour > coalesce(r.starts_at, %(since)s) - %(hour)s
            AND m.hour <= coalesce(r.ends_at, %(now)s) - %(hour)s) sums
    WHERE sums.events IS NOT NULL"""


class RunningSum(NamedTuple):
    """What a payer's running period has come to; without one (None), its last days."""

    payer_id: int
    starts_at: datetime | None
    ends_at: datetime | None
    margin: Margin


def running_sums(now: datetime, since: datetime) -> list[RunningSum]:
    """The margins of all payers in their running periods, or since an instant; from buckets."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"now": now, "since": since, "hour": HOUR}
        cursor.execute(RUNNING, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [RunningSum(row[0], row[1], row[2], Margin(*row[3:])) for row in rows]
