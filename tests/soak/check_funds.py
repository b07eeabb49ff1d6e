"""Balances at every `seq`, replayed from the transfers alone: no ask goes below a floor, and what reported
usage takes below it is written down as overspend, to the last decimal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Final

from tests.soak.books import Books, Moved
from tests.soak.check_answers import ASKED, key_of
from tests.soak.journal import Journal
from tests.soak.members import Payer, World

ZERO: Final = Decimal(0)
TAKES_IN: Final = ("top_up", "grant", "adjustment", "rollover")


@dataclass
class Purse:
    """A payer's money. `overdrawn`: how far the wallet is used beyond its grants; `covered`: what grants have
    taken over of that since; `owed` is the receivable."""

    wallet: Decimal = ZERO
    overdrawn: Decimal = ZERO
    covered: Decimal = ZERO
    owed: Decimal = ZERO

    def move(self, moved: Moved) -> None:
        """Follow one transfer."""
        for account, sign in ((moved.source, -1), (moved.destination, 1)):
            if account == "receivable":
                self.owed -= sign * moved.amount
            elif account == "wallet":
                self.wallet += sign * moved.amount
                self._follow(moved, sign * moved.amount)

    def _follow(self, moved: Moved, amount: Decimal) -> None:
        if moved.grant is None:
            self.overdrawn -= amount
        elif amount > 0 and moved.reason in TAKES_IN and not moved.is_limited:
            covers = min(amount, self.overdrawn)
            self.overdrawn -= covers
            self.covered += covers

    def settle(self) -> None:
        """At the end of a `seq`: what returned to an overdraft that grants had covered is theirs again."""
        back = min(-self.overdrawn, self.covered) if self.overdrawn < 0 else ZERO
        self.overdrawn += back
        self.covered -= back


@dataclass(frozen=True)
class Limits:
    """What an invoiced payer may owe: every amount that it was ever set to."""

    amounts: tuple[Decimal, ...]

    @property
    def most(self) -> Decimal:
        """The highest of them."""
        return max(self.amounts)

    def beyond(self, before: Decimal, after: Decimal) -> set[Decimal]:
        """How far a step of what is owed may have gone beyond: by each of the amounts."""
        return {max(ZERO, max(ZERO, after - one) - max(ZERO, before - one)) for one in self.amounts}


def check_funds(journal: Journal, books: Books, world: World) -> Iterator[str]:
    """Each sentence is a balance below its floor that nobody accounts for."""
    yield from _promised_twice(journal, world)
    asked = {key_of(act) for act in journal.of(*ASKED, done=True)}
    asks = {(one.payer, one.seq) for one in books.charges if one.is_first and one.key in asked}
    usage = {(one.payer, one.seq) for one in books.charges if one.counted > 0}
    for payer in world.payers.values():
        limits = Limits((payer.first or ZERO, *_credit_limits(journal, payer)))
        yield from _follow(books, payer, limits, asks, usage)
    for payer_row in world.strict_payers:
        for seq, stated in sorted((at[1], row) for at, row in books.overspend.items() if at[0] == payer_row):
            if (payer_row, seq) in asks:
                yield f"an ask of payer {payer_row} overspent at {seq}: {stated}"


def _promised_twice(journal: Journal, world: World) -> Iterator[str]:
    """Of a customer that only asks, no answer leaves less than nothing to be spent."""
    strict = {customer.name for customer in world.customers if customer.is_strict}
    for act in journal.of("charge", "authorize", done=True):
        is_asked = act.about["customer"] in strict and act.amount > 0
        if is_asked and Decimal(act.answer["balance"]["available"]) < 0:
            yield f"more was promised than there is: {act}"


def _credit_limits(journal: Journal, payer: Payer) -> Iterator[Decimal]:
    for act in journal.of("credit"):
        if act.about["payer"] == payer.id:
            yield Decimal(act.body["credit_limit"])


def _follow(
    books: Books,
    payer: Payer,
    limits: Limits,
    asks: set[tuple[int, int]],
    usage: set[tuple[int, int]],
) -> Iterator[str]:
    purse = Purse()
    for seq, group in groupby(books.transfers.get(payer.row, ()), key=lambda moved: moved.seq):
        moves, at = list(group), (payer.row, seq)
        wallet, overdrawn, owed = purse.wallet, purse.overdrawn, purse.owed
        for moved in moves:
            purse.move(moved)
        purse.settle()
        stated = books.overspend.get(at, (ZERO, ""))[0]
        if payer.is_prepaid:
            beyond = {max(ZERO, max(ZERO, purse.overdrawn) - max(ZERO, overdrawn))}
        else:
            beyond = limits.beyond(owed, purse.owed)
        if at in usage and stated not in beyond:
            yield f"payer {payer.id} went {beyond} below its floor at {seq}, and {stated} is stated: {moves}"
        if at not in usage and stated:
            yield f"payer {payer.id} has overspent {stated} at {seq}, where nothing was used"
        if at in asks and not stated and _is_below(payer, purse, limits, wallet, owed):
            yield f"an ask took {payer.id} below its floor at {seq}: {wallet} to {purse.wallet}, {purse.owed}"


def _is_below(payer: Payer, purse: Purse, limits: Limits, wallet: Decimal, owed: Decimal) -> bool:
    """Whether a step has taken what was not there."""
    if payer.is_prepaid:
        return purse.wallet < 0 and purse.wallet < wallet
    return purse.owed > limits.most and purse.owed > owed


def lowest(moves: Sequence[Moved]) -> Decimal:
    """The lowest balance that a payer's wallet ever had."""
    purse, least = Purse(), ZERO
    for moved in moves:
        purse.move(moved)
        least = min(least, purse.wallet)
    return least
