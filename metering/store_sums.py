"""SQL of sums: what meters counted in many stretches of time of many payers at once, from the buckets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from core.sql import execute, number_array, text_array

SUM_STRETCHES: Final = """
    SELECT t.n, b.dimensions, sum(b.quantity), max(b.quantity)
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
        WITH ORDINALITY AS t(customer_id, payer_id, meter_id, starts_at, ends_at, n)
    JOIN metering_usagebucket b ON b.customer_id = t.customer_id AND b.billing_entity_id = t.payer_id
        AND b.meter_id = t.meter_id AND b.hour >= t.starts_at AND b.hour < t.ends_at
    GROUP BY t.n, b.dimensions"""


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
