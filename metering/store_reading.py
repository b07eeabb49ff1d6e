"""SQL that reads usage of many payers at once: sums of buckets over stretches of time, streams of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec
import psycopg

from core.numbers import CONTEXT
from core.sql import execute, number_array, text_array
from metering.aggregation.values import number_of

# Summed stretch by stretch: a join would sort all their buckets first.
SUM_STRETCHES: Final = """
    SELECT t.n, s.*
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        WITH ORDINALITY AS t(customer_id, payer_id, meter_id, starts_at, ends_at, n),
    LATERAL (
        SELECT dimensions, sum(quantity), max(quantity)
        FROM metering_usagebucket
        WHERE customer_id = t.customer_id AND billing_entity_id = t.payer_id AND meter_id = t.meter_id
            AND hour >= t.starts_at AND hour < t.ends_at
        GROUP BY dimensions) AS s"""

PACKS_AT_ONCE: Final = 20
# A thousand events come as one JSON text: a row for each would cost more in the driver than rating it.
READ_EVENTS: Final = """
    SELECT billing_entity_id, json_agg(json_build_array(
        name, (extract(epoch FROM occurred_at) * 1000000)::bigint, properties, cost, id) ORDER BY seq)::text
    FROM metering_usageevent
    WHERE customer_id = ANY(%s::bigint[]) AND billing_entity_id = ANY(%s::bigint[]) AND name = ANY(%s::text[])
        AND occurred_at < %s AND (%s::timestamptz IS NULL OR occurred_at >= %s) AND recorded_at >= %s
    GROUP BY billing_entity_id, seq / 1000
    ORDER BY billing_entity_id, seq / 1000"""


# Of one payer's events of one name, in one scan, what falls between bounds. OFFSET 0 keeps the planner to one
# index lookup a payer, and makes it take each property out once. What SQL need not know how to read (numbers
# of more digits than a quantity has, texts in other notations) comes as it is, for `number_of` to judge.
SUM_EVENTS: Final = """
    SELECT t.n, s.place, s.total, s.added, s.taken_back, s.others::text
    FROM (
        SELECT n, customer_id, payer_id, name, path, bounds::timestamptz[] AS bounds
        FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
            WITH ORDINALITY AS u(customer_id, payer_id, name, path, bounds, n)
        OFFSET 0) AS t,
    LATERAL (
        SELECT v.place, coalesce(sum(v.number), 0) AS total, count(*) FILTER (WHERE v.number >= 0) AS added,
            count(*) FILTER (WHERE v.number < 0) AS taken_back,
            json_agg(v.value) FILTER (WHERE v.number IS NULL AND v.value IS NOT NULL) AS others
        FROM (
            SELECT place, value,
                CASE WHEN abs(stands_for) < 1e20 AND scale(stands_for) <= 12 THEN stands_for END AS number
            FROM (
                SELECT place, value, CASE
                    WHEN t.path = '' THEN 1
                    WHEN jsonb_typeof(value) = 'number' THEN value::numeric
                    WHEN value #>> '{}' ~ '^-?[0-9]{1,20}([.][0-9]{1,12})?$' THEN (value #>> '{}')::numeric
                    END AS stands_for
                FROM (
                    SELECT width_bucket(occurred_at, t.bounds) AS place, properties -> t.path AS value
                    FROM metering_usageevent
                    WHERE customer_id = t.customer_id AND billing_entity_id = t.payer_id AND name = t.name
                        AND occurred_at >= t.bounds[1] AND occurred_at < t.bounds[array_upper(t.bounds, 1)]
                        AND recorded_at >= %s AND id <> ALL(%s::uuid[])
                    OFFSET 0) AS found
                OFFSET 0) AS read
            OFFSET 0) AS v
        GROUP BY v.place) AS s"""


class Stretch(NamedTuple):
    """The hours `[starts_at, ends_at)` of one payer and meter; both ends on the payer's local hours."""

    customer_id: int
    payer_id: int
    meter_id: int
    starts_at: datetime
    ends_at: datetime


