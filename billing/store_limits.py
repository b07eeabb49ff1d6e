"""SQL of spend limits and quotas: locked, read and counted by one statement each, however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from core.pipeline import Answer
from core.sql import Session, execute, number_array, text_array

# A limit's own row is its lock: it is there before anything is counted.
LOCK_LIMITS: Final = """
    SELECT l.id FROM unnest(%s::bigint[]) AS t(id) JOIN billing_spendlimit l ON l.id = t.id
    ORDER BY array_position(
        ARRAY['api_key', 'workspace', 'meter', 'organization', 'billing_entity'], l.level::text), l.id
    FOR NO KEY UPDATE OF l"""
# A quota that was not counted yet begins with what its meter's buckets have: it may be younger than they.
READ_COUNTERS: Final = """
    SELECT t.n, c.used, c.alerted, c.oldest, c.slots,
        CASE WHEN c.slots = 0 AND t.meter <> 0 THEN (
            SELECT sum(b.quantity) FROM metering_usagebucket b
            WHERE b.customer_id = t.customer AND b.billing_entity_id = t.payer AND b.meter_id = t.meter
                AND b.hour >= t.since AND b.hour < t.until) END,
        (SELECT sum(amount) FROM billing_limithold h
         WHERE h.customer_id = t.customer AND h.counter = t.counter AND h.expires_at > %s)
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[])
        WITH ORDINALITY AS t(customer, counter, since, until, payer, meter, n), LATERAL (
        SELECT sum(used) AS used, max(alerted) AS alerted, count(*) AS slots,
               min(starts_at) FILTER (WHERE used <> 0) AS oldest
        FROM billing_limitcounter
        WHERE customer_id = t.customer AND counter = t.counter
            AND starts_at >= t.since AND starts_at < t.until
        OFFSET 0) AS c"""
ADD_COUNTERS: Final = """
    INSERT INTO billing_limitcounter AS c (customer_id, counter, starts_at, used, alerted)
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::numeric[], %s::smallint[])
    ON CONFLICT (customer_id, counter, starts_at) DO UPDATE
    SET used = c.used + EXCLUDED.used, alerted = GREATEST(c.alerted, EXCLUDED.alerted)"""
FIRE_ALERTS: Final = """
    WITH fired AS (
        INSERT INTO billing_alert
            (kind, key, customer_id, billing_entity_id, limit_id, level, level_id, threshold, used, bound,
             currency, starts_at, ends_at, details, fired_at)
        SELECT kind, key, customer, payer, NULLIF(lim, 0), level, level_id, threshold, used, bound, currency,
               starts_at, ends_at, '{}', %s::timestamptz
        FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[],
                    %s::numeric[], %s::numeric[], %s::numeric[], %s::text[], %s::timestamptz[],
                    %s::timestamptz[])
            AS t(kind, key, customer, payer, lim, level, level_id, threshold, used, bound, currency,
                 starts_at, ends_at)
        ON CONFLICT (key) DO NOTHING
        RETURNING *)
    INSERT INTO billing_outboxmessage (kind, key, customer_id, payload, created_at)
    SELECT 'alert.' || kind, 'alert/' || key, customer_id,
           jsonb_build_object('level', level, 'id', level_id, 'threshold', trim_scale(threshold)::text,
               'used', trim_scale(used)::text, 'limit', trim_scale(bound)::text, 'currency', currency,
               'key', key),
           fired_at
    FROM fired ORDER BY id"""
# By workspace, and of calls that name no workspace by payer; null = whatever it is.
SPENT_BEFORE: Final = """
    SELECT CASE WHEN %s::int IS NULL THEN %s::timestamptz
                ELSE date_bin(make_interval(mins => %s::int), LEAST(c.occurred_at, c.recorded_at), 'epoch')
           END,
           sum(CASE WHEN %s::text IS NULL THEN c.amount ELSE (
               SELECT COALESCE(sum((line->>'amount')::numeric), 0) FROM jsonb_array_elements(c.lines) AS line
               WHERE line->>'meter' = %s::text) END)
    FROM billing_charge c
    WHERE c.customer_id = %s::bigint AND c.currency = %s::text AND c.amount <> 0
        AND c.recorded_at >= %s::timestamptz - interval '1 day'
        AND c.occurred_at >= %s::timestamptz AND c.occurred_at < %s::timestamptz
        AND CASE WHEN %s::bigint[] IS NULL
                 THEN %s::bigint[] IS NULL OR c.billing_entity_id = ANY(%s::bigint[])
                 WHEN c.workspace_id IS NULL THEN c.billing_entity_id = ANY(%s::bigint[])
                 ELSE c.workspace_id = ANY(%s::bigint[]) END
        AND (%s::bigint IS NULL OR EXISTS (
            SELECT FROM metering_usageevent e
            WHERE e.customer_id = c.customer_id AND e.id = c.event_id AND e.recorded_at = c.event_recorded_at
                AND e.api_key_id = %s::bigint))
    GROUP BY 1 ORDER BY 1"""
HOLD_TOO: Final = """
    WITH found AS (
        UPDATE billing_authorization a
        SET counted_in = a.counted_in || jsonb_build_array(jsonb_build_array(%s::text, a.held::text))
        WHERE a.customer_id = %s::bigint AND a.status = 'authorized' AND a.expires_at > %s::timestamptz
            AND a.currency = %s::text
            AND CASE WHEN %s::bigint[] IS NULL
                     THEN %s::bigint[] IS NULL OR a.billing_entity_id = ANY(%s::bigint[])
                     WHEN a.workspace_id IS NULL THEN a.billing_entity_id = ANY(%s::bigint[])
                     ELSE a.workspace_id = ANY(%s::bigint[]) END
            AND (%s::bigint IS NULL OR a.api_key_id = %s::bigint)
        RETURNING a.customer_id, a.id, a.held, a.expires_at)
    INSERT INTO billing_limithold (customer_id, authorization_id, counter, amount, expires_at)
    SELECT customer_id, id, %s::text, held, expires_at FROM found"""
PRUNE_SLOTS: Final = """
    DELETE FROM billing_limitcounter c USING billing_spendlimit l
    WHERE l."window" = 'rolling' AND c.customer_id = l.customer_id AND c.counter = 'lim:' || l.id
        AND c.starts_at < %s::timestamptz - make_interval(hours => 2 * l.hours + 24)"""


class CounterRange(NamedTuple):
    """A counter's rows to sum. A quota's has `payer_id` and `meter_id`; a limit's has 0."""

    customer_id: int
    counter: str
    since: datetime
    until: datetime
    payer_id: int = 0
    meter_id: int = 0


