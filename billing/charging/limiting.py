"""Spend limits in the charge path: planned before the lock, locked after the wallets, counted in memory.

Two statements lock and read all limits and quotas of a batch, one writes what was counted, one more fires
the alerts; none of them when there is nothing to limit. What is far from mattering is not read (`calm`).
See docs/algorithms/limits.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from billing.book import PayerBook
from billing.charging.calm import Quiet, reader_of, remember
from billing.charging.entitling import Missing, Needs
from billing.charging.planning import Heard, Planned
from billing.charging.tallies import Bound, Tally, meet, take_in
from billing.ledger import PayerId
from billing.limits import Limit
from billing.limits.catalogue import Course
from billing.limits.windows import reached, slot_leaves_at
from billing.models import Alert
from billing.store_limits import (
    FAR,
    AlertRow,
    CounterChange,
    CounterRange,
    Reader,
    add_limit_counters,
    fire_alerts,
    move_limit_counters,
    read_limit_counters,
    read_windows,
    send_limit_lock,
)
from core.numbers import CONTEXT, ZERO
from core.pipeline import Answer, Pipeline, is_beginning
from metering.catalogue import CompiledMeter

add, subtract = CONTEXT.add, CONTEXT.subtract
SPEND_LIMIT: Final = Alert.Kind.SPEND_LIMIT.value


class RatedAmounts(Protocol):
    """What limits need of a rated item."""

    @property
    def amount(self) -> Decimal:
        """What it costs."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines, as they are stored."""


class Over(NamedTuple):
    """A limit that an item would pass."""

    bound: Bound
    amount: Decimal
    now: datetime

    def as_denied(self) -> dict[str, Any]:
        """What it says in a refusal. What is more than the whole limit will never fit; nor will more than is
        left without holds of a window that is over, which its call is dated into."""
        limit, tally = self.bound.limit, self.bound.tally
        resets_at: datetime | None = tally.range.until
        if resets_at == FAR:
            resets_at = None if tally.oldest is None else slot_leaves_at(tally.oldest, limit.hours)
        is_over = tally.range.until <= self.now
        return {
            "level": limit.level,
            "level_id": limit.level_id,
            "limit": limit.amount,
            "used": tally.taken,
            "resets_at": resets_at,
            "retryable": (add(tally.used, self.amount) if is_over else self.amount) <= limit.amount,
        }


