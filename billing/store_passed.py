"""SQL of calls that passed the gateway while nobody decided: their events, charges and overspend by payer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from core.sql import driver, execute

# Few events are of this source, and an index of their own finds them.
PASSED: Final = """
    SELECT e.customer_id, e.billing_entity_id, count(*), min(e.occurred_at), max(e.occurred_at),
           max(e.recorded_at), coalesce(sum(c.amount), 0), coalesce(sum(o.amount), 0)
    FROM metering_usageevent e
    LEFT JOIN billing_charge c
        ON c.customer_id = e.customer_id AND c.id = e.id AND c.recorded_at = e.recorded_at
    LEFT JOIN billing_overspend o
        ON o.customer_id = e.customer_id AND o.billing_entity_id = e.billing_entity_id AND o.seq = e.seq
    WHERE e.source = 'fail_open' AND e.recorded_at >= %s::timestamptz
    GROUP BY 1, 2 ORDER BY 8 DESC, 7 DESC, 1, 2"""


class PassedSum(NamedTuple):
    """A payer's calls: how many, when the first and last happened, when the last was settled, what they cost
    and what of it is below the payer's floor."""

    customer_id: int
    payer_id: int
    calls: int
    first_at: datetime
    last_at: datetime
    settled_at: datetime
    amount: Decimal
    overspent: Decimal


def passed_sums(since: datetime) -> list[PassedSum]:
    """The sums of calls that were recorded since, those with the largest overspend first."""
    return [PassedSum(*row) for row in execute(driver(), PASSED, (since,))]
