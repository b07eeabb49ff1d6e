"""SQL of what periods with a margin floor have come to, and of what staff is told of them.

All of it under the lock of the payers concerned, in whose transactions the margin buckets move.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from django.db import connection

from billing.store import MarginKey, write_margins
from core.ids import public_id
from core.numbers import plain
from core.pipeline import Answer
from core.sql import Session, execute, key_arrays, number_array, text_array

# A version with a floor that is to come: the first call that another process books on it begins a period,
# which raises no version, and the hour in which two periods meet is of the later one.
FLOORS: Final = """
    SELECT t.payer_id, f.min_margin, f.min_volume, f.action,
        EXISTS (SELECT FROM billing_periodmargin p
                WHERE p.customer_id = t.customer_id AND p.billing_entity_id = t.payer_id)
        OR EXISTS (SELECT FROM pricing_subscription s
                   LEFT JOIN pricing_subscriptionchange g ON g.subscription_id = s.id
                   JOIN pricing_planversion v ON v.id IN (s.version_id, g.version_id)
                   WHERE s.billing_entity_id = t.payer_id AND v.content ? 'margin_floor')
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(customer_id, payer_id)
    LEFT JOIN billing_payermarginfloor f ON f.billing_entity_id = t.payer_id"""
# The whole of periods `t`: what is kept of them (`p`, null: nothing yet), and the buckets of later hours.
_WHOLE: Final = """
    SELECT t.c, t.b, t.s, t.e, coalesce(p.events, 0) + m.events, coalesce(p.costed, 0) + m.costed,
        coalesce(p.revenue, 0) + m.revenue, coalesce(p.cost, 0) + m.cost, coalesce(p.told_below, false),
        coalesce(p.told_unknown, false), p.kept_until
    FROM {periods}
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(events), 0)::bigint AS events, coalesce(sum(costed), 0)::bigint AS costed,
            coalesce(sum(revenue), 0) AS revenue, coalesce(sum(cost), 0) AS cost
        FROM billing_marginbucket
        WHERE customer_id = t.c AND billing_entity_id = t.b AND hour >= coalesce(p.kept_until, t.s)
            AND hour < t.e) AS m"""
READ_PERIODS: Final = _WHOLE.format(
    periods="""unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS t(c, b, s, e)
    LEFT JOIN billing_periodmargin p ON p.customer_id = t.c AND p.billing_entity_id = t.b
        AND p.starts_at = t.s AND p.ends_at = t.e"""
)
_KEPT: Final = """(
        SELECT *, customer_id AS c, billing_entity_id AS b, starts_at AS s, ends_at AS e
        FROM billing_periodmargin WHERE {which}) AS p
    CROSS JOIN LATERAL (SELECT p.c, p.b, p.s, p.e) AS t"""
PERIODS_OF: Final = _WHOLE.format(periods=_KEPT.format(which="customer_id = %s AND billing_entity_id = %s"))
RUNNING_PERIODS: Final = _WHOLE.format(
    periods=_KEPT.format(
        which="billing_entity_id = ANY(%s::bigint[]) AND starts_at <= %s::timestamptz"
        " AND ends_at > %s::timestamptz"
    )
)
# Begun from the buckets, or kept on by those of the hours since; a period that is kept so far is left alone.
KEEP_PERIODS: Final = """
    INSERT INTO billing_periodmargin AS p (customer_id, billing_entity_id, starts_at, ends_at, kept_until,
        events, costed, revenue, cost, told_below, told_unknown)
    SELECT t.c, t.b, t.s, t.e, t.until, coalesce(sum(m.events), 0), coalesce(sum(m.costed), 0),
        coalesce(sum(m.revenue), 0), coalesce(sum(m.cost), 0), false, false
    FROM (SELECT t.c, t.b, t.s, t.e, greatest(t.s, least(t.e, t.until)) AS until,
              coalesce(w.kept_until, t.s) AS since, w.kept_until IS NOT NULL AS is_kept
          FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
              AS t(c, b, s, e, until)
          LEFT JOIN billing_periodmargin w ON w.customer_id = t.c AND w.billing_entity_id = t.b
              AND w.starts_at = t.s AND w.ends_at = t.e) AS t
    LEFT JOIN billing_marginbucket m ON m.customer_id = t.c AND m.billing_entity_id = t.b
        AND m.hour >= t.since AND m.hour < t.until
    WHERE NOT t.is_kept OR t.since < t.until
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (customer_id, billing_entity_id, starts_at, ends_at) DO UPDATE
    SET kept_until = EXCLUDED.kept_until, events = p.events + EXCLUDED.events,
        costed = p.costed + EXCLUDED.costed, revenue = p.revenue + EXCLUDED.revenue,
        cost = p.cost + EXCLUDED.cost"""
# One hour may lie in several periods, and several hours in one: summed by period first. Hours that a period
# is not kept for yet are summed when somebody looks.
MOVE_PERIODS: Final = """
    UPDATE billing_periodmargin AS p
    SET events = p.events + m.events, costed = p.costed + m.costed, revenue = p.revenue + m.revenue,
        cost = p.cost + m.cost
    FROM (SELECT w.customer_id, w.billing_entity_id, w.starts_at, w.ends_at, sum(t.events) AS events,
              sum(t.costed) AS costed, sum(t.revenue) AS revenue, sum(t.cost) AS cost
          FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[],
                      %s::numeric[], %s::numeric[]) AS t(c, b, hour, events, costed, revenue, cost)
          JOIN billing_periodmargin w ON w.customer_id = t.c AND w.billing_entity_id = t.b
              AND w.starts_at <= t.hour AND w.kept_until > t.hour
          GROUP BY 1, 2, 3, 4) AS m
    WHERE p.customer_id = m.customer_id AND p.billing_entity_id = m.billing_entity_id
        AND p.starts_at = m.starts_at AND p.ends_at = m.ends_at"""
# Each with its message for the outbox: to staff, so of no customer.
ADD_ALERTS: Final = """
    WITH raised AS (
        INSERT INTO billing_marginalert (key, kind, customer_id, billing_entity_id, subject, starts_at,
            ends_at, currency, revenue, cost, events, costed, bound, detail, raised_at)
        SELECT t.*, %s::timestamptz
        FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[],
            %s::timestamptz[], %s::text[], %s::numeric[], %s::numeric[], %s::bigint[], %s::bigint[],
            %s::numeric[], %s::jsonb[]) AS t
        ON CONFLICT (key) DO NOTHING
        RETURNING *)
    INSERT INTO billing_outboxmessage (kind, key, customer_id, payload, created_at)
    SELECT 'margin.' || raised.kind, 'margin/' || raised.id, NULL, said.payload, raised.raised_at
    FROM raised JOIN unnest(%s::text[], %s::jsonb[]) AS said(key, payload) USING (key)
    ORDER BY raised.id"""
TELL: Final = """
    UPDATE billing_periodmargin AS p
    SET told_below = p.told_below OR t.kind = 'below_floor',
        told_unknown = p.told_unknown OR t.kind = 'unknown_cost'
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::text[])
        AS t(c, b, s, e, kind)
    WHERE p.customer_id = t.c AND p.billing_entity_id = t.b AND p.starts_at = t.s AND p.ends_at = t.e"""


class PeriodKey(NamedTuple):
    """The hours of a payer's period, as UTC text: `[starts_at, ends_at)`."""

    customer_id: int
    payer_id: int
    starts_at: str
    ends_at: str