class CounterChange(NamedTuple):
    """What is added to one row of a counter."""

    customer_id: int
    counter: str
    starts_at: datetime
    used: Decimal
    alerted: int


class SpendQuestion(NamedTuple):
    """Which charges count in a window: None = whatever it is. `slot_minutes`: those of a rolling window.

    With `workspaces`, `payers` are those whose calls without a workspace count as well.
    """

    currency: str
    since: datetime
    until: datetime
    slot_minutes: int | None
    payers: Sequence[int] | None
    workspaces: Sequence[int] | None
    api_key_id: int | None
    meter_key: str | None


class AlertRow(NamedTuple):
    """A threshold that was crossed; `limit_id` 0 = of no limit."""

    kind: str
    key: str
    customer_id: int
    payer_id: int
    limit_id: int
    level: str
    level_id: str
    threshold: Decimal
    used: Decimal
    bound: Decimal
    currency: str
    starts_at: datetime | None
    ends_at: datetime | None


def send_limit_lock(raw: Session, limit_ids: Iterable[int]) -> None:
    """Lock limits by level and id, the same order in every transaction. The payers are locked before."""
    execute(raw, LOCK_LIMITS, (number_array(limit_ids),))


def read_limit_counters(raw: Session, ranges: Sequence[CounterRange], now: datetime) -> Answer:
    """(position from 1, used, highest threshold fired, oldest slot, rows, in buckets, held) of each."""
    params = (
        now,
        number_array(one.customer_id for one in ranges),
        text_array(one.counter for one in ranges),
        instant_array(one.since for one in ranges),
        instant_array(one.until for one in ranges),
        number_array(one.payer_id for one in ranges),
        number_array(one.meter_id for one in ranges),
    )
    return execute(raw, READ_COUNTERS, params)


def add_limit_counters(raw: Session, changes: Sequence[CounterChange]) -> None:
    """Add to counters whose limits (or payers) are locked."""
    params = (
        number_array(one.customer_id for one in changes),
        text_array(one.counter for one in changes),
        instant_array(one.starts_at for one in changes),
        number_array(one.used for one in changes),
        number_array(one.alerted for one in changes),
    )
    execute(raw, ADD_COUNTERS, params)


def fire_alerts(raw: Session, rows: Sequence[AlertRow], now: datetime) -> None:
    """Keep the alerts that have not fired yet, each with its message for the outbox."""
    if not rows:
        return
    columns: list[Any] = list(zip(*rows, strict=True))
    texts = {0, 1, 5, 6, 10}
    instants = {11, 12}
    arrays = [
        text_array(column)
        if at in texts
        else instant_array(column)
        if at in instants
        else number_array(column)
        for at, column in enumerate(columns)
    ]
    execute(raw, FIRE_ALERTS, (now, *arrays))


def spent_before(
    raw: Session, customer_id: int, counter: str, question: SpendQuestion
) -> list[CounterChange]:
    """What charges that stand already add to a counter, by row."""
    since, payers = question.since, None if question.payers is None else number_array(question.payers)
    workspaces = None if question.workspaces is None else number_array(question.workspaces)
    params = (
        question.slot_minutes,
        since,
        question.slot_minutes,
        question.meter_key,
        question.meter_key,
        customer_id,
        question.currency,
        since,
        since,
        question.until,
        workspaces,
        payers,
        payers,
        payers,
        workspaces,
        question.api_key_id,
        question.api_key_id,
    )
    return [
        CounterChange(customer_id, counter, starts_at, used, 0)
        for starts_at, used in execute(raw, SPENT_BEFORE, params)
    ]


def hold_too(raw: Session, customer_id: int, counter: str, question: SpendQuestion, now: datetime) -> None:
    """Let the open holds of those whom a new limit bounds count in it. Their payers are locked."""
    payers = None if question.payers is None else number_array(question.payers)
    workspaces = None if question.workspaces is None else number_array(question.workspaces)
    params = (
        counter,
        customer_id,
        now,
        question.currency,
        workspaces,
        payers,
        payers,
        payers,
        workspaces,
        question.api_key_id,
        question.api_key_id,
        counter,
    )
    execute(raw, HOLD_TOO, params)


def prune_slots(raw: Session, now: datetime) -> int:
    """Delete the slots that no rolling window counts any more; how many."""
    return execute(raw, PRUNE_SLOTS, (now,)).rowcount


def instant_array(instants: Iterable[datetime | None]) -> str:
    """An array literal of instants."""
    return "{" + ",".join("NULL" if at is None else f'"{at.isoformat()}"' for at in instants) + "}"
