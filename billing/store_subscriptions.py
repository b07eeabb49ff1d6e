"""SQL of changes of subscriptions: whose usage they concern."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from core.sql import execute, number_array, text_array

USED_SINCE: Final = """
    SELECT t.n
    FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::timestamptz[], %s::uuid[])
        WITH ORDINALITY AS t(customer_id, payer_id, since, recorded_from, first_id, n)
    WHERE EXISTS (
        SELECT FROM metering_usageevent e
        WHERE e.customer_id = t.customer_id AND e.billing_entity_id = t.payer_id AND e.id >= t.first_id
            AND e.recorded_at >= t.recorded_from AND e.occurred_at >= t.since)"""


class UsageQuestion(NamedTuple):
    """Whether a payer has events that occurred at `since` or later.

    Nothing of them was recorded before `recorded_from`, nor has an id before `first_id`.
    """

    customer_id: int
    payer_id: int
    since: datetime
    recorded_from: datetime
    first_id: UUID


def used_since(raw: psycopg.Connection[Any], asked: Sequence[UsageQuestion]) -> list[bool]:
    """The answers, in order; one statement, none for no question."""
    if not asked:
        return []
    customers, payers, since, recorded_from, first_ids = zip(*asked, strict=True)
    instants = [text_array(at.isoformat() for at in column) for column in (since, recorded_from)]
    arrays = (number_array(customers), number_array(payers), *instants, text_array(map(str, first_ids)))
    found = {row[0] for row in execute(raw, USED_SINCE, arrays)}
    return [number in found for number in range(1, len(asked) + 1)]
