"""A payer's book while its wallet row is locked: running numbers, transfers, balances, grants.

The verbs that move money read the book, change it in memory and write it once, set-based, before the
commit. Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from billing.funding import Funds, Grant, Part, apply_parts
from billing.holds import EXPIRED, Hold, HoldId
from billing.ledger import (
    BREAKAGE,
    CASH,
    PROMOTIONAL,
    REVENUE,
    TRANSFERS,
    WALLET,
    MovedAccount,
    Movement,
    PayerId,
    Transfer,
    apply_movements,
    transfer_row,
)
from billing.store_authorizations import write_holds
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from core.pipeline import Answer
from core.sql import HotTable, Row, Session, execute, number_array

# OFFSET 0 keeps the planner to one index lookup a payer: a join it may turn round, and read all open grants.
READ_GRANTS: Final = """
    SELECT g.*
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b), LATERAL (
        SELECT customer_id, billing_entity_id, id, kind, priority, effective_at, expires_at, components,
               remaining, booked_at IS NOT NULL
        FROM billing_creditgrant
        WHERE customer_id = t.c AND billing_entity_id = t.b AND is_open AND voided_at IS NULL
            AND (effective_at <= %s OR booked_at IS NOT NULL)
        OFFSET 0) AS g"""
WRITE_GRANTS: Final = """
    UPDATE billing_creditgrant AS g
    SET remaining = t.remaining, is_open = t.remaining > 0, covered = g.covered + t.covered,
        booked_at = COALESCE(g.booked_at, t.booked_at), expired_at = COALESCE(g.expired_at, t.expired_at)
    FROM unnest(%s::bigint[], %s::numeric[], %s::numeric[], %s::timestamptz[], %s::timestamptz[])
        AS t(id, remaining, covered, booked_at, expired_at)
    WHERE g.id = t.id"""
USAGE: Final = "usage"
add, subtract = CONTEXT.add, CONTEXT.subtract


@dataclass(slots=True)
class GrantChange:
    """What becomes of a grant's row at the write."""

    grant: Grant
    covered: Decimal = ZERO
    booked_at: datetime | None = None
    expired_at: datetime | None = None


