"""What simulations read of billing: costs by payer, and the events that were reversed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from billing.ledger import PayerId
from billing.store_simulations import reversed_ids, sum_costs
from core.sql import driver
from pricing.cycles import Period
from pricing.simulation import Cost, PayerRow


def costs_of(payers: Sequence[PayerRow], window: Period) -> Mapping[int, Cost]:
    """What vendors took for the payers' events in the hours of the window; one statement."""
    rows = sum_costs(driver(), _keys(payers), window.start, window.end)
    return {row.payer_id: Cost(row.cost, row.events, row.costed) for row in rows}


def reversed_events(payers: Sequence[PayerRow], window: Period) -> Collection[UUID]:
    """The payers' events that were reversed, so that they count for nothing; one statement.

    Those from before the window too: its first segments began there, and levels are carried in.
    """
    return reversed_ids(driver(), _keys(payers))


def _keys(payers: Sequence[PayerRow]) -> list[PayerId]:
    return [(payer.customer_id, payer.id) for payer in payers]
