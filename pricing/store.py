"""SQL of the counters: read and written under the payer's lock, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec.structs import astuple

from core.pipeline import Answer
from core.sql import Session, execute, key_arrays
from pricing.rating.state import State

READ: Final = """
    SELECT t.n, c.quantity, c.transactions, c.volume, c.amount
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[])
        WITH ORDINALITY AS t(customer_id, segment_id, component_id, d, n)
    JOIN pricing_counter c ON c.customer_id = t.customer_id AND c.segment_id = t.segment_id
        AND c.component_id = t.component_id AND c.dimensions = t.d"""
WRITE: Final = """
    INSERT INTO pricing_counter
        (customer_id, segment_id, component_id, dimensions, quantity, transactions, volume, amount)
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[],
                         %s::numeric[], %s::bigint[], %s::numeric[], %s::numeric[])
    ON CONFLICT (customer_id, segment_id, component_id, dimensions) DO UPDATE
    SET quantity = EXCLUDED.quantity, transactions = EXCLUDED.transactions, volume = EXCLUDED.volume,
        amount = EXCLUDED.amount"""


class CounterKey(NamedTuple):
    """One counter: a component's group (or `*`, its total) in a segment."""

    customer_id: int
    segment_id: int
    component_id: int
    dimensions: str


def read_counters(raw: Session, keys: Sequence[CounterKey]) -> Answer:
    """The counters that exist: the 1-based position of the key, then the state's four columns."""
    return execute(raw, READ, key_arrays(keys, "nnnt"))


def write_counters(raw: Session, states: dict[CounterKey, State]) -> None:
    """Set the counters to these states."""
    if not states:
        return
    columns = key_arrays(states, "nnnt") + key_arrays(map(astuple, states.values()), "nnnn")
    execute(raw, WRITE, columns)
