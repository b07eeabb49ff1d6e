"""SQL of what a limit or quota finds that is set late: what was spent and held before it counted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple
from uuid import UUID

from billing.store_limits import CounterChange, CounterRange, columns_of
from core.pipeline import Answer
from core.sql import Session, execute, number_array, text_array
from metering.payload import ASKED

# By workspace, and of calls that name no workspace by payer; null = whatever it is.
SPENT_BEFORE: Final = """
    SELECT CASE WHEN %s::int IS NULL THEN %s::timestamptz
                ELSE date_bin(make_interval(mins => %s::int), counted.at, 'epoch') END,
           sum((SELECT COALESCE(sum((line->>'amount')::numeric
                                    - COALESCE((line->>'absorbed')::numeric, 0)), 0)
                FROM jsonb_array_elements(c.lines) AS line
                WHERE %s::text IS NULL OR line->>'meter' = %s::text))
    FROM billing_charge c
    LEFT JOIN metering_usageevent o ON %s::int IS NOT NULL AND o.customer_id = c.customer_id
        AND o.id = c.event_id AND o.recorded_at = c.event_recorded_at
    CROSS JOIN LATERAL (
        SELECT CASE WHEN o.id IS NULL THEN c.occurred_at
                    WHEN o.given & %s::int <> 0 THEN o.recorded_at
                    ELSE LEAST(c.occurred_at, o.recorded_at) END AS at) AS counted
    WHERE c.customer_id = %s::bigint AND c.currency = %s::text
        AND c.recorded_at >= %s::timestamptz
        AND counted.at >= %s::timestamptz AND counted.at < %s::timestamptz
        AND CASE WHEN %s::bigint[] IS NULL
                 THEN %s::bigint[] IS NULL OR c.billing_entity_id = ANY(%s::bigint[])
                 WHEN c.workspace_id IS NULL THEN c.billing_entity_id = ANY(%s::bigint[])
                 ELSE c.workspace_id = ANY(%s::bigint[]) END
        AND (%s::bigint IS NULL OR EXISTS (
            SELECT FROM metering_usageevent e
            WHERE e.customer_id = c.customer_id AND e.id = c.event_id AND e.recorded_at = c.event_recorded_at
                AND e.api_key_id = %s::bigint))
    GROUP BY 1 ORDER BY 1"""
# Of a meter's limit: what of the expected price is the meter's, or an amount that was named, which may all
# become its.
HOLD_TOO: Final = """
    WITH open AS (
        SELECT a.customer_id, a.id, a.expires_at,
               CASE WHEN %s::text IS NULL THEN a.held
                    WHEN NOT a.payload ? 'amount'
                    THEN LEAST(a.held, COALESCE((a.metered->>%s::text)::numeric, 0))
                    WHEN a.event IN ('', %s::text) THEN a.held END AS amount
        FROM billing_authorization a
        WHERE a.customer_id = %s::bigint AND a.status = 'authorized' AND a.expires_at > %s::timestamptz
            AND a.currency = %s::text
            AND CASE WHEN %s::bigint[] IS NULL
                     THEN %s::bigint[] IS NULL OR a.billing_entity_id = ANY(%s::bigint[])
                     WHEN a.workspace_id IS NULL THEN a.billing_entity_id = ANY(%s::bigint[])
                     ELSE a.workspace_id = ANY(%s::bigint[]) END
            AND (%s::bigint IS NULL OR a.api_key_id = %s::bigint)),
    found AS (
        UPDATE billing_authorization a
        SET counted_in = a.counted_in || jsonb_build_array(jsonb_build_array(%s::text, open.amount::text))
        FROM open WHERE a.customer_id = open.customer_id AND a.id = open.id AND open.amount > 0
        RETURNING a.customer_id, a.id, open.amount, a.expires_at)
    INSERT INTO billing_limithold (customer_id, authorization_id, counter, amount, expires_at)
    SELECT customer_id, id, %s::text, amount, expires_at FROM found"""
READ_UNCOUNTED: Final = """
    SELECT t.counter, a.customer_id, a.id, a.event, a.payload::text
    FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS t(customer, counter, payer), LATERAL (
        SELECT * FROM billing_authorization
        WHERE customer_id = t.customer AND billing_entity_id = t.payer AND status = 'authorized'
            AND expires_at > %s
        OFFSET 0) AS a
    WHERE NOT a.payload ? 'amount'
        AND NOT EXISTS (SELECT FROM jsonb_array_elements(a.counted_in) AS one WHERE one->>0 = t.counter)"""
COUNT_LATE: Final = """
    WITH late AS (
        SELECT * FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::numeric[])
            AS t(customer_id, id, counter, amount)),
    found AS (
        UPDATE billing_authorization a SET counted_in = a.counted_in || one.counted_in
        FROM (SELECT customer_id, id, jsonb_agg(jsonb_build_array(counter, amount::text)) AS counted_in
              FROM late GROUP BY 1, 2) AS one
        WHERE a.customer_id = one.customer_id AND a.id = one.id
        RETURNING a.customer_id, a.id, a.expires_at)
    INSERT INTO billing_limithold (customer_id, authorization_id, counter, amount, expires_at)
    SELECT customer_id, id, counter, amount, expires_at FROM late JOIN found USING (customer_id, id)"""


class SpendQuestion(NamedTuple):
    """Which charges count in a window: None = whatever it is. `slot_minutes`: those of a rolling window.
    `recorded_since`: as much earlier as a caller's clock may be ahead.

    With `workspaces`, `payers` are those whose calls without a workspace count as well. `meter_event`: what
    the meter hears.
    """

    currency: str
    since: datetime
    until: datetime
    recorded_since: datetime
    slot_minutes: int | None
    payers: Sequence[int] | None
    workspaces: Sequence[int] | None
    api_key_id: int | None
    meter_key: str | None
    meter_event: str | None = None

    @property
    def owners(self) -> tuple[object, ...]:
        """Whose calls they are, as both statements ask it."""
        payers = None if self.payers is None else number_array(self.payers)
        workspaces = None if self.workspaces is None else number_array(self.workspaces)
        return (workspaces, payers, payers, payers, workspaces, self.api_key_id, self.api_key_id)


def spent_before(raw: Session, counter: CounterRange, question: SpendQuestion) -> list[CounterChange]:
    """What charges that stand already add to a counter, by row."""
    since = question.since
    params = (
        question.slot_minutes,
        since,
        question.slot_minutes,
        question.meter_key,
        question.meter_key,
        question.slot_minutes,
        ASKED,
        counter.customer_id,
        question.currency,
        question.recorded_since,
        since,
        question.until,
        *question.owners,
    )
    return [
        CounterChange(counter, starts_at, used, 0) for starts_at, used in execute(raw, SPENT_BEFORE, params)
    ]


def hold_too(raw: Session, customer_id: int, counter: str, question: SpendQuestion, now: datetime) -> None:
    """Let the open holds of those whom a new limit bounds count in it. Their payers are locked."""
    params = (
        question.meter_key,
        question.meter_key,
        question.meter_event,
        customer_id,
        now,
        question.currency,
        *question.owners,
        counter,
        counter,
    )
    execute(raw, HOLD_TOO, params)


def read_uncounted(raw: Session, ranges: Sequence[CounterRange], now: datetime) -> Answer:
    """(counter, customer, id, event, payload as text) of the open holds of quotas' payers that do not count
    in them yet."""
    customers, counters, _, _, payers = columns_of(ranges, 5)
    return execute(raw, READ_UNCOUNTED, (customers, counters, payers, now))


def count_late(raw: Session, rows: Sequence[tuple[int, UUID, str, Decimal]]) -> None:
    """Let open holds count in limits' counters: (customer, id, counter, amount). Their payers are locked."""
    customers, ids, counters, amounts = zip(*rows, strict=True)
    params = number_array(customers), text_array(map(str, ids)), text_array(counters), number_array(amounts)
    execute(raw, COUNT_LATE, params)
