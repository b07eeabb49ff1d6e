"""Calls of a lease on the path: decided by who has the lease, reported here, and charged to what it reserves.

A lease is bounded by its amount, so what it reserves covers its calls while it is open and they cost no more
than the client reckoned. Beyond that, and after its time, usage is still recorded: overspend, if it comes to
that, has the cause `lease`.
"""

from __future__ import annotations

from billing.charging.deciding import RatedItem
from billing.charging.planning import Planned
from billing.charging.reading import Known
from core.numbers import ZERO


def draw(item: Planned, known: Known, rated: RatedItem) -> None:
    """Let the lease reserve so much less as a call of its costs. A call that another pays for is not its."""
    terms, payer = item.request.authorization, item.attribution.payer
    assert terms is not None
    assert payer is not None
    book = known.books[payer.customer_id, payer.id]
    lease = known.holds.get((terms.customer_id, terms.id))
    if lease is None or lease.payer != book.payer:
        return
    item.is_of_lease = True
    book.free(lease, min(lease.held, max(ZERO, rated.amount)))
    lease.draw(rated.amount)