@dataclass(slots=True)
class PayerBook:
    """One locked payer. `seq` is the last number allotted, `seq_read` the last one in the database.

    `low_balance`: the amounts that alert when what is left falls below them; `left_before`: what was left.
    `turnover`, `throughput`: by how much these grow (`LedgerAccount`).
    """

    payer: PayerId
    funds: Funds
    seq: int
    seq_read: int
    movements: dict[str, Movement] = field(default_factory=dict)
    transfers: list[Row] = field(default_factory=list)
    changed_grants: dict[int, GrantChange] = field(default_factory=dict)
    changed_holds: dict[HoldId, Hold] = field(default_factory=dict)
    has_reserved: bool = False
    low_balance: Sequence[Decimal] = ()
    left_before: Decimal = ZERO
    turnover: Decimal = ZERO
    throughput: Decimal = ZERO

    @property
    def left(self) -> Decimal:
        """What is in the wallet and not held."""
        return subtract(self.funds.wallet, self.funds.held)

    @property
    def has_changed(self) -> bool:
        """Whether there is something to write. A call that is refused may bring a quota up to date, too."""
        if self.seq != self.seq_read or self.has_reserved or self.changed_holds:
            return True
        return bool(self.turnover or self.throughput)

    def next_seq(self) -> int:
        """Allot the payer's next running number."""
        self.seq += 1
        return self.seq

    def post(
        self, seq: int, recorded_at: str, reason: str, reference: str, transfers: Iterable[Transfer]
    ) -> None:
        """Record the transfers of one ledger transaction and move the balances of their accounts."""
        for position, transfer in enumerate(transfers):
            self.transfers.append(
                transfer_row(self.payer, seq, position, recorded_at, reason, reference, transfer)
            )
            self._move(transfer.source, transfer.amount.copy_negate(), seq)  # a bare minus would round
            self._move(transfer.destination, transfer.amount, seq)

    def pay(
        self,
        seq: int,
        recorded_at: str,
        reason: str,
        reference: str,
        parts: Sequence[Part],
        destination: str = REVENUE,
    ) -> None:
        """Take the parts (or give back the negative ones) and book them against `destination`.

        What one grant or account pays of several lines is one transfer.
        """
        apply_parts(self.funds, parts)
        moved: dict[tuple[str, int | None, bool], Decimal] = {}
        for part in parts:
            if part.grant_id is not None:
                self._touch(part.grant_id)
            if part.amount:
                side = (part.account, part.grant_id, part.amount > 0)
                moved[side] = add(moved.get(side, ZERO), part.amount)
        transfers = [
            Transfer(account, destination, amount, grant_id)
            if is_paid
            else Transfer(destination, account, amount.copy_negate(), grant_id)
            for (account, grant_id, is_paid), amount in moved.items()
        ]
        self.post(seq, recorded_at, reason, reference, transfers)

    def burn(self, grant: Grant, amount: Decimal, seq: int, recorded_at: str, reference: str) -> None:
        """`pay` for the commonest case: usage that one open grant pays for as a whole."""
        funds = self.funds
        funds.wallet = subtract(funds.wallet, amount)
        grant.remaining = subtract(grant.remaining, amount)
        if grant.id not in self.changed_grants:
            self.changed_grants[grant.id] = GrantChange(grant)
        self.transfers.append(
            f"{self.payer[0]}\t{self.payer[1]}\t{seq}\t0\t{recorded_at}\t{USAGE}\t{reference}"
            f"\t{WALLET}\t{REVENUE}\t{amount!s}\t{grant.id}"
        )
        self._move(WALLET, amount.copy_negate(), seq)
        self._move(REVENUE, amount, seq)

    def book_grant(self, grant: Grant, at: datetime, seq: int, reason: str, reference: str) -> None:
        """Put a grant's value into the wallet; an overdraft that it meets takes its part at once."""
        source = PROMOTIONAL if grant.is_promotional else CASH
        transfers = [Transfer(source, WALLET, grant.remaining, grant.id)]
        self.take_in(grant, at, seq, reason, reference, transfers)

    def take_in(
        self,
        grant: Grant,
        at: datetime,
        seq: int,
        reason: str,
        reference: str,
        transfers: Sequence[Transfer],
    ) -> None:
        """The same, where its value comes from several accounts."""
        self.post(seq, at.isoformat(), reason, reference, transfers)
        covered = ZERO if grant.components else min(grant.remaining, self.funds.overdrawn)
        self.funds.wallet = add(self.funds.wallet, grant.remaining)
        grant.remaining = subtract(grant.remaining, covered)
        self.funds.grants.append(grant)
        self.funds.grants.sort(key=Grant.burn_order)
        self.changed_grants[grant.id] = GrantChange(grant, covered, booked_at=at)

    def bring_back(self, read: Grant) -> Grant:
        """A used-up grant in the book again, as this transaction has left it or else as it was read."""
        for grant in self.funds.grants:
            if grant.id == read.id:
                return grant
        change = self.changed_grants.get(read.id)
        grant = read if change is None else change.grant
        self.funds.grants.append(grant)
        self.funds.grants.sort(key=Grant.burn_order)
        return grant

    def uncover(self, grant: Grant, amount: Decimal) -> None:
        """Let a grant have again what an overdraft had taken of it."""
        change = self._touch(grant.id)
        change.covered = subtract(change.covered, amount)
        grant.remaining = add(grant.remaining, amount)

    def reserve(self, amount: Decimal) -> None:
        """Take `amount` >= 0 out of what may be spent, for a hold that is made."""
        self.funds.held = add(self.funds.held, amount)
        self.has_reserved = True

    def free(self, hold: Hold, amount: Decimal) -> None:
        """Let a hold reserve so much less."""
        hold.held = subtract(hold.held, amount)
        self.funds.held = subtract(self.funds.held, amount)
        for grant_id, counted_on in hold.reserved.items() if not hold.held else ():
            self.funds.count_on(grant_id, counted_on.copy_negate())
        self.changed_holds[hold.customer_id, hold.id] = hold

    def expire(self, holds: Iterable[Hold], now: datetime) -> None:
        """Free what holds reserve whose time was over by `now`: at the instant they name, not when found."""
        for hold in holds:
            if hold.is_open and hold.expires_at <= now:
                self.free(hold, hold.held)
                hold.settle(EXPIRED, hold.expires_at)

    def settle_due(self, pending: Iterable[Grant], at: datetime) -> None:
        """Book the grants that have become effective and expire those whose time is over.

        What open holds reserve does not expire before they end. Who became effective first fills what is
        overdrawn, whenever that is found.
        """
        for grant in sorted(pending, key=lambda grant: (grant.effective_at, grant.burn_order())):
            reference = public_id("grt", grant.id)
            self.book_grant(grant, at, self.next_seq(), "grant", reference)
        for grant in [grant for grant in self.funds.grants if grant.expires_at and grant.expires_at <= at]:
            lost = self.funds.free_of(grant)
            if lost > 0:
                self._expire(grant, lost, at)

    def _expire(self, grant: Grant, lost: Decimal, at: datetime) -> None:
        reference = public_id("grt", grant.id)
        transfer = Transfer(WALLET, BREAKAGE, lost, grant.id)
        self.post(self.next_seq(), at.isoformat(), "expiry", reference, [transfer])
        self.funds.wallet = subtract(self.funds.wallet, lost)
        grant.remaining = subtract(grant.remaining, lost)
        self._touch(grant.id).expired_at = at
        if not grant.remaining:
            self.funds.grants.remove(grant)

    def moved(self) -> Iterator[MovedAccount]:
        """What becomes of its accounts; the wallet's row always carries what is held and the last number."""
        customer_id, payer_id = self.payer
        wallet = self.movements.get(WALLET)
        balance, held = ZERO if wallet is None else wallet.balance, self.funds.held
        yield customer_id, payer_id, WALLET, balance, held, self.seq, self.turnover, self.throughput
        for kind, moved in self.movements.items():
            if kind != WALLET:
                yield customer_id, payer_id, kind, moved.balance, ZERO, moved.seq, ZERO, ZERO

    def _touch(self, grant_id: int) -> GrantChange:
        change = self.changed_grants.get(grant_id)
        if change is None:
            grant = next(grant for grant in self.funds.grants if grant.id == grant_id)
            change = self.changed_grants[grant_id] = GrantChange(grant)
        return change

    def _move(self, kind: str, amount: Decimal, seq: int) -> None:
        movement = self.movements.get(kind)
        if movement is None:
            self.movements[kind] = Movement(amount, seq)
        else:
            movement.balance = add(movement.balance, amount)
            movement.seq = seq


