"""Verbs that put money into a payer's wallet or correct it: top-ups, credit grants, adjustments.

Each is one transaction: lock the payer's wallet row, change its book, write it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from django.db import transaction

from accounts.models import BillingEntity
from accounts.payers import refuse_closed
from billing.book import PayerBook, grant_from_row, read_grants, transfers_of, write_books
from billing.funding import Funds, Grant, burn
from billing.ledger import (
    ADJUSTMENTS,
    RECEIVABLE,
    PayerId,
    Transfer,
    open_missing,
    read_owed,
    send_lock,
)
from billing.low_balance import tell_low_balances
from billing.models import Adjustment, CreditGrant, TopUp
from billing.standing import read_standing
from core import clock
from core.errors import InvalidRequest
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from core.partitions import ensure_month
from core.pipeline import Pipeline
from core.sql import copy_many, driver, insert_few


@contextmanager
def open_book(entity: BillingEntity, now: datetime) -> Iterator[PayerBook]:
    """Lock a payer, settle what fell due, give its book, and write it at the end."""
    with open_books([entity], now) as books:
        yield books[entity.pk]


@contextmanager
def open_books(entities: Iterable[BillingEntity], now: datetime) -> Iterator[dict[int, PayerBook]]:
    """The same for many payers at once, by id; the number of statements is that of one."""
    ensure_month(now)
    with transaction.atomic():
        raw = driver()
        payers = sorted({(entity.customer_id, entity.pk) for entity in entities})
        locked, receivables, grants = _lock_and_read(raw, payers, now)
        if open_missing(raw, payers, locked):
            locked, receivables, grants = _lock_and_read(raw, payers, now)
        # As they are now: the caller's may have grown old.
        rows = BillingEntity.objects.in_bulk([pk for _, pk in payers])
        books = settled_books(raw, rows, locked, receivables, grants, now)
        yield books
        few = copy_many(raw, [transfers_of(books.values())])
        with Pipeline(raw) as pipeline:
            insert_few(pipeline, few)
            write_books(pipeline, books.values())
            tell_low_balances(pipeline, books.values(), now, reminds=True)


def settled_books(
    raw: psycopg.Connection[Any],
    entities: Mapping[int, BillingEntity],
    wallets: Sequence[Sequence[Any]],
    receivables: Iterable[Sequence[Any]],
    grants: Sequence[Sequence[Any]],
    now: datetime,
) -> dict[int, PayerBook]:
    """The payers' books, by id, with all settled in them that was due by `now`; nothing is written.

    `wallets` are rows of `send_lock`, or such rows that are only read, `grants` those of `read_grants`.
    """
    owed = {row[1]: row[2].copy_negate() for row in receivables}
    books = {
        row[1]: _book_of(entities[row[1]], owed.get(row[1], ZERO), balance=row[2], held=row[3], seq=row[4])
        for row in wallets
    }
    pending: dict[int, list[Grant]] = {pk: [] for pk in books}
    for row in grants:
        (books[row[1]].funds.grants if row[9] else pending[row[1]]).append(grant_from_row(row))
    for book in books.values():
        book.funds.grants.sort(key=Grant.burn_order)
    standing = read_standing(raw, None, [], wallets, grants, now)
    standing.settle({book.payer: book for book in books.values()}, now)
    for pk, book in books.items():
        book.left_before = book.left
        book.settle_due(pending[pk], now)
    return books


def _lock_and_read(
    raw: psycopg.Connection[Any], payers: Sequence[PayerId], now: datetime
) -> tuple[list[Any], list[Any], list[Any]]:
    """The rows of wallets, locked, and after that those of receivables and open grants; one round trip."""
    with Pipeline(raw) as pipeline:
        locked, owed = send_lock(pipeline, payers), read_owed(pipeline, payers)
        grants = read_grants(pipeline, payers, now)
    return locked.rows, owed.rows, grants.rows


def _book_of(entity: BillingEntity, owed: Decimal, *, balance: Decimal, held: Decimal, seq: int) -> PayerBook:
    funds = Funds(
        settlement=entity.settlement,
        overdraft=entity.overdraft,
        credit_limit=entity.credit_limit,
        wallet=balance,
        held=held,
        owed=owed,
    )
    return PayerBook((entity.customer_id, entity.pk), funds, seq, seq, low_balance=entity.low_balance)


def grant_credit(
    entity: BillingEntity,
    amount: Decimal,
    *,
    kind: str = CreditGrant.Kind.PROMOTIONAL,
    name: str = "",
    priority: int = 50,
    components: Sequence[str] = (),
    cost_basis: Decimal | None = None,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> CreditGrant:
    """Give a payer a block of credit (`amount` > 0 in its currency), effective now or later."""
    now = clock.now()
    refuse_closed(entity)
    _check_amount(amount)
    effective_at = effective_at or now
    if expires_at is not None and expires_at <= max(effective_at, now):
        raise InvalidRequest(
            "invalid_expiry", "expires_at must lie after effective_at and in the future.", "expires_at"
        )
    with open_book(entity, now) as book:
        return _add_grant(
            book,
            now,
            "grant",
            kind=kind,
            name=name,
            amount=amount,
            priority=priority,
            components=list(components),
            cost_basis=cost_basis,
            effective_at=effective_at,
            expires_at=expires_at,
        )


def top_up(
    entity: BillingEntity,
    amount: Decimal,
    *,
    price: Decimal | None = None,
    price_currency: str = "",
    reference: str = "",
    expires_at: datetime | None = None,
    by: str = "",
) -> TopUp:
    """Record value paid in (`amount` > 0 in the payer's currency): a paid grant, effective now.

    `price` is what was paid for it in money, where the wallet holds the operator's own credits.
    """
    now = clock.now()
    refuse_closed(entity)
    _check_amount(amount)
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("invalid_expiry", "expires_at must lie in the future.", "expires_at")
    with open_book(entity, now) as book:
        grant = _add_grant(
            book,
            now,
            "top_up",
            kind=CreditGrant.Kind.PAID,
            name=reference,
            amount=amount,
            priority=50,
            components=[],
            cost_basis=None if price is None else CONTEXT.divide(price, amount),
            effective_at=now,
            expires_at=expires_at,
        )
        return TopUp.objects.create(
            customer_id=entity.customer_id,
            billing_entity_id=entity.pk,
            seq=book.seq,
            amount=amount,
            price=price,
            price_currency=price_currency,
            grant_id=grant.pk,
            reference=reference,
            created_at=now,
            created_by=by,
        )


def adjust(entity: BillingEntity, amount: Decimal, *, reason: str, by: str = "") -> Adjustment:
    """Correct a wallet: positive puts value in (as a promotional grant), negative takes it out.

    A negative adjustment burns grants in their order and may overdraw the wallet: staff decided it.
    """
    now = clock.now()
    refuse_closed(entity)
    _check_amount(abs(amount))
    with open_book(entity, now) as book:
        row = Adjustment(
            customer_id=entity.customer_id,
            billing_entity_id=entity.pk,
            amount=amount,
            reason=reason,
            created_at=now,
            created_by=by,
        )
        if amount > 0:
            _add_grant(
                book,
                now,
                "adjustment",
                kind=CreditGrant.Kind.PROMOTIONAL,
                name=reason[:200],
                amount=amount,
                priority=50,
                components=[],
                cost_basis=None,
                effective_at=now,
                expires_at=None,
            )
        else:
            _take_out(book, amount.copy_negate(), now)
        row.seq = book.seq
        row.save()
        return row


def lower_receivable(entity: BillingEntity, amount: Decimal, *, reason: str, by: str = "") -> Adjustment:
    """Take `amount` > 0 off what a payer owes; beyond that it is in credit with us."""
    now = clock.now()
    refuse_closed(entity)
    _check_amount(amount)
    with open_book(entity, now) as book:
        seq = book.next_seq()
        credit = Transfer(ADJUSTMENTS, RECEIVABLE, amount)
        book.post(seq, now.isoformat(), "adjustment", "", [credit])
        return Adjustment.objects.create(
            customer_id=entity.customer_id,
            billing_entity_id=entity.pk,
            seq=seq,
            amount=amount,
            reason=reason,
            created_at=now,
            created_by=by,
        )


def _add_grant(book: PayerBook, now: datetime, reason: str, **fields: Any) -> CreditGrant:
    customer_id, payer_id = book.payer
    row = CreditGrant.objects.create(
        customer_id=customer_id,
        billing_entity_id=payer_id,
        remaining=fields["amount"],
        created_at=now,
        **fields,
    )
    if row.effective_at <= now:
        grant = Grant(
            id=row.pk,
            is_promotional=row.kind == CreditGrant.Kind.PROMOTIONAL,
            priority=row.priority,
            effective_at=row.effective_at,
            expires_at=row.expires_at,
            components=frozenset(row.components),
            remaining=row.amount,
        )
        book.book_grant(grant, now, book.next_seq(), reason, public_id("grt", row.pk))
    return row


def _take_out(book: PayerBook, amount: Decimal, now: datetime) -> None:
    unscoped = [grant for grant in book.funds.grants if not grant.components]
    parts = burn(Funds("wallet_only", None, None, grants=unscoped), [("", amount)], now)
    book.pay(book.next_seq(), now.isoformat(), "adjustment", "", parts, ADJUSTMENTS)


def _check_amount(amount: Decimal) -> None:
    if amount <= 0:
        raise InvalidRequest("invalid_amount", "The amount must be more than 0.", "amount")