class PeriodRow(NamedTuple):
    """What a period came to, all of its hours. `kept_until` (UTC text): before which hour that is kept; None:
    it is not kept at all."""

    key: PeriodKey
    kept_until: str | None
    events: int
    costed: int
    revenue: Decimal
    cost: Decimal
    told_below: bool
    told_unknown: bool


class AlertRow(NamedTuple):
    """A row of the alerts. Customer and payer None: of the whole, a plan or a model."""

    key: str
    kind: str
    customer_id: int | None
    payer_id: int | None
    subject: str
    starts_at: str
    ends_at: str
    currency: str
    revenue: Decimal
    cost: Decimal
    events: int
    costed: int
    bound: Decimal
    detail: str


def read_floors(raw: Session, payers: Sequence[tuple[int, int]]) -> Answer:
    """(payer, own floor's min_margin, min_volume, action (null: none), whether periods are kept, or may be
    soon) of each."""
    return execute(raw, FLOORS, key_arrays(payers, "nn"))


def read_periods(raw: psycopg.Connection[Any], keys: Sequence[PeriodKey]) -> list[PeriodRow]:
    """What these periods came to, a row for each whether it is kept or not. Payers who are locked."""
    return _rows(execute(raw, READ_PERIODS, key_arrays(keys, "nntt")))


