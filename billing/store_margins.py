"""SQL of what periods with a margin floor have come to, and of what staff is told of them.

All of it under the lock of the payers concerned, in whose transactions the margin buckets move.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from billing.store import MarginKey, write_margins
from core.ids import public_id
from core.numbers import plain
from core.pipeline import Answer
from core.sql import Session, execute, key_arrays, number_array, text_array

FLOORS: Final = """
    SELECT t.payer_id, f.min_margin, f.min_volume, f.action,
        EXISTS (SELECT FROM billing_periodmargin p
                WHERE p.customer_id = t.customer_id AND p.billing_entity_id = t.payer_id)
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(customer_id, payer_id)
    LEFT JOIN billing_payermarginfloor f ON f.billing_entity_id = t.payer_id"""
READ_PERIODS: Final = """
    SELECT p.customer_id, p.billing_entity_id, p.starts_at, p.ends_at, p.events, p.costed, p.revenue, p.cost,
        p.told_below, p.told_unknown
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS t(c, b, first, last)
    JOIN billing_periodmargin p ON p.customer_id = t.c AND p.billing_entity_id = t.b
        AND p.starts_at <= t.last AND p.ends_at > t.first"""
WRITE_PERIODS: Final = """
    UPDATE billing_periodmargin AS p
    SET events = t.events, costed = t.costed, revenue = t.revenue, cost = t.cost, told_below = t.below,
        told_unknown = t.unknown
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[],
                %s::numeric[], %s::numeric[], %s::boolean[], %s::boolean[])
        AS t(c, b, s, e, events, costed, revenue, cost, below, unknown)
    WHERE p.customer_id = t.c AND p.billing_entity_id = t.b AND p.starts_at = t.s AND p.ends_at = t.e"""
OPEN_PERIODS: Final = """
    INSERT INTO billing_periodmargin (customer_id, billing_entity_id, starts_at, ends_at, events, costed,
        revenue, cost, told_below, told_unknown)
    SELECT t.c, t.b, t.s, t.e, coalesce(sum(m.events), 0), coalesce(sum(m.costed), 0),
        coalesce(sum(m.revenue), 0), coalesce(sum(m.cost), 0), false, false
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[]) AS t(c, b, s, e)
    LEFT JOIN billing_marginbucket m
        ON m.customer_id = t.c AND m.billing_entity_id = t.b AND m.hour >= t.s AND m.hour < t.e
    GROUP BY 1, 2, 3, 4
    ON CONFLICT DO NOTHING
    RETURNING customer_id, billing_entity_id, starts_at, ends_at, events, costed, revenue, cost, told_below,
        told_unknown"""
# One hour may lie in several periods, and several hours in one: summed by period first.
MOVE_PERIODS: Final = """
    UPDATE billing_periodmargin AS p
    SET events = p.events + m.events, costed = p.costed + m.costed, revenue = p.revenue + m.revenue,
        cost = p.cost + m.cost
    FROM (SELECT w.customer_id, w.billing_entity_id, w.starts_at, w.ends_at, sum(t.events) AS events,
              sum(t.costed) AS costed, sum(t.revenue) AS revenue, sum(t.cost) AS cost
          FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[],
          %s::numeric[],
                      %s::numeric[]) AS t(c, b, hour, events, costed, revenue, cost)
          JOIN billing_periodmargin w ON w.customer_id = t.c AND w.billing_entity_id = t.b
              AND w.starts_at <= t.hour AND w.ends_at > t.hour
          GROUP BY 1, 2, 3, 4) AS m
    WHERE p.customer_id = m.customer_id AND p.billing_entity_id = m.billing_entity_id
        AND p.starts_at = m.starts_at AND p.ends_at = m.ends_at"""
PERIODS_OF: Final = """
    SELECT customer_id, billing_entity_id, starts_at, ends_at, events, costed, revenue, cost, told_below,
        told_unknown
    FROM billing_periodmargin WHERE customer_id = %s AND billing_entity_id = %s"""
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
    """(payer, own floor's min_margin, min_volume, action (null: none), whether periods are kept) of each."""
    return execute(raw, FLOORS, key_arrays(payers, "nn"))


def read_periods(raw: Session, hours: Sequence[tuple[int, int, str, str]]) -> Answer:
    """The kept periods of (customer, payer) that share an hour with those from the first to the last one."""
    return execute(raw, READ_PERIODS, key_arrays(hours, "nntt"))


def write_periods(raw: Session, rows: Sequence[Sequence[Any]]) -> None:
    """Write kept periods, of payers locked since they were read; columns as `read_periods` gives them."""
    if rows:
        execute(raw, WRITE_PERIODS, key_arrays(rows, "nnttnnnnnn"))


def open_periods(raw: Session, keys: Sequence[PeriodKey]) -> Answer:
    """Begin to keep these periods: their sums come from the buckets. Rows as `read_periods`."""
    return execute(raw, OPEN_PERIODS, key_arrays(keys, "nntt"))


def periods_of(raw: Session, customer_id: int, payer_id: int) -> Answer:
    """All periods that are kept of a payer; rows as `read_periods`."""
    return execute(raw, PERIODS_OF, (customer_id, payer_id))


def add_margins(raw: Session, margins: dict[MarginKey, list[Any]]) -> None:
    """Add [events, costed, unmatched, unpriced, revenue, cost] to the margin buckets and their periods."""
    write_margins(raw, margins)
    move_periods(raw, margins)


def move_periods(raw: Session, margins: Mapping[MarginKey, Sequence[Any]]) -> None:
    """Add changes of margin buckets to the periods that are kept of their payers."""
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
