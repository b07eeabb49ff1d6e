"""SQL of what a plan's subscriptions brought: read once for all of them, from counters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db import connection

# `chosen`: each running subscription's latest period that has ended or, while none has, the one that runs.
# A component's F as `pricing.rating` has it: groups rounded to 18 decimals, then the discount, then the cap;
# '*' is the sum of a component's groups, '[]' the one group of a component that has none.
USAGE: Final = """
    WITH chosen AS MATERIALIZED (
        SELECT DISTINCT ON (s.id) s.id AS subscription_id, s.customer_id, p.id AS period_id
        FROM pricing_subscription s JOIN pricing_billingperiod p ON p.subscription_id = s.id
        WHERE s.version_id = %(version)s AND s.status <> 'ended' AND s.starts_at <= %(now)s
            AND (s.ends_at IS NULL OR s.ends_at > %(now)s) AND p.starts_at <= %(now)s
        ORDER BY s.id, (p.ends_at <= %(now)s) DESC, p.starts_at DESC)
    SELECT terms.key, count(DISTINCT chosen.subscription_id), sum(f.amount)
    FROM chosen
    JOIN pricing_segment segment ON segment.period_id = chosen.period_id
    JOIN pricing_counter counter ON counter.customer_id = chosen.customer_id
        AND counter.segment_id = segment.id AND counter.dimensions IN ('*', '[]')
    JOIN unnest(%(components)s::bigint[], %(keys)s::text[], %(shares)s::numeric[], %(caps)s::numeric[])
        AS terms(component_id, key, share, cap) ON terms.component_id = counter.component_id
    CROSS JOIN LATERAL (
        SELECT LEAST(round(round(counter.amount, 18) * terms.share, 18), terms.cap) AS amount) f
    WHERE counter.amount > 0 AND (counter.dimensions = '*' OR counter.quantity >= 0) AND f.amount <> 0
    GROUP BY terms.key"""
PERIODS: Final = """
    SELECT DISTINCT ON (s.id) s.starts_at, s.ends_at, s.anchor_at, s.quantities::text, payer.time_zone,
           p.starts_at, p.ends_at, p.fees_booked_at IS NOT NULL, p.status <> 'open', first.version_id
    FROM pricing_subscription s JOIN pricing_billingperiod p ON p.subscription_id = s.id
    JOIN accounts_billingentity payer ON payer.id = s.billing_entity_id
    CROSS JOIN LATERAL (
        SELECT version_id FROM pricing_segment WHERE period_id = p.id ORDER BY starts_at LIMIT 1) first
    WHERE s.version_id = %(version)s AND s.status <> 'ended' AND s.starts_at <= %(now)s
        AND (s.ends_at IS NULL OR s.ends_at > %(now)s) AND p.starts_at <= %(now)s
    ORDER BY s.id, (p.ends_at <= %(now)s) DESC, p.starts_at DESC"""


class ComponentTerms(NamedTuple):
    """What turns a counter into F: the component's key, the share that its discount leaves, and its cap."""

    key: str
    share: Decimal
    cap: Decimal | None


class UsageRevenue(NamedTuple):
    """What components of one key brought, and from how many subscriptions."""

    key: str
    subscriptions: int
    revenue: Decimal


class PeriodFacts(NamedTuple):
    """A period that was chosen, and what its base fees depend on; `quantities` is JSON."""

    starts_at: datetime
    ends_at: datetime | None
    anchor_at: datetime
    quantities: str
    time_zone: str
    period_start: datetime
    period_end: datetime
    has_begun: bool
    is_over: bool
    version_id: int


def usage_revenue(version_id: int, now: datetime, terms: Mapping[int, ComponentTerms]) -> list[UsageRevenue]:
    """What each component brought in the last period of the subscriptions on a version; one statement.

    `terms` are those of the components of all versions that these may have been on, by component id.
    """
    values: dict[str, Any] = {
        "version": version_id,
        "now": now,
        "components": list(terms),
        "keys": [one.key for one in terms.values()],
        "shares": [one.share for one in terms.values()],
        "caps": [one.cap for one in terms.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute(USAGE, values)
        return [UsageRevenue(*row) for row in cursor.fetchall()]


def last_periods(version_id: int, now: datetime) -> list[PeriodFacts]:
    """The last period of each subscription that runs on a version; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(PERIODS, {"version": version_id, "now": now})
        return [PeriodFacts(*row) for row in cursor.fetchall()]
