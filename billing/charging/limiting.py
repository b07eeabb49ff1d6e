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

from accounts.directory import Payer
from billing.charging.entitling import Missing, Needs, plan_needs
from billing.charging.planning import Heard, Planned
from billing.charging.requests import Mode
from billing.limits import Limit, find_homes, limit_books
from billing.limits.windows import FAR, Window, reached, slot_at, slot_leaves_at
from billing.models import Alert
from billing.store_limits import (
    AlertRow,
    CounterChange,
    CounterRange,
    add_limit_counters,
    fire_alerts,
    read_limit_counters,
    send_limit_lock,
)
from core.numbers import CONTEXT, ZERO
from core.pipeline import Answer, Pipeline

add, subtract = CONTEXT.add, CONTEXT.subtract
SPEND_LIMIT: Final = Alert.Kind.SPEND_LIMIT.value
LOW_BALANCE: Final = Alert.Kind.LOW_BALANCE.value


class RatedAmounts(Protocol):
    """What limits need of a rated item."""

    amount: Decimal
    lines: list[dict[str, Any]]


@dataclass(slots=True, eq=False)
class Tally:
    """What one window has used: read under the lock, then kept up item by item.

    `held`: by open holds, whose calls may come in any window. `oldest`: the first slot of a rolling window
    that holds spend. `changes`: what to add, by row.
    """

    range: CounterRange
    limit: Limit | None = None
    used: Decimal = ZERO
    held: Decimal = ZERO
    alerted: int = 0
    oldest: datetime | None = None
    changes: dict[datetime, Decimal] = field(default_factory=dict)
    alerted_in: datetime | None = None

    @property
    def taken(self) -> Decimal:
        """What is used or held."""
        return add(self.used, self.held) if self.held else self.used

    def add(self, amount: Decimal, starts_at: datetime) -> None:
        """Count an amount in the row that begins at `starts_at`."""
        self.used = add(self.used, amount)
        self.changes[starts_at] = add(self.changes.get(starts_at, ZERO), amount)
        if amount and (self.oldest is None or starts_at < self.oldest):
            self.oldest = starts_at


class Bound(NamedTuple):
    """A limit that an item counts in: what its window has used, and the row in which the item counts."""

    limit: Limit
    tally: Tally
    starts_at: datetime


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
    """The limits and quotas of one batch. Empty where no payer of it has any."""

    now: datetime
    needs: Needs = field(default_factory=Needs)
    bounds: dict[int, list[Bound]] = field(default_factory=dict)
    tallies: dict[tuple[str, datetime], Tally] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)

    def send(self, pipe: Pipeline) -> Answer | None:
        """Lock the limits and read what they and the quotas have used; the wallets are locked before."""
        if not self.tallies:
            return None
        limit_ids = {tally.limit.id for tally in self.tallies.values() if tally.limit is not None}
        if limit_ids:
            send_limit_lock(pipe, limit_ids)
        return read_limit_counters(pipe, [tally.range for tally in self.tallies.values()], self.now)

    def receive(self, answer: Answer | None) -> None:
        """Take in what was read."""
        if answer is None:
            return
        tallies = list(self.tallies.values())
        for position, used, alerted, oldest, slots, in_buckets, held in answer:
            tally = tallies[position - 1]
            tally.held = held or ZERO
            if slots:
                tally.used, tally.alerted, tally.oldest = used, alerted, oldest
            elif in_buckets is not None:
                tally.add(in_buckets, tally.range.since)

    def missing(self, item: Planned, quantity: Callable[[Heard], Decimal]) -> Missing | None:
        """The first entitlement that an item lacks; `quantity` = what it adds to a meter that hears it."""
        if not self.needs.by_item:
            return None
        return self.needs.missing(item, quantity, lambda one: self.tallies[one.counter, one.since].taken)

    def count_quotas(self, item: Planned, quantity: Callable[[Heard], Decimal], sign: int = 1) -> None:
        """Count an item's usage in its quotas; `sign` -1 takes it back."""
        for need in self.needs.quotas(item) if self.needs.by_item else ():
            assert need.range is not None
            assert need.heard is not None
            asked = quantity(need.heard)
            if asked:
                tally = self.tallies[need.range.counter, need.range.since]
                tally.add(asked if sign > 0 else asked.copy_negate(), need.range.since)

    def over(self, item: Planned, rated: RatedAmounts) -> Over | None:
        """The first hard limit that the item would pass, in the order of levels."""
        if rated.amount <= 0:
            return None
        for bound in self.bounds.get(item.index, ()):
            limit = bound.limit
            if not limit.is_hard:
                continue
            amount = amount_for(limit, rated)
            if amount > 0 and add(bound.tally.taken, amount) > limit.amount:
                return Over(bound, amount)
        return None

    def count(self, item: Planned, rated: RatedAmounts) -> None:
        """Count an item that is booked, whatever it asked, and note the thresholds that it reaches."""
        for bound in self.bounds.get(item.index, ()):
            amount = amount_for(bound.limit, rated)
            if item.request.authorization is not None:
                amount = subtract(amount, absorbed_of(bound.limit, rated))
            if amount:
                bound.tally.add(amount, bound.starts_at)
                self._note_reached(bound, item)

    def hold(
        self, item: Planned, rated: RatedAmounts, quantity: Callable[[Heard], Decimal]
    ) -> list[list[str]]:
        """Let an item that is held count as used while it is; gives the hold's `counted_in`."""
        counted: dict[str, Decimal] = {}
        for bound in self.bounds.get(item.index, ()):
            amount = amount_for(bound.limit, rated)
            if amount > 0:
                counted[bound.limit.counter] = amount
        for need in self.needs.quotas(item) if self.needs.by_item else ():
            if need.range is not None and need.heard is not None and (asked := quantity(need.heard)) > 0:
                counted[need.range.counter] = asked
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

    def note_balance(self, payer: Payer, seq: int, before: Decimal, after: Decimal) -> None:
        """Note each balance that alerts and that the wallet has just fallen below."""
        for threshold in payer.low_balance:
            if before >= threshold > after:
                key = f"balance/{payer.public_id}/{threshold.normalize(CONTEXT):f}/{seq}"
                self.alerts.append(
                    AlertRow(
                        kind=LOW_BALANCE,
                        key=key,
                        customer_id=payer.customer_id,
                        payer_id=payer.id,
                        limit_id=0,
                        level="billing_entity",
                        level_id=payer.public_id,
                        threshold=threshold,
                        used=after,
                        bound=threshold,
                        currency=payer.currency,
                        starts_at=None,
                        ends_at=None,
                    )
                )

    def write(self, pipe: Pipeline) -> None:
        """Write what was counted and fire the alerts."""
        changes = [
            CounterChange(
                tally.range.customer_id,
                tally.range.counter,
                starts_at,
                used,
                tally.alerted if starts_at == tally.alerted_in else 0,
            )
            for tally in self.tallies.values()
            for starts_at, used in tally.changes.items()
        ]
        if changes:
            add_limit_counters(pipe, changes)
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