class BucketSum(NamedTuple):
    """What stands in a stretch for one combination of dimension values (canonical JSON array)."""

    stretch: Stretch
    dimensions: str
    total: Decimal
    highest: Decimal


class Sought(NamedTuple):
    """One payer's events of a name, and the property that counts (empty: each counts 1).

    `bounds` are ascending instants, two at least: sums are asked for between each and the next.
    """

    customer_id: int
    payer_id: int
    name: str
    path: str
    bounds: tuple[datetime, ...]


class EventSum(NamedTuple):
    """What events between `bounds[place]` and the next come to, and how many there are.

    `number` is less twice those with a negative quantity.
    """

    sought: Sought
    place: int
    total: Decimal
    number: int


def sum_stretches(raw: psycopg.Connection[Any], stretches: Sequence[Stretch]) -> Iterator[BucketSum]:
    """The sums of all stretches, in one statement; nothing for those without usage."""
    if not stretches:
        return
    customers, payers, meters, starts, ends = zip(*stretches, strict=True)
    instants = [text_array(instant.isoformat() for instant in column) for column in (starts, ends)]
    arrays = [number_array(column) for column in (customers, payers, meters)]
    for number, dimensions, total, highest in execute(raw, SUM_STRETCHES, (*arrays, *instants)):
        yield BucketSum(stretches[number - 1], dimensions, total, highest)


_DECODE_VALUES: Final = msgspec.json.Decoder(list[Any], float_hook=Decimal).decode


def sum_events(
    raw: psycopg.Connection[Any],
    sought: Sequence[Sought],
    *,
    recorded_from: datetime,
    left_out: Iterable[str],
) -> Iterator[EventSum]:
    """The sums of events, in one statement, exact; nothing where there is no event that counts.

    `left_out`: ids of events that count for nothing; `recorded_from`: older partitions are not looked at.
    """
    if not sought:
        return
    customers, payers, names, paths, bounds = zip(*sought, strict=True)
    instants = ["{" + ",".join(at.isoformat() for at in each) + "}" for each in bounds]
    arrays = (number_array(customers), number_array(payers), *map(text_array, (names, paths, instants)))
    rows = execute(raw, SUM_EVENTS, (*arrays, recorded_from, text_array(left_out)))
    for number, place, total, added, taken_back, others in rows:
        count = added - taken_back
        for value in () if others is None else _DECODE_VALUES(others):
            quantity = number_of(value)
            if quantity is not None:
                total = CONTEXT.add(total, quantity)
                count += 1 if quantity >= 0 else -1
                added += 1
        if added or taken_back:
            yield EventSum(sought[number - 1], place - 1, total, count)


StoredEvent = tuple[str, int, dict[str, Any], Decimal | None, str]
"""An event as meters see it: name, microseconds since 1970, properties, cost, id. Numbers are exact."""

_DECODE: Final = msgspec.json.Decoder(list[StoredEvent], float_hook=Decimal).decode


def read_events(
    raw: psycopg.Connection[Any],
    customer_ids: Iterable[int],
    payer_ids: Iterable[int],
    names: Iterable[str],
    *,
    start: datetime | None,
    end: datetime,
    recorded_from: datetime,
) -> Iterator[tuple[int, list[StoredEvent]]]:
    """(payer, some of its events) of those that occurred in `[start, end)`, by payer in `seq` order.

    A stream of packs of 1,000 at most; the caller is in a transaction. `recorded_from`: older
    partitions are not looked at.
    """
    arrays = (number_array(customer_ids), number_array(payer_ids), text_array(names))
    cursor: psycopg.ServerCursor[Any] = psycopg.ServerCursor(raw, f"events_{uuid4().hex}")
    with cursor:
        cursor.itersize = PACKS_AT_ONCE
        cursor.execute(READ_EVENTS.encode(), (*arrays, end, start, start, recorded_from))
        for payer_id, text in cursor:
            yield payer_id, _DECODE(text)
