"""Void, extend and expire: what ends or prolongs a hold without usage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction

from accounts.models import BillingEntity
from accounts.payers import refuse_closed
from billing.book import PayerBook
from billing.funding import Funds
from billing.holds import EXPIRED, VOIDED, Hold, settled_error
from billing.models import Authorization
from billing.store_authorizations import hold_from_row, read_due, read_holds
from billing.store_limits import send_limit_lock
from billing.wallets import open_book, open_books
from core import clock
from core.sql import driver

PAYERS_AT_ONCE: Final = 100


@dataclass(slots=True)
class Settled:
    """A hold, and its payer's funds, as a verb has left them."""

    hold: Hold
    funds: Funds


def void(row: Authorization) -> Settled:
    """End an open hold: nothing was used. Again, it changes nothing.

    Raises Conflict `authorization_captured` or `authorization_expired`.
    """
    now = clock.now()
    with locked_hold(row, now) as (book, hold):
        if hold.status != VOIDED:
            _check_open(hold)
            book.free(hold, hold.held)
            hold.settle(VOIDED, now)
            book.settle_due((), now)
        return Settled(hold, book.funds)


def extend(row: Authorization, expires_in: timedelta) -> Settled:
    """Let an open hold last until `expires_in` from now; never shorter than it would.

    Raises Conflict `authorization_captured`, `authorization_voided` or `authorization_expired`, and
    PermissionDenied for a closed payer, whose subscriptions end with what it was promised before.
    """
    now = clock.now()
    with locked_hold(row, now) as (book, hold):
        _check_open(hold)
        refuse_closed(BillingEntity.objects.get(pk=row.billing_entity_id))
        _lock_limits(hold)
        _count_as_new(book, hold)
        hold.expires_at = max(hold.expires_at, now + expires_in)
        book.changed_holds[hold.customer_id, hold.id] = hold
        return Settled(hold, book.funds)


def expire_due(now: datetime) -> int:
    """Settle the holds whose time was over by `now`; gives the number of payers that had some.

    Nothing waits for this: whoever reads a payer's account does the same first.
    """
    payers = 0
    while True:
        with transaction.atomic():
            due = read_due(driver(), now, PAYERS_AT_ONCE)
            if not due:
                return payers
            with open_books(BillingEntity.objects.in_bulk([row[1] for row in due]).values(), now) as books:
                _expire_of_nothing(books.values(), now)
                payers += len(due)


def _expire_of_nothing(books: Iterable[PayerBook], now: datetime) -> None:
    """End what is over of payers with nothing held: with their books no holds were read."""
    rest = {book.payer: book for book in books if not book.changed_holds}
    for row in read_holds(driver(), [], sorted(rest), now) if rest else ():
        hold = hold_from_row(row)
        rest[hold.payer].expire([hold], now)


@contextmanager
def locked_hold(row: Authorization, now: datetime) -> Iterator[tuple[PayerBook, Hold]]:
    """The payer's book and the hold as it is now, under the payer's lock."""
    with open_book(BillingEntity.objects.get(pk=row.billing_entity_id), now) as book:
        key = (row.customer_id, row.id)
        hold = book.changed_holds.get(key)  # its time was over
        if hold is None:
            (found,) = read_holds(driver(), [key], [], now)
            hold = hold_from_row(found)
            book.expire([hold], now)  # of a payer with nothing held nobody asks what is over
        yield book, hold


def _lock_limits(hold: Hold) -> None:
    """Lock the limits that a hold counts in: a charge may have found it over and taken its room meanwhile,
    there or in a quota."""
    limits = [int(name[4:]) for name, _ in hold.counted_in if name.startswith("lim:")]
    if limits:
        send_limit_lock(driver(), limits)
    if hold.counted_in and hold.expires_at <= clock.now():
        hold.status = EXPIRED
        raise settled_error(hold)


def _count_as_new(book: PayerBook, hold: Hold) -> None:
    """Let the payer's sums grow as by a new hold: a process whose clock is ahead has found it over, and
    remembers the room that it left (docs/algorithms/limits.md, "Calm limits")."""
    for counter, amount in hold.counted_in:
        if counter.startswith("quota:"):
            book.throughput = max(book.throughput, Decimal(amount))
        else:
            book.turnover = max(book.turnover, Decimal(amount))


def _check_open(hold: Hold) -> None:
    if not hold.is_open:
        raise settled_error(hold)