def plan_limits(items: Sequence[Planned], versions: Mapping[int, int], now: datetime) -> Limiting:
    """The limits that the items of a batch count in, at these config versions of their customers."""
    limiting = Limiting(now, plan_needs(items))
    for needs in limiting.needs.by_item.values():
        for need in needs:
            if need.range is not None:
                tally = Tally(need.range)
                limiting.tallies.setdefault((need.range.counter, need.range.since), tally)
    books = limit_books(versions)
    if not books:
        return limiting
    for customer_id, book in books.items():
        find_homes(book, _workspaces(items, customer_id))
    for item in items:
        found = item.attribution
        if found.payer is None or found.problem is not None:
            continue
        if not item.lines and item.stored is None and item.request.hold is None:
            continue  # it costs nothing
        here = books.get(found.payer.customer_id)
        if here is not None:
            limits = here.at(found.api_key_id, found.workspace_id, found.payer.id)
            limiting.bounds[item.index] = list(_bounds(limiting, limits, item))
    return limiting


def _workspaces(items: Iterable[Planned], customer_id: int) -> set[int]:
    return {
        item.attribution.workspace_id
        for item in items
        if item.attribution.workspace_id is not None
        and item.attribution.payer is not None
        and item.attribution.payer.customer_id == customer_id
    }


def _bounds(limiting: Limiting, limits: Iterable[Limit], item: Planned) -> Iterable[Bound]:
    payer, now = item.attribution.payer, limiting.now
    assert payer is not None
    period = item.segments[0].period if item.segments else None
    for limit in limits:
        if limit.currency != payer.currency:
            continue
        if limit.meter_key is not None and not _may_be_of(limit.meter_key, item):
            continue
        window = limit.window_at(item.request.event.occurred_at, now, period and Window(*period))
        starts_at = window.starts_at
        if window.ends_at == FAR:
            starts_at = slot_at(_spent_at(item, now), limit.hours)
            if starts_at < window.starts_at:
                continue  # it had left the window before it was told
        tally = limiting.tallies.get((limit.counter, window.starts_at))
        if tally is None:
            tally = Tally(CounterRange(limit.customer_id, limit.counter, *window), limit)
            limiting.tallies[limit.counter, window.starts_at] = tally
        yield Bound(limit, tally, starts_at)


def _may_be_of(meter_key: str, item: Planned) -> bool:
    """Whether an item's charge may have a line of the meter; of a stored one, prices may have changed."""
    return item.stored is not None or any(line.meter.key == meter_key for line in item.lines)


def _spent_at(item: Planned, now: datetime) -> datetime:
    """When an item counts in a rolling window: what asks, now; what is reported, when it happened."""
    return min(item.request.event.occurred_at, now) if item.request.mode is Mode.REPORT else now


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
    """What of it the operator bears, because a capture was capped: nobody has spent that."""
    amount = ZERO
    for line in rated.lines:
        if "absorbed" in line and limit.meter_key in (None, line["meter"]):
            amount = add(amount, Decimal(line["absorbed"]))
    return amount
