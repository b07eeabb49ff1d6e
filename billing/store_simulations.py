"""SQL of what simulations read of billing, many payers at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from billing.ledger import PayerId
from core.sql import execute, key_arrays

# Summed payer by payer: their buckets are one range of the key, and nothing has to be sorted.
SUM_MARGINS: Final = """
    SELECT t.payer_id, s.*
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(customer_id, payer_id),
    LATERAL (
        SELECT sum(cost), sum(events)::bigint AS events, sum(costed)::bigint
        FROM billing_marginbucket
        WHERE customer_id = t.customer_id AND billing_entity_id = t.payer_id
            AND hour >= %s AND hour < %s) AS s
    WHERE s.events IS NOT NULL"""
REVERSED: Final = """
    SELECT r.event_id
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(customer_id, payer_id)
    JOIN billing_reversal r ON r.customer_id = t.customer_id AND r.billing_entity_id = t.payer_id
    WHERE r.cause = 'event'"""


class CostSum(NamedTuple):
    """What vendors took for a payer's `events`; of `costed` of them it is known."""

    payer_id: int
    cost: Decimal
    events: int
    costed: int


def sum_costs(
    raw: psycopg.Connection[Any], payers: Sequence[PayerId], start: datetime, end: datetime
) -> list[CostSum]:
    """The sums of the hours `[start, end)`, from buckets, of payers that have any; one statement."""
    rows = execute(raw, SUM_MARGINS, (*key_arrays(payers, "nn"), start, end))
    return [CostSum(*row) for row in rows]


def reversed_ids(raw: psycopg.Connection[Any], payers: Sequence[PayerId]) -> set[UUID]:
    """The events of payers that were reversed for good; one statement."""
    return {row[0] for row in execute(raw, REVERSED, key_arrays(payers, "nn"))}