def transfers_of(books: Iterable[PayerBook]) -> tuple[HotTable, list[Row]]:
    """The transfers of the books, for `copy_many`."""
    return TRANSFERS, [row for book in books for row in book.transfers]


def write_books(raw: Session, books: Iterable[PayerBook]) -> None:
    """Write the accounts and grants that changed, by one statement each."""
    books = [book for book in books if book.has_changed]
    apply_movements(raw, [row for book in books for row in book.moved()])
    _write_grants(raw, [change for book in books for change in book.changed_grants.values()])
    write_holds(raw, [hold for book in books for hold in book.changed_holds.values()])


def read_grants(raw: Session, payers: Sequence[PayerId], now: datetime) -> Answer:
    """The payers' open grants: those in the wallet, and those that have become effective."""
    params = (number_array(p[0] for p in payers), number_array(p[1] for p in payers), now)
    return execute(raw, READ_GRANTS, params)


def _write_grants(raw: Session, changes: Sequence[GrantChange]) -> None:
    if not changes:
        return
    execute(
        raw,
        WRITE_GRANTS,
        (
            number_array(change.grant.id for change in changes),
            number_array(change.grant.remaining for change in changes),
            number_array(change.covered for change in changes),
            _instant_array(change.booked_at for change in changes),
            _instant_array(change.expired_at for change in changes),
        ),
    )


def _instant_array(instants: Iterable[datetime | None]) -> str:
    return "{" + ",".join("NULL" if at is None else f'"{at.isoformat()}"' for at in instants) + "}"


def grant_from_row(row: Sequence[Any]) -> Grant:
    """A row of `read_grants`."""
    return Grant(
        id=row[2],
        is_promotional=row[3] == "promotional",
        priority=row[4],
        effective_at=row[5],
        expires_at=row[6],
        components=frozenset(row[7]),
        remaining=row[8],
    )
