"""SQL of spend limits and quotas: locked, read and counted by one statement each, however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from core.numbers import ZERO
from core.pipeline import Answer
from core.sql import Session, execute, number_array, text_array

# A limit's own row is its lock: it is there before anything is counted.
LOCK_LIMITS: Final = """
    SELECT l.id FROM unnest(%s::bigint[]) AS t(id) JOIN billing_spendlimit l ON l.id = t.id
    ORDER BY array_position(
        ARRAY['api_key', 'workspace', 'meter', 'organization', 'billing_entity'], l.level::text), l.id
    FOR NO KEY UPDATE OF l"""
# Rows that were met before, by their ids, at a third of the price of their names and instants; of rolling
# windows, the sums of their slots and the row of the present one; what open holds reserve of either, by
# counter.
READ_WINDOWS: Final = """
    SELECT c.id, NULL::bigint, c.counter, c.used, c.alerted, NULL::timestamptz
    FROM unnest(%s::bigint[]) AS t(id) JOIN billing_limitcounter c ON c.id = t.id
    UNION ALL
    SELECT c.id, t.n, NULL, c.used, c.alerted, c.oldest
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[])
        WITH ORDINALITY AS t(customer, counter, since, slot, n), LATERAL (
        SELECT sum(used) AS used, max(alerted) AS alerted, min(starts_at) FILTER (WHERE used <> 0) AS oldest,
               max(id) FILTER (WHERE starts_at = t.slot) AS id
        FROM billing_limitcounter
        WHERE customer_id = t.customer AND counter = t.counter AND starts_at >= t.since
        OFFSET 0) AS c
    UNION ALL
    SELECT NULL, NULL, h.counter, sum(h.amount), NULL, NULL
    FROM unnest(%s::bigint[], %s::text[]) AS t(customer, counter)
    JOIN billing_limithold h ON h.customer_id = t.customer AND h.counter = t.counter AND h.expires_at > %s
    GROUP BY h.counter"""
# A quota that was not counted yet, or not all the while, has what its meter's buckets have, and may miss
# holds (of those that name no amount).
READ_COUNTERS: Final = """
    SELECT t.n, c.id, c.used, c.alerted,
        (SELECT sum(amount) FROM billing_limithold h
         WHERE h.customer_id = t.customer AND h.counter = t.counter AND h.expires_at > %s),
        CASE WHEN t.meter <> 0 AND (t.is_resumed OR c.used IS NULL) THEN (
            SELECT sum(b.quantity) FROM metering_usagebucket b
            WHERE b.customer_id = t.customer AND b.billing_entity_id = t.payer AND b.meter_id = t.meter
                AND b.hour >= t.since AND b.hour < t.until) END,
        t.meter <> 0 AND (t.is_resumed OR c.used IS NULL) AND EXISTS (
            SELECT FROM billing_authorization a JOIN metering_meter m ON m.id = t.meter AND m.event = a.event
            WHERE a.customer_id = t.customer AND a.billing_entity_id = t.payer AND a.status = 'authorized'
                AND a.expires_at > %s AND NOT a.payload ? 'amount'
                AND NOT EXISTS (
                    SELECT FROM jsonb_array_elements(a.counted_in) AS one WHERE one->>0 = t.counter))
    FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::bigint[], %s::bigint[],
                %s::boolean[])
        WITH ORDINALITY AS t(customer, counter, since, until, payer, meter, is_resumed, n)
    LEFT JOIN billing_limitcounter c
        ON c.customer_id = t.customer AND c.counter = t.counter AND c.starts_at = t.since"""
# Rows that were met before. Were one of them not there any more, or another's, the division by zero would
# undo the transaction.
MOVE_COUNTERS: Final = """
    WITH moved AS (
        UPDATE billing_limitcounter c
        SET used = c.used + t.used
        FROM unnest(%s::bigint[], %s::text[], %s::numeric[]) AS t(id, counter, used)
        WHERE c.id = t.id AND c.counter = t.counter
        RETURNING 1)
    SELECT 1 / (count(*) = %s::int)::int FROM moved"""
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
PRUNE_SLOTS: Final = """
    DELETE FROM billing_limitcounter c USING billing_spendlimit l
    WHERE l."window" = 'rolling' AND c.customer_id = l.customer_id AND c.counter = 'lim:' || l.id
        AND c.starts_at < %s::timestamptz - make_interval(hours => 2 * l.hours + 24)"""


LONG_AGO: Final = datetime(1, 1, 1, tzinfo=UTC)
FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of a window that has none."""


Reader = tuple[int, int]
"""A database session of this process, and how often what it had read was doubted."""


class Calm(NamedTuple):
    """Windows that were far from their next alert or refusal when they were read, and what is known since.

    `reader`: who read them. `version`: the customer's config version then. `bound`: of a quota, what it was.
    `room`: how much could come into each, when the payer's turnover (of a quota: throughput) was `mark`.
    """

    reader: Reader
    version: int
    bound: Decimal
    room: Decimal
    mark: Decimal


