"""The cost of a call that becomes known after it was charged."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from accounts.models import BillingEntity
from billing.costs.known import known_costs
from billing.costs.moving import CostMoves
from billing.ledger import lock_accounts
from billing.models import CostEntry, Reversal
from core import clock
from core.errors import Conflict
from core.numbers import plain
from core.sql import driver
from metering.costing import load_exchange_table
from metering.event_values import CostPart
from metering.models import UsageEvent

LATER = CostEntry.Source.LATER


def correct_cost(
    event: UsageEvent, costs: Sequence[CostPart], *, reason: str = "", by: str = ""
) -> CostEntry:
    """Let `costs` be all that vendors take for a stored event, in place of what was known of it.

    Moves the margin of the hour and of the period in which it occurred, and its cost coverage; the event, its
    charge and its price stay. An empty list: known to cost nothing. A bill's share on it goes, for now the
    cost itself is known. One transaction under the payer's lock, or a part of the caller's. Raises Conflict
    `already_reversed` for an event that counts for nothing.
    """
    entity = BillingEntity.objects.get(pk=event.billing_entity_id)
    parts = [
        {
            "vendor": part.vendor,
            "amount": plain(part.amount),
            "currency": part.currency,
            "source": LATER.value,
        }
        for part in costs
    ]
    with transaction.atomic():
        lock_accounts(driver(), [(entity.customer_id, entity.pk)])
        if Reversal.objects.filter(
            customer_id=event.customer_id, event_id=event.id, cause=Reversal.Cause.EVENT
        ).exists():
            raise Conflict("already_reversed", "This event was reversed: it counts for nothing.", "id")
        moves = CostMoves(entity, load_exchange_table(), clock.now())
        before = known_costs([event])[event.id]
        entry = moves.move(event, before, parts, source=LATER, reason=reason, created_by=by)
        moves.write()
    return entry
