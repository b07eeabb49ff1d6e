"""SQL that reads usage of many payers at once: sums of buckets over stretches of time, streams of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import uuid4

import msgspec
import psycopg

from core.sql import execute, number_array, text_array

SUM_STRETCHES: Final = """
    SELECT t.n, b.dimensions, sum(b.quantity), max(b.quantity)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        WITH ORDINALITY AS t(customer_id, payer_id, meter_id, starts_at, ends_at, n)
    JOIN metering_usagebucket b ON b.customer_id = t.customer_id AND b.billing_entity_id = t.payer_id
        AND b.meter_id = t.meter_id AND b.hour >= t.starts_at AND b.hour < t.ends_at
    GROUP BY t.n, b.dimensions"""


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


def sum_stretches(raw: psycopg.Connection[Any], stretches: Sequence[Stretch]) -> Iterator[BucketSum]:
    """The sums of all stretches, in one statement; nothing for those without usage."""
    if not stretches:
        return
    customers, payers, meters, starts, ends = zip(*stretches, strict=True)
    instants = [text_array(instant.isoformat() for instant in column) for column in (starts, ends)]
    arrays = [number_array(column) for column in (customers, payers, meters)]
    for number, dimensions, total, highest in execute(raw, SUM_STRETCHES, (*arrays, *instants)):
        yield BucketSum(stretches[number - 1], dimensions, total, highest)


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