class CounterRange:
    """A counter's rows: the one at `since`, or in a rolling window, which ends at FAR, all from there on.

    A quota's has `payer_id` and `meter_id`, whose buckets it begins with; `is_resumed`: it may have been
    counted for a while only, so that they are looked at again. `slot` is where of it what is asked counts. It
    is kept from batch to batch with its texts, for the same window is read again and again. `key`: its name
    with that of its window; two of one key count in the same rows. `row`: the id of its row (of a rolling
    window, of that at `slot`), once read. Of a quota, `calm`: what was known when it was read, if that is of
    use; `needed`: how much it has to bear to be calm.
    """

    __slots__ = (
        "calm",
        "counter",
        "customer_id",
        "is_resumed",
        "is_rolling",
        "key",
        "needed",
        "payer_id",
        "row",
        "since",
        "slot",
        "texts",
        "until",
    )

    def __init__(
        self,
        customer_id: int,
        counter: str,
        since: datetime,
        until: datetime,
        payer_id: int = 0,
        meter_id: int = 0,
        slot: datetime | None = None,
        *,
        is_resumed: bool = False,
    ) -> None:
        self.customer_id = customer_id
        self.payer_id = payer_id
        self.counter = counter
        self.since = since
        self.until = until
        self.is_rolling = until == FAR
        self.is_resumed = is_resumed
        self.slot = since if slot is None else slot
        self.key = f"{counter} {since.isoformat()}"
        self.row = 0
        self.calm: Calm | None = None
        self.needed = ZERO
        self.texts = (
            str(customer_id),
            f'"{counter}"',
            f'"{since.isoformat()}"',
            f'"{(self.slot if self.is_rolling else until).isoformat()}"',
            str(payer_id),
            str(meter_id),
            str(is_resumed),
        )

    def holds(self, instant: datetime) -> bool:
        """Whether its window holds the instant."""
        return self.since <= instant < self.until


class CounterChange(NamedTuple):
    """What is added to one row of a counter: that which begins at `starts_at`."""

    range: CounterRange
    starts_at: datetime
    used: Decimal
    alerted: int


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
    """(position in the ranges from 1, id of the row, used, highest threshold fired, held, metered,
    whether open holds are missing in it) of each; id, used and threshold are null where there is no row yet.
    None of the ranges is rolling. One statement.

    `metered` is what the buckets have of a quota that is new or resumed: that is what is used of it.
    """
    return execute(raw, READ_COUNTERS, (now, now, *columns_of(ranges, 7)))


def read_windows(
    raw: Session, known: Sequence[CounterRange], rolling: Sequence[CounterRange], now: datetime
) -> Answer:
    """Rows of three kinds, by one statement: (id, -, counter, used, highest threshold fired, -) of the
    known ranges, whose `row` was read before, where it is there still; (id of the row at `slot`, position
    from 1, -, used, threshold, oldest slot with spend) of each rolling one, null where nothing is; and where
    open holds reserve something (-, -, counter, amount, -, -).
    """
    counters = {one.counter: one for one in (*known, *rolling)}
    return execute(
        raw,
        READ_WINDOWS,
        (
            number_array([one.row for one in known]),
            *columns_of(rolling, 4),
            *columns_of(list(counters.values()), 2),
            now,
        ),
    )


def columns_of(ranges: Sequence[CounterRange], number: int) -> list[Any]:
    """The first `number` texts of each range, as the arrays that a statement takes."""
    columns = list(zip(*[one.texts for one in ranges], strict=True)) or [()] * number
    return ["{" + ",".join(column) + "}" for column in columns[:number]]


def move_limit_counters(raw: Session, rows: Sequence[tuple[int, str, Decimal]]) -> None:
    """Add to rows that are known and locked: (id, name of the counter as text, what is used more) of each."""
    ids, counters, used = zip(*rows, strict=True)
    columns = (number_array(ids), "{" + ",".join(counters) + "}", number_array(used))
    execute(raw, MOVE_COUNTERS, (*columns, len(rows)))


def add_limit_counters(raw: Session, changes: Sequence[CounterChange]) -> None:
    """Add to counters whose limits (or payers) are locked, be their rows there or not; one statement."""
    execute(
        raw,
        ADD_COUNTERS,
        (
            "{" + ",".join([one.range.texts[0] for one in changes]) + "}",
            "{" + ",".join([one.range.texts[1] for one in changes]) + "}",
            instant_array([one.starts_at for one in changes]),
            number_array([one.used for one in changes]),
            number_array([one.alerted for one in changes]),
        ),
    )


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


def prune_slots(raw: Session, now: datetime) -> int:
    """Delete the slots that no rolling window counts any more; how many."""
    return execute(raw, PRUNE_SLOTS, (now,)).rowcount


def instant_array(instants: Iterable[datetime | None]) -> str:
    """An array literal of instants."""
    return "{" + ",".join("NULL" if at is None else f'"{at.isoformat()}"' for at in instants) + "}"