@dataclass(slots=True)
class Limiting:
    """The limits and quotas of one batch. `is_empty`: no payer of it has any, so there is nothing to ask.

    `bounds`, `tallies`: of the customers of whom everything is read, at these `versions` of their config;
    `courses` are what is kept of it. `quiet`: of the other items, where nothing has to be read; `quiets` are
    their payers'. `behind`: the counters of quotas that miss open holds. `is_first`: an account was opened
    for it, for which nobody who came meanwhile could wait. `windows`: what was asked of rows that are known,
    by their ids, and of rolling windows; `unmet`: of those that this process has not met. `reader`: who may
    keep what is read, for it cannot be undone.
    """

    now: datetime
    versions: Mapping[int, int] = field(default_factory=dict)
    needs: Needs = field(default_factory=Needs)
    bounds: dict[int, list[Bound]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    courses: dict[Course, PayerId] = field(default_factory=dict)
    quiet: dict[int, tuple[Quiet, Course | None]] = field(default_factory=dict)
    quiets: dict[PayerId, Quiet] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)
    behind: set[str] = field(default_factory=set)
    is_empty: bool = True
    is_first: bool = False
    windows: tuple[dict[int, Tally], list[Tally], Answer] | None = None
    unmet: tuple[list[Tally], Answer] | None = None
    reader: Reader | None = None

    def send(self, pipe: Pipeline) -> None:
        """Lock the limits and ask what they and the quotas have used; the wallets are locked before."""
        if not self.tallies:
            return
        self.reader = reader_of(pipe.connection) if is_beginning(pipe.connection) else None
        tallies = self.tallies.values()
        limits = [tally.limit for tally in tallies if tally.limit is not None]
        limit_ids = [limit.id for limit in limits if limit.is_locked or (self.is_first and limit.is_shared)]
        if limit_ids:
            send_limit_lock(pipe, limit_ids)
        rolling = [tally for tally in tallies if tally.range.is_rolling]
        whole = [tally for tally in tallies if not tally.range.is_rolling]
        known = {tally.range.row: tally for tally in whole if tally.range.row and not tally.range.is_resumed}
        if known or rolling:
            windows = ([tally.range for tally in known.values()], [tally.range for tally in rolling])
            self.windows = (known, rolling, read_windows(pipe, *windows, self.now))
        if len(known) < len(whole):
            met = {*known.values()}
            unmet = [tally for tally in whole if tally not in met]
            self.unmet = (unmet, read_limit_counters(pipe, [tally.range for tally in unmet], self.now))

    def receive(self, locked: Sequence[Sequence[Any]]) -> bool:
        """Take in what was read, and what the payers' rows (`send_lock`) say of what was not. False when it
        is not enough, or a row that was known is gone: plan anew."""
        if self.unmet is not None:
            self.behind |= meet(*self.unmet, {(row[0], row[1]) for row in locked})
        if self.windows is not None and not take_in(*self.windows):
            return False
        if not (self.quiets or self.reader):
            return True
        marks = {(row[0], row[1]): (row[5], row[6]) for row in locked}
        if self.reader is not None:
            self._remember(self.reader, marks)
        opened = [quiet.open(*marks[payer]) for payer, quiet in self.quiets.items() if payer in marks]
        return all(opened)

    def _remember(self, reader: Reader, marks: Mapping[PayerId, tuple[Decimal, Decimal]]) -> None:
        """Keep what was read of limits and quotas that are far from mattering. What was told too late for a
        rolling window did not read that."""
        for course, payer in self.courses.items():
            read = [tally for _, range_, _ in course.counted if (tally := self.tallies.get(range_.key))]
            if payer in marks and course.is_whole and len(read) == len(course.counted):
                remember(course, read, reader, self.versions[payer[0]], marks[payer][0])
        for tally in self.tallies.values():
            if tally.limit is None and tally.payer in marks:
                remember(tally.range, [tally], reader, self.versions[tally.payer[0]], marks[tally.payer][1])

    def quotas_behind(self) -> dict[str, tuple[CounterRange, CompiledMeter]]:
        """The quotas that miss open holds, by counter, with the meters that they bound."""
        return {
            need.range.counter: (need.range, need.heard.meter)
            for needs in (self.needs.by_item.values() if self.behind else ())
            for need in needs
            if need.range is not None and need.heard is not None and need.range.counter in self.behind
        }

    def hold_too(self, counter: str, amount: Decimal) -> None:
        """Let a hold that a quota missed count in it, in every window."""
        for tally in self.tallies.values():
            if tally.range.counter == counter:
                tally.hold(amount)

    def missing(self, item: Planned, quantity: Callable[[Heard], Decimal]) -> Missing | None:
        """The first entitlement that an item lacks; `quantity` = what it adds to a meter that hears it.

        A quota does not come back to a call that is dated into a reset that is over.
        """
        quiet = self.quiet.get(item.index)
        missing = self.needs.missing(item, quantity, None if quiet is None else quiet[0].bear_units)
        if missing is not None and missing.resets_at is not None and missing.resets_at <= self.now:
            return missing._replace(retryable=False)
        return missing

    def count_quotas(self, item: Planned, quantity: Callable[[Heard], Decimal], sign: int = 1) -> None:
        """Count an item's usage in its quotas; `sign` -1 takes it back."""
        quiet = self.quiet.get(item.index)
        self.needs.count(item, quantity, sign, None if quiet is None else quiet[0].use)

    def over(self, item: Planned, rated: RatedAmounts) -> Over | None:
        """The first hard limit that the item would pass, in the order of levels."""
        whole = rated.amount
        if whole <= ZERO:
            return None
        quiet = self.quiet.get(item.index)
        if quiet is not None:
            quiet[0].bear(quiet[1], whole)
            return None
        for bound in self.bounds.get(item.index, ()):
            limit = bound.limit
            if not limit.is_hard:
                continue
            amount = whole if limit.meter_key is None else _asked(limit, item, rated)
            if amount > 0 and add(bound.tally.taken, amount) > limit.amount:
                return Over(bound, amount, self.now)
        return None

    def count(self, item: Planned, rated: RatedAmounts) -> None:
        """Count an item that is booked, whatever it asked, and note the thresholds that it reaches."""
        quiet, bounds = self.quiet.get(item.index), self.bounds.get(item.index, ())
        whole, is_absorbed = rated.amount, False
        for line in rated.lines:
            is_absorbed = is_absorbed or "absorbed" in line
        if quiet is not None:
            quiet[0].spend(quiet[1], subtract(whole, absorbed_of(None, rated)) if is_absorbed else whole)
        for bound in bounds:
            limit, tally, starts_at = bound
            amount = whole if limit.meter_key is None else amount_for(limit, rated)
            if is_absorbed:
                amount = subtract(amount, absorbed_of(limit.meter_key, rated))
            if amount:
                tally.add(amount, starts_at)
                if tally.used >= tally.next_step:
                    self._note_reached(bound, item)

    def hold(
        self, item: Planned, rated: RatedAmounts, quantity: Callable[[Heard], Decimal]
    ) -> list[list[str]]:
        """Let an item that is held count as used while it is; gives the hold's `counted_in`."""
        counted: dict[str, Decimal] = {}
        for bound in self.bounds.get(item.index, ()):
            amount = _asked(bound.limit, item, rated)
            if amount > 0:
                counted[bound.limit.counter] = amount
        counted |= self.needs.hold(item, quantity)
        for tally in self.tallies.values() if counted else ():
            held = counted.get(tally.range.counter)
            if held is not None:
                tally.hold(held)
        return [[counter, str(amount)] for counter, amount in counted.items()]

    def release(self, counted_in: Iterable[Sequence[str]], sign: int = 1) -> None:
        """Let a hold that is captured (`counted_in` is its own) count no more; `sign` -1: again after all.

        A trigger takes its rows away with the hold; this is for the items that follow in the batch.
        """
        if not self.tallies:
            return
        freed = {counter: Decimal(amount) for counter, amount in counted_in}
        for tally in self.tallies.values() if freed else ():
            held = freed.get(tally.range.counter)
            if held is not None:
                tally.release(held) if sign > 0 else tally.hold(held)

    def draw(self, counted_in: Iterable[Sequence[str]], amount: Decimal) -> None:
        """Let a lease hold so much less, for a call of its that is counted instead."""
        if self.tallies and amount:
            names = {counter for counter, _ in counted_in}
            for tally in self.tallies.values():
                if tally.range.counter in names:
                    tally.held = max(ZERO, subtract(tally.held, amount))

    def grow(self, books: Mapping[PayerId, PayerBook]) -> None:
        """Let the payers' turnovers and throughputs grow by what came, at most, into one limit or quota."""
        for payer, quiet in self.quiets.items():
            if payer in books:
                books[payer].turnover, books[payer].throughput = quiet.turned, quiet.put
        for tally in self.tallies.values():
            book = books.get(tally.payer) if tally.grown else None
            if book is None or (tally.limit is not None and tally.limit.is_locked):
                continue
            if tally.limit is None:
                book.throughput = max(book.throughput, tally.grown)
            else:
                book.turnover = max(book.turnover, tally.grown)

    def write(self, pipe: Pipeline) -> None:
        """Write what was counted and fire the alerts."""
        moved = [(*row, used) for quiet in self.quiets.values() for row, used in quiet.changes.items()]
        added: list[CounterChange] = []
        for tally in self.tallies.values():
            range_ = tally.range
            for starts_at, used in tally.changes.items():
                has_fired = tally.alerted_in is not None and tally.alerted_in == starts_at
                if range_.row and starts_at == range_.slot and not has_fired:
                    moved.append((range_.row, range_.texts[1], used))
                else:
                    added.append(CounterChange(range_, starts_at, used, tally.alerted if has_fired else 0))
        if moved:
            move_limit_counters(pipe, moved)
        if added:
            add_limit_counters(pipe, added)
        fire_alerts(pipe, self.alerts, self.now)

    def _note_reached(self, bound: Bound, item: Planned) -> None:
        limit, tally, payer = bound.limit, bound.tally, item.attribution.payer
        assert payer is not None
        for threshold in reached(tally.used, limit.amount, limit.thresholds, tally.alerted):
            tally.alerted, tally.alerted_in = threshold, bound.starts_at
            amount = f"{limit.amount.normalize(CONTEXT):f}"
            self.alerts.append(
                AlertRow(
                    kind=SPEND_LIMIT,
                    key=f"{limit.counter}/{bound.starts_at.isoformat()}/{amount}/{threshold}",
                    customer_id=limit.customer_id,
                    payer_id=payer.id,
                    limit_id=limit.id,
                    level=limit.level,
                    level_id=limit.level_id,
                    threshold=Decimal(threshold),
                    used=tally.used,
                    bound=limit.amount,
                    currency=limit.currency,
                    starts_at=tally.range.since,
                    ends_at=None if tally.range.until == FAR else tally.range.until,
                )
            )
        tally.next_step = limit.next_step(tally.alerted)


def names_amount(item: Planned) -> bool:
    """Whether it is a hold of an amount that the caller named."""
    return item.request.hold is not None and item.request.hold.amount is not None


def _asked(limit: Limit, item: Planned, rated: RatedAmounts) -> Decimal:
    """What of an item a limit is asked for. An amount that was named may all become the meter's."""
    if limit.meter_key is None or names_amount(item):
        return rated.amount
    return amount_for(limit, rated)


def amount_for(limit: Limit, rated: RatedAmounts) -> Decimal:
    """What of a rated item counts in a limit: all of it, or the lines of the limit's meter."""
    if limit.meter_key is None:
        return rated.amount
    amount = ZERO
    for line in rated.lines:
        if line["meter"] == limit.meter_key:
            amount = add(amount, Decimal(line["amount"]))
    return amount


def absorbed_of(meter_key: str | None, rated: RatedAmounts) -> Decimal:
    """What of a rated item, or of its lines of a meter, the operator bears (of what falls: gets back): nobody
    has spent that."""
    amount = ZERO
    for line in rated.lines:
        if "absorbed" in line and meter_key in (None, line["meter"]):
            amount = add(amount, Decimal(line["absorbed"]))
    return amount
