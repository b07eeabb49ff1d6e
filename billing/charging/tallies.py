"""What the windows of limits and quotas have used: read under the lock, then kept up item by item."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.ledger import PayerId
from billing.limits import Limit
from billing.limits.catalogue import NEVER
from billing.store_limits import CounterRange
from core.numbers import CONTEXT, ZERO
from core.pipeline import Answer

add, subtract = CONTEXT.add, CONTEXT.subtract


class Tally:
    """What one window has used: read under the lock, then kept up item by item.

    `payer`: one whose calls count in it; the only one, unless the limit is locked. `held`: by open holds,
    whose calls may come in any window. `oldest`: the first slot of a rolling window that holds spend.
    `changes`: what to add, by row; `grown`: all that came, used or held. `next_step`: what is used when the
    next alert fires. `quota`: of a quota, what it is. What most never set is the class's.
    """

    used = ZERO
    held = ZERO
    alerted = 0
    alerted_in: datetime | None = None
    oldest: datetime | None = None
    grown = ZERO

    def __init__(
        self, range_: CounterRange, payer: PayerId, limit: Limit | None = None, quota: Decimal = NEVER
    ) -> None:
        self.range = range_
        self.payer = payer
        self.limit = limit
        self.quota = quota
        self.changes: dict[datetime, Decimal] = {}
        self.next_step = NEVER if limit is None else limit.first_step

    @property
    def taken(self) -> Decimal:
        """What is used or held."""
        return add(self.used, self.held) if self.held else self.used

    @property
    def bound(self) -> Decimal:
        """Below what it has to stay for nothing to happen: no refusal, and no alert."""
        if self.limit is None:
            return self.quota
        return min(self.next_step, self.limit.amount) if self.limit.is_hard else self.next_step

    @property
    def may_be_calm(self) -> bool:
        """Whether what was read holds on until more comes, and its row is there.

        What others count in a locked limit is not in the payer's turnover; an alert of a rolling window fires
        again when the slot in which it fired leaves; a quota that was resumed is counted anew.
        """
        limit, range_ = self.limit, self.range
        if limit is not None and (limit.is_locked or (range_.is_rolling and self.alerted)):
            return False
        return bool(range_.row) and not range_.is_resumed

    def take_in(self, used: Decimal, alerted: int) -> None:
        """What was read: what is used, and the highest threshold that has fired."""
        self.used, self.alerted = used, alerted
        if alerted and self.limit is not None:
            self.next_step = self.limit.next_step(alerted)

    def add(self, amount: Decimal, starts_at: datetime) -> None:
        """Count an amount in the row that begins at `starts_at`."""
        self.used = add(self.used, amount)
        known = self.changes.get(starts_at)
        self.changes[starts_at] = amount if known is None else add(known, amount)
        if amount > ZERO:
            self.grown = add(self.grown, amount)
        if self.range.is_rolling and amount and (self.oldest is None or starts_at < self.oldest):
            self.oldest = starts_at

    def hold(self, amount: Decimal) -> None:
        """Let a hold reserve an amount of it."""
        self.held = add(self.held, amount)
        self.grown = add(self.grown, amount)

    def release(self, amount: Decimal) -> None:
        """Let a hold reserve so much less of it."""
        self.held = subtract(self.held, amount)


class Bound(NamedTuple):
    """A limit that an item counts in: what its window has used, and the row in which the item counts."""

    limit: Limit
    tally: Tally
    starts_at: datetime


def take_in(known: Mapping[int, Tally], rolling: Sequence[Tally], rows: Answer) -> bool:
    """Take in what was read of windows (`read_windows`); False when one that was known is gone."""
    number, reserved = 0, {}
    for row, position, counter, used, alerted, oldest in rows:
        if position is not None:
            tally = rolling[position - 1]
            tally.range.row = row or 0
            tally.oldest = oldest
            if used is not None:
                tally.take_in(used, alerted)
        elif row is not None:
            tally = known[row]
            number += tally.range.counter == counter  # else another's, since the database was restored
            tally.take_in(used, alerted)
        else:
            reserved[counter] = used
    if number < len(known):
        for tally in known.values():
            tally.range.row = 0
        return False
    for tally in (*known.values(), *rolling) if reserved else ():
        tally.held = reserved.get(tally.range.counter, ZERO)
    return True


def meet(tallies: Sequence[Tally], rows: Answer, locked: Collection[PayerId]) -> set[str]:
    """Take in what was read of windows of one row that this process has not met, and keep the rows' ids.

    Gives the counters of quotas that miss open holds. Of payers who are not among the `locked` nothing is
    brought up to date: who has locked them does so, and it would be counted twice.
    """
    behind = set()
    for position, row, used, alerted, held, metered, misses_holds in rows:
        tally = tallies[position - 1]
        tally.held = held or ZERO
        if row is not None:
            tally.range.row = row
            tally.take_in(used, alerted)
        if tally.payer not in locked:
            continue
        if metered is not None and metered != tally.used:
            tally.add(subtract(metered, tally.used), tally.range.since)
        if misses_holds:
            behind.add(tally.range.counter)
    return behind