def periods_of(raw: psycopg.Connection[Any], customer_id: int, payer_id: int) -> list[PeriodRow]:
    """What all periods that are kept of a payer came to."""
    return _rows(execute(raw, PERIODS_OF, (customer_id, payer_id)))


def running_periods(payers: Collection[int], now: datetime) -> list[PeriodRow]:
    """What the running periods that are kept of these payers came to, the earliest of each first."""
    if not payers:
        return []
    with connection.cursor() as cursor:
        cursor.execute(RUNNING_PERIODS, (number_array(payers), now, now))
        rows = _rows(cursor.fetchall())
    return sorted(rows, key=lambda row: row.key)


def keep_periods(raw: Session, periods: Sequence[tuple[PeriodKey, str]]) -> None:
    """Keep periods of locked payers for the hours before an instant (UTC text), and begin those that are not
    kept yet. Each instant lies at least an hour before the running hour (`kept_before`)."""
    if periods:
        rows = [(*key, until) for key, until in periods]
        execute(raw, KEEP_PERIODS, key_arrays(rows, "nnttt"))


def _rows(answer: Iterable[Sequence[Any]]) -> list[PeriodRow]:
    return [
        PeriodRow(
            PeriodKey(row[0], row[1], row[2].isoformat(), row[3].isoformat()),
            None if row[10] is None else row[10].isoformat(),
            *row[4:10],
        )
        for row in answer
    ]


def add_margins(raw: Session, margins: dict[MarginKey, list[Any]]) -> None:
    """Add [events, costed, unmatched, unpriced, revenue, cost] to the margin buckets and their periods."""
    write_margins(raw, margins)
    move_periods(raw, margins)


def move_periods(raw: Session, margins: Mapping[MarginKey, Sequence[Any]]) -> None:
    """Add changes of margin buckets to the periods that are kept of their payers for the buckets' hours."""
    if not margins:
        return
    keys = key_arrays(((key.customer_id, key.payer_id, key.hour) for key in margins), "nnt")
    sums = key_arrays(((row[0], row[1], row[4], row[5]) for row in margins.values()), "nnnn")
    execute(raw, MOVE_PERIODS, keys + sums)


def tell(raw: Session, alerts: Sequence[AlertRow], now: datetime) -> None:
    """Keep alerts, each key once, and note in their periods that staff has been told."""
    if not alerts:
        return
    params = (
        now,
        text_array(row.key for row in alerts),
        text_array(row.kind for row in alerts),
        _nullable(row.customer_id for row in alerts),
        _nullable(row.payer_id for row in alerts),
        text_array(row.subject for row in alerts),
        text_array(row.starts_at for row in alerts),
        text_array(row.ends_at for row in alerts),
        text_array(row.currency for row in alerts),
        number_array(row.revenue for row in alerts),
        number_array(row.cost for row in alerts),
        number_array(row.events for row in alerts),
        number_array(row.costed for row in alerts),
        number_array(row.bound for row in alerts),
        text_array(row.detail for row in alerts),
        text_array(row.key for row in alerts),
        text_array(_message(row) for row in alerts),
    )
    execute(raw, ADD_ALERTS, params)
    keys = [
        (row.customer_id, row.payer_id, row.starts_at, row.ends_at, row.kind)
        for row in alerts
        if row.payer_id is not None
    ]
    if keys:
        execute(raw, TELL, key_arrays(keys, "nnttt"))


def _message(row: AlertRow) -> str:
    """What the outbox says of an alert of a payer's period: what the API shows of it."""
    facts = {
        "customer": None if row.customer_id is None else public_id("cus", row.customer_id),
        "billing_entity": None if row.payer_id is None else public_id("be", row.payer_id),
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "currency": row.currency,
        "revenue": plain(row.revenue),
        "cost": plain(row.cost),
        "events": row.events,
        "costed": row.costed,
        "bound": plain(row.bound),
    }
    return json.dumps(facts | json.loads(row.detail))


def _nullable(values: Iterable[int | None]) -> str:
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"
