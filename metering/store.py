"""SQL of metering's hot tables: keys, events, buckets, unique values. Written under the payer's lock.

Rows of one payer are only touched by the transaction that holds the payer's wallet row, so upserts
never meet. Keys are the exception: one key may reach two payers of a customer at once; then the second
COPY fails on the primary key, its batch is rolled back and done again, and finds the first answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import astuple

from core.pipeline import Answer
from core.sql import HotTable, Session, execute, key_arrays, number_array

KEYS: Final = HotTable(
    "metering_idempotencykey",
    {
        "customer_id": "bigint",
        "key": "text",
        "payload_hash": "bytea",
        "event_id": "uuid",
        "recorded_at": "timestamptz",
    },
)
EVENTS: Final = HotTable(
    "metering_usageevent",
    {
        "customer_id": "bigint",
        "id": "uuid",
        "recorded_at": "timestamptz",
        "seq": "bigint",
        "billing_entity_id": "bigint",
        "workspace_id": "bigint",
        "api_key_id": "bigint",
        "idempotency_key": "text",
        "name": "text",
        "occurred_at": "timestamptz",
        "properties": "jsonb",
        "costs": "jsonb",
        "cost": "numeric",
        '"user"': "text",
        "trace": "text",
        "source": "text",
        "given": "smallint",
        "unmatched": "boolean",
        "unpriced": "boolean",
    },
)
FIND_KEYS: Final = """
    SELECT k.customer_id, k.key, k.payload_hash, k.event_id, k.recorded_at
    FROM unnest(%s::bigint[], %s::text[]) AS t(customer_id, key)
    JOIN metering_idempotencykey k ON k.customer_id = t.customer_id AND k.key = t.key"""
FIND_UNIQUES: Final = """
    SELECT t.n FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[],
                           %s::text[], %s::text[])
        WITH ORDINALITY AS t(customer_id, payer_id, meter_id, scope_start, dimensions, value_hash, n)
    JOIN metering_uniquevalue u ON u.customer_id = t.customer_id AND u.billing_entity_id = t.payer_id
        AND u.meter_id = t.meter_id AND u.scope_start = t.scope_start AND u.dimensions = t.dimensions
        AND u.value_hash = decode(t.value_hash, 'hex')
    WHERE u.occurrences > 0"""
ADD_UNIQUES: Final = """
    INSERT INTO metering_uniquevalue AS u
        (customer_id, billing_entity_id, meter_id, scope_start, dimensions, value_hash, occurrences)
    SELECT c, b, m, s, d, decode(v, 'hex'), n
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::text[],
                %s::text[], %s::bigint[])
        AS t(c, b, m, s, d, v, n)
    ON CONFLICT (customer_id, billing_entity_id, meter_id, scope_start, dimensions, value_hash) DO UPDATE
    SET occurrences = u.occurrences + EXCLUDED.occurrences"""
ADD_BUCKETS: Final = """
    INSERT INTO metering_usagebucket AS b
        (customer_id, billing_entity_id, meter_id, hour, workspace_id, dimensions, quantity, events)
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[],
                         %s::text[], %s::numeric[], %s::bigint[])
    ON CONFLICT (customer_id, billing_entity_id, meter_id, hour, workspace_id, dimensions) DO UPDATE
    SET events = b.events + EXCLUDED.events, quantity = """
MERGE: Final = {
    "max": "greatest(b.quantity, EXCLUDED.quantity)",
    "min": "least(b.quantity, EXCLUDED.quantity)",
    "sum": "b.quantity + EXCLUDED.quantity",
}


_MERGE_BUCKETS: Final = {merge: ADD_BUCKETS + how for merge, how in MERGE.items()}


class UniqueKey(NamedTuple):
    """A value of a `unique` meter in its scope; `value_hash` in hex."""

    customer_id: int
    payer_id: int
    meter_id: int
    scope_start: str
    dimensions: str
    value_hash: str


class BucketKey(Struct, frozen=True):
    """One row of the hourly buckets; `hour` as ISO text."""

    customer_id: int
    payer_id: int
    meter_id: int
    hour: str
    workspace_id: int
    dimensions: str


def find_keys(raw: Session, keys: Sequence[tuple[int, str]]) -> Answer:
    """Of (customer, key), those that have counted: (customer, key, payload hash, event, recorded_at)."""
    return execute(raw, FIND_KEYS, key_arrays(keys, "nt"))


def find_uniques(raw: Session, keys: Sequence[UniqueKey]) -> Answer:
    """The 1-based positions of those keys that have occurred before."""
    return execute(raw, FIND_UNIQUES, key_arrays(keys, "nnnttt"))


def read_occurrences(raw: Session, keys: Sequence[UniqueKey]) -> dict[UniqueKey, int]:
    """How often each of the keys has occurred, where at all."""
    found = execute(raw, FIND_UNIQUES.replace("t.n", "t.n, u.occurrences", 1), key_arrays(keys, "nnnttt"))
    return {keys[position - 1]: occurrences for position, occurrences in found}


def add_uniques(raw: Session, occurrences: dict[UniqueKey, int]) -> None:
    """Count further occurrences."""
    if occurrences:
        execute(raw, ADD_UNIQUES, (*key_arrays(occurrences, "nnnttt"), number_array(occurrences.values())))


def add_buckets(raw: Session, merge: str, buckets: dict[BucketKey, list[Any]]) -> None:
    """Merge [quantity, events] into the hourly buckets; `merge` is a key of MERGE."""
    if not buckets:
        return
    columns = key_arrays(map(astuple, buckets), "nnntnt") + key_arrays(buckets.values(), "nn")
    execute(raw, _MERGE_BUCKETS[merge], columns)
