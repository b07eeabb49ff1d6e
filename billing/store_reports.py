"""SQL of reports that the ORM cannot say: sums on each payer's own clock, the latest events of all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from billing.margins import Margin

# Midnight differs from payer to payer, so it is worked out for each; a payer's buckets are one range of the
# primary key. Summed inside the join, so that nothing has to be sorted.
PAYER_SUMS: Final = """
    WITH span AS MATERIALIZED (
        SELECT id, customer_id, %s::timestamp AT TIME ZONE time_zone AS first,
               %s::timestamp AT TIME ZONE time_zone AS last
        FROM accounts_billingentity)
    SELECT span.customer_id, span.id, sums.*
    FROM span CROSS JOIN LATERAL (
        SELECT sum(events)::bigint AS events, sum(costed)::bigint, sum(unmatched)::bigint,
               sum(unpriced)::bigint, sum(revenue), sum(cost)
        FROM billing_marginbucket m
        WHERE m.customer_id = span.customer_id AND m.billing_entity_id = span.id
            AND m.hour >= span.first AND m.hour < span.last) sums
    WHERE sums.events IS NOT NULL"""


class PayerSum(NamedTuple):
    """What a payer used and brought in a span of its own local days."""

    customer_id: int
    payer_id: int
    margin: Margin


def payer_sums(first: date, end: date) -> list[PayerSum]:
    """The margins of payers in the local days `[first, end)`, of those that have any; from buckets."""
    with connection.cursor() as cursor:
        cursor.execute(PAYER_SUMS, [first, end])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [PayerSum(row[0], row[1], Margin(*row[2:])) for row in rows]


# No index has the rows of all customers in one order: each customer is asked by its key for its latest row,
# and for more of them only if it has one of the latest of all.
LATEST_EVENTS: Final = """
    WITH latest AS MATERIALIZED (
        SELECT c.id AS customer_id, e.id
        FROM accounts_customer c CROSS JOIN LATERAL (
            SELECT id FROM metering_usageevent
            WHERE customer_id = c.id AND recorded_at >= %(since)s AND recorded_at < %(until)s
                AND id > %(above)s AND id < %(below)s
                AND (%(name)s::text IS NULL OR name = %(name)s)
                AND (%(user)s::text IS NULL OR "user" = %(user)s)
                AND (%(trace)s::text IS NULL OR trace = %(trace)s)
                AND (NOT %(is_unmatched)s OR unmatched) AND (NOT %(is_unpriced)s OR unpriced)
            ORDER BY id DESC LIMIT 1) e
        ORDER BY e.id DESC LIMIT %(limit)s)
    SELECT e.customer_id, e.id, e.recorded_at
    FROM latest CROSS JOIN LATERAL (
        SELECT customer_id, id, recorded_at FROM metering_usageevent
        WHERE customer_id = latest.customer_id AND recorded_at >= %(since)s AND recorded_at < %(until)s
            AND id > %(above)s AND id < %(below)s
            AND (%(name)s::text IS NULL OR name = %(name)s)
            AND (%(user)s::text IS NULL OR "user" = %(user)s)
            AND (%(trace)s::text IS NULL OR trace = %(trace)s)
            AND (NOT %(is_unmatched)s OR unmatched) AND (NOT %(is_unpriced)s OR unpriced)
        ORDER BY id DESC LIMIT %(limit)s) e
    ORDER BY e.id DESC LIMIT %(limit)s"""
EARLIEST_EVENTS: Final = LATEST_EVENTS.replace(" DESC ", " ASC ")
LATEST_CHARGES: Final = """
    WITH latest AS MATERIALIZED (
        SELECT c.id AS customer_id, x.id
        FROM accounts_customer c CROSS JOIN LATERAL (
            SELECT id FROM billing_charge
            WHERE customer_id = c.id AND recorded_at >= %(since)s AND recorded_at < %(until)s
                AND id > %(above)s AND id < %(below)s
                AND occurred_at >= %(occurred_from)s AND occurred_at < %(occurred_to)s
            ORDER BY id DESC LIMIT 1) x
        ORDER BY x.id DESC LIMIT %(limit)s)
    SELECT x.customer_id, x.id, x.recorded_at
    FROM latest CROSS JOIN LATERAL (
        SELECT customer_id, id, recorded_at FROM billing_charge
        WHERE customer_id = latest.customer_id AND recorded_at >= %(since)s AND recorded_at < %(until)s
            AND id > %(above)s AND id < %(below)s
            AND occurred_at >= %(occurred_from)s AND occurred_at < %(occurred_to)s
        ORDER BY id DESC LIMIT %(limit)s) x
    ORDER BY x.id DESC LIMIT %(limit)s"""
EARLIEST_CHARGES: Final = LATEST_CHARGES.replace(" DESC ", " ASC ")
NO_ID: Final = UUID(int=0)
ANY_ID: Final = UUID(int=2**128 - 1)
EVER: Final = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


class RowKey(NamedTuple):
    """Where a row of a hot table is."""

    customer_id: int
    id: UUID
    recorded_at: datetime


def latest_events(
    since: datetime,
    until: datetime,
    *,
    limit: int,
    above: UUID = NO_ID,
    below: UUID = ANY_ID,
    is_rising: bool = False,
    name: str | None = None,
    user: str | None = None,
    trace: str | None = None,
    is_unmatched: bool = False,
    is_unpriced: bool = False,
) -> list[RowKey]:
    """The latest events of all customers recorded in `[since, until)` with ids between `above` and `below`.

    With `is_rising` the earliest ones, in that order. Costs one look into an index for each customer, and
    `limit` rows of those that have the latest events.
    """
    values: dict[str, Any] = {
        "since": since,
        "until": until,
        "limit": limit,
        "above": above,
        "below": below,
        "name": name,
        "user": user,
        "trace": trace,
        "is_unmatched": is_unmatched,
        "is_unpriced": is_unpriced,
    }
    with connection.cursor() as cursor:
        cursor.execute(EARLIEST_EVENTS if is_rising else LATEST_EVENTS, values)
        return [RowKey(*row) for row in cursor.fetchall()]


DAY_SUMS: Final = """
    SELECT (m.hour AT TIME ZONE p.time_zone)::date AS day, p.currency, m.event = 'base_fee' AS is_fee,
           sum(m.events)::bigint, sum(m.costed)::bigint, sum(m.unmatched)::bigint, sum(m.unpriced)::bigint,
           sum(m.revenue), sum(m.cost)
    FROM billing_marginbucket m JOIN accounts_billingentity p ON p.id = m.billing_entity_id
    WHERE m.hour >= %s::timestamp AT TIME ZONE 'UTC' - interval '15 hours'
        AND m.hour < %s::timestamp AT TIME ZONE 'UTC' + interval '15 hours'
    GROUP BY 1, 2, 3"""


class DaySum(NamedTuple):
    """What all payers of a currency used and brought on one of their local days; base fees by themselves."""

    day: date
    currency: str
    is_fee: bool
    margin: Margin


def day_sums(first: date, end: date) -> list[DaySum]:
    """The margins of all payers by local day in `[first, end)`, currency and kind; from buckets."""
    with connection.cursor() as cursor:
        cursor.execute(DAY_SUMS, [first, end])
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return [DaySum(row[0], row[1], row[2], Margin(*row[3:])) for row in rows if first <= row[0] < end]


def latest_charges(
    since: datetime,
    until: datetime,
    *,
    limit: int,
    above: UUID = NO_ID,
    below: UUID = ANY_ID,
    is_rising: bool = False,
    occurred_from: datetime = EVER[0],
    occurred_to: datetime = EVER[1],
) -> list[RowKey]:
    """The latest charges of all customers recorded in `[since, until)`, in the way of `latest_events`."""
    values: dict[str, Any] = {
        "since": since,
        "until": until,
        "limit": limit,
        "above": above,
        "below": below,
        "occurred_from": occurred_from,
        "occurred_to": occurred_to,
    }
    with connection.cursor() as cursor:
        cursor.execute(EARLIEST_CHARGES if is_rising else LATEST_CHARGES, values)
        return [RowKey(*row) for row in cursor.fetchall()]
