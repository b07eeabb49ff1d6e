"""Open holds follow what moves in a customer's tree: they count in the limits of where it stands then."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from billing.ledger import lock_accounts
from billing.store_moved_holds import place_holds, read_payers
from core import clock
from core.sql import driver


@contextmanager
def follow_holds(customer_ids: Collection[int]) -> Iterator[None]:
    """Stand around a move: nothing of these customers is held, captured or charged meanwhile.

    Locks all their payers before anything of the tree is locked, for that is the order of all others.
    """
    payers = read_payers(driver(), customer_ids)
    if payers:
        lock_accounts(driver(), payers)
    yield
    place_holds(driver(), customer_ids, clock.now())
