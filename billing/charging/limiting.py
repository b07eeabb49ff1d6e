"""Spend limits in the charge path: planned before the lock, locked after the wallets, counted in memory.

Two statements lock and read all limits and quotas of a batch, one writes what was counted, one more fires
the alerts; none of them when there is nothing to limit. See docs/algorithms/limits.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from billing.charging.entitling import Missing, Needs, plan_needs
from billing.charging.planning import Heard, Planned
from billing.charging.requests import Mode
from billing.charging.tallies import Bound, Tally, meet, take_in
from billing.limits import Limit, LimitBook, find_homes, limit_books
from billing.limits.windows import reached, slot_at, slot_leaves_at
from billing.models import Alert
from billing.store_limits import (
    FAR,
    AlertRow,
    CounterChange,
    CounterRange,
    add_limit_counters,
    fire_alerts,
    move_limit_counters,
    read_limit_counters,
    read_windows,
    send_limit_lock,
)
from core.numbers import CONTEXT, ZERO
from core.pipeline import Answer, Pipeline
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

    def as_denied(self) -> dict[str, Any]:
        """What it says in a refusal. What is more than the whole limit will never fit."""
        limit, tally = self.bound.limit, self.bound.tally
        resets_at: datetime | None = tally.range.until
        if resets_at == FAR:
            resets_at = None if tally.oldest is None else slot_leaves_at(tally.oldest, limit.hours)
        return {
            "level": limit.level,
            "level_id": limit.level_id,
            "limit": limit.amount,
            "used": tally.taken,
            "resets_at": resets_at,
            "retryable": self.amount <= limit.amount,
        }


@dataclass(slots=True)
class Limiting:
    """The limits and quotas of one batch. `is_empty`: no payer of it has any, so there is nothing to ask.

    `behind`: the counters of quotas that miss open holds. `is_first`: an account was opened for it, for which
    nobody who came meanwhile could wait. `windows`: what was asked of rows that are known, by their
    ids, and of rolling windows; `unmet`: of those that this process has not met.
    """

    now: datetime
    needs: Needs = field(default_factory=Needs)
    bounds: dict[int, list[Bound]] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)
    behind: set[str] = field(default_factory=set)
    is_empty: bool = True
    is_first: bool = False
    windows: tuple[dict[int, Tally], list[Tally], Answer] | None = None
    unmet: tuple[list[Tally], Answer] | None = None

    def send(self, pipe: Pipeline) -> None:
        """Lock the limits and ask what they and the quotas have used; the wallets are locked before."""
        if not self.tallies:
            return
        tallies = self.tallies.values()
        limits = [tally.limit for tally in tallies if tally.limit is not None]
        limit_ids = [limit.id for limit in limits if limit.is_locked or (self.is_first and limit.is_shared)]
        if limit_ids:
            send_limit_lock(pipe, limit_ids)
        known = {row: tally for tally in tallies if (row := tally.range.row) and not tally.range.is_resumed}
        rolling = [tally for tally in tallies if tally.range.is_rolling]
        if known or rolling:
            windows = ([tally.range for tally in known.values()], [tally.range for tally in rolling])
            self.windows = (known, rolling, read_windows(pipe, *windows, self.now))
        if len(known) + len(rolling) < len(tallies):
            met = {*known.values(), *rolling}
            unmet = [tally for tally in tallies if tally not in met]
            self.unmet = (unmet, read_limit_counters(pipe, [tally.range for tally in unmet], self.now))

    def receive(self) -> bool:
        """Take in what was read. False when a row that was known is gone: plan anew."""
        if self.unmet is not None:
            self.behind |= meet(*self.unmet)
        return self.windows is None or take_in(*self.windows)

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
                tally.held = add(tally.held, amount)

    def missing(self, item: Planned, quantity: Callable[[Heard], Decimal]) -> Missing | None:
        """The first entitlement that an item lacks; `quantity` = what it adds to a meter that hears it."""
        return self.needs.missing(item, quantity)

    def count_quotas(self, item: Planned, quantity: Callable[[Heard], Decimal], sign: int = 1) -> None:
        """Count an item's usage in its quotas; `sign` -1 takes it back."""
        self.needs.count(item, quantity, sign)

    def over(self, item: Planned, rated: RatedAmounts) -> Over | None:
        """The first hard limit that the item would pass, in the order of levels."""
        whole = rated.amount
        if whole <= 0:
            return None
        for bound in self.bounds.get(item.index, ()):
            limit = bound.limit
            if not limit.is_hard:
                continue
            amount = whole if limit.meter_key is None else _asked(limit, item, rated)
            if amount > 0 and add(bound.tally.taken, amount) > limit.amount:
                return Over(bound, amount)
        return None

    def count(self, item: Planned, rated: RatedAmounts) -> None:
        """Count an item that is booked, whatever it asked, and note the thresholds that it reaches."""
        bounds = self.bounds.get(item.index)
        if bounds is None:
            return
        whole, is_absorbed = rated.amount, False
        for line in rated.lines:
            is_absorbed = is_absorbed or "absorbed" in line
        for bound in bounds:
            limit, tally, starts_at = bound
            amount = whole if limit.meter_key is None else amount_for(limit, rated)
            if is_absorbed:
                amount = subtract(amount, absorbed_of(limit, rated))
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
            tally.held = add(tally.held, counted.get(tally.range.counter, ZERO))
        return [[counter, str(amount)] for counter, amount in counted.items()]

    def release(self, counted_in: Iterable[Sequence[str]], sign: int = 1) -> None:
        """Let a hold that is captured (`counted_in` is its own) count no more; `sign` -1: again after all.

        A trigger takes its rows away with the hold; this is for the items that follow in the batch.
        """
        if not self.tallies:
            return
        freed = {counter: Decimal(amount) for counter, amount in counted_in}
        for tally in self.tallies.values() if freed else ():
            amount = freed.get(tally.range.counter, ZERO)
            tally.held = subtract(tally.held, amount) if sign > 0 else add(tally.held, amount)

    def draw(self, counted_in: Iterable[Sequence[str]], amount: Decimal) -> None:
        """Let a lease hold so much less, for a call of its that is counted instead."""
        if self.tallies and amount:
            names = {counter for counter, _ in counted_in}
            for tally in self.tallies.values():
                if tally.range.counter in names:
                    tally.held = max(ZERO, subtract(tally.held, amount))

    def write(self, pipe: Pipeline) -> None:
        """Write what was counted and fire the alerts."""
        moved: list[tuple[str, str, Decimal]] = []
        added: list[CounterChange] = []
        for tally in self.tallies.values():
            range_ = tally.range
            for starts_at, used in tally.changes.items():
                has_fired = tally.alerted_in is not None and tally.alerted_in == starts_at
                if tally.place is not None and starts_at == range_.slot and not has_fired:
                    moved.append((tally.place, range_.texts[0], used))
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


def plan_limits(items: Sequence[Planned], versions: Mapping[int, int], now: datetime) -> Limiting:
    """The limits that the items of a batch count in, at these config versions of their customers."""
    limiting = Limiting(now, plan_needs(items))
    tallies = limiting.tallies
    for needs in limiting.needs.by_item.values():
        for need in needs:
            range_ = need.range
            if range_ is not None:
                need.tally = tallies.get(range_.key)
                if need.tally is None:
                    need.tally = tallies[range_.key] = Tally(range_)
                if range_.is_resumed:
                    need.tally.range = range_
    books = read_limits(items, versions)
    if books:
        for item in items:
            found = item.attribution
            if found.payer is None or found.problem is not None:
                continue
            if not item.lines and item.stored is None and item.request.hold is None:
                continue  # it costs nothing
            here = books.get(found.payer.customer_id)
            if here is not None:
                limiting.bounds[item.index] = _bounds(tallies, here, item, now)
    limiting.is_empty = not (limiting.bounds or limiting.needs.by_item)
    return limiting


def read_limits(items: Iterable[Planned], versions: Mapping[int, int]) -> dict[int, LimitBook]:
    """The books of the items' customers at these versions, with the organizations of their workspaces.

    They are kept where they are first read outside of a transaction: before that of the charge.
    """
    books = limit_books(versions)
    if books:
        _find_homes(items, books)
    return books


def _find_homes(items: Iterable[Planned], books: dict[int, LimitBook]) -> None:
    unknown: dict[int, set[int]] = {}
    for item in items:
        payer, workspace_id = item.attribution.payer, item.attribution.workspace_id
        book = books.get(payer.customer_id) if payer is not None else None
        if book is not None and workspace_id is not None and not book.knows(workspace_id):
            unknown.setdefault(book.customer_id, set()).add(workspace_id)
    for customer_id, workspace_ids in unknown.items():
        books[customer_id] = find_homes(books[customer_id], workspace_ids)


def _bounds(tallies: dict[str, Tally], book: LimitBook, item: Planned, now: datetime) -> list[Bound]:
    found, instant = item.attribution, item.request.event.occurred_at
    payer = found.payer
    assert payer is not None
    caller = (found.api_key_id, found.workspace_id, payer.id)
    period = item.segments[0].period if item.segments else None
    bounds = []
    is_report = item.request.mode is Mode.REPORT
    for limit, counted, slot in book.course(caller, payer.currency, instant, now, period).counted:
        if limit.meter_key is not None and not _may_be_of(limit, item):
            continue
        if is_report and limit.hours:
            slot = slot_at(_rolls_at(item, now), limit.hours)
            if slot < counted.since:
                continue  # it had left the window before it was told
        tally = tallies.get(counted.key)
        if tally is None:
            tally = tallies[counted.key] = Tally(counted, limit)
        bounds.append(Bound(limit, tally, slot))
    return bounds


def _rolls_at(item: Planned, now: datetime) -> datetime:
    """When what is not asked counts in a rolling window: when it happened; a stored call as it did then."""
    instant, stored = item.request.event.occurred_at, item.stored
    if stored is None:
        return min(instant, now)
    return stored.recorded_at if stored.was_asked else min(instant, stored.recorded_at)


def _may_be_of(limit: Limit, item: Planned) -> bool:
    """Whether an item's charge may have a line of the limit's meter: of a stored one prices may have changed,
    and of a hold that names its amount anything may come of the event, or of none."""
    if _names_amount(item):
        return item.request.event.event in ("", limit.meter_event)
    return item.stored is not None or any(line.meter.key == limit.meter_key for line in item.lines)


def _names_amount(item: Planned) -> bool:
    return item.request.hold is not None and item.request.hold.amount is not None


def _asked(limit: Limit, item: Planned, rated: RatedAmounts) -> Decimal:
    """What of an item a limit is asked for. An amount that was named may all become the meter's."""
    if limit.meter_key is None or _names_amount(item):
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


def absorbed_of(limit: Limit, rated: RatedAmounts) -> Decimal:
    """What of it the operator bears (of what falls: gets back): nobody has spent that."""
    amount = ZERO
    for line in rated.lines:
        if "absorbed" in line and limit.meter_key in (None, line["meter"]):
            amount = add(amount, Decimal(line["absorbed"]))
    return amount
