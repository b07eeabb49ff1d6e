"""The periods with a floor of a batch's payers: read under the lock when a call needs them, which few do.

What is kept of a period lies behind the running hour (`PeriodMargin`): a call of that hour moves nothing of
it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final

import psycopg
from django.db import transaction

from billing.hours import hour_start
from billing.ledger import PayerId
from billing.margin_floors.rule import DENY, Sums, is_below, leaves_too_little, pushes_below
from billing.models import MarginAlert
from billing.store import MarginKey
from billing.store_margins import (
    AlertRow,
    PeriodKey,
    PeriodRow,
    keep_periods,
    move_periods,
    read_periods,
    tell,
)
from core.numbers import plain
from core.sql import Session
from pricing.catalog.plans import MarginFloor

Kind = MarginAlert.Kind
BELOW, UNKNOWN = Kind.BELOW_FLOOR.value, Kind.UNKNOWN_COST.value
HOUR: Final = timedelta(hours=1)
LAG: Final = timedelta(hours=2)
"""How far what is kept may lie behind before somebody who looks keeps it on: he sums the hours since."""
KEPT_ON: Final = timedelta(hours=24)
"""How long a process that has kept a period on lets it be. Readers sum some hours more than these."""
ALWAYS: Final = "~"
"""Comes after every hour."""


@dataclass(slots=True, frozen=True)
class FloorAt:
    """A floor, the period in which it is looked at, and whose it is: a payer's own, or a subscription's."""

    floor: MarginFloor
    key: PeriodKey
    level: str
    level_id: str


@dataclass(slots=True)
class Remembered:
    """What a process knows to be committed of one payer's periods; a hint, which spares statements.

    `told`: (kind, period) that staff has been told of. `kept`: until when (UTC text) a period needs not be
    kept on.
    """

    told: set[tuple[str, PeriodKey]] = field(default_factory=set)
    kept: dict[PeriodKey, str] = field(default_factory=dict)

    def learn(self, told: Collection[tuple[str, PeriodKey]], kept: Mapping[PeriodKey, str]) -> None:
        """Take in what has been committed."""
        self.told.update(told)
        self.kept.update(kept)


@dataclass(slots=True)
class PayerPeriods:
    """One payer in a batch; its items share it.

    `keys` are the periods that calls may be looked at in; `behind` those to be kept on, or begun. `sums` are
    there once somebody has looked, and what the batch books is added to them. `told` is of this batch.
    """

    currency: str
    time_zone: str
    remembered: Remembered
    keys: set[PeriodKey] = field(default_factory=set)
    behind: set[PeriodKey] = field(default_factory=set)
    sums: dict[PeriodKey, Sums] = field(default_factory=dict)
    told: set[tuple[str, PeriodKey]] = field(default_factory=set)
    alerts: list[AlertRow] = field(default_factory=list)

    def plan(self, floors: Sequence[FloorAt], now: str) -> None:
        """Take in an item that may be looked at in the periods of these floors."""
        for at in floors:
            if at.key not in self.keys:
                self.keys.add(at.key)
                if self.remembered.kept.get(at.key, "") < now:
                    self.behind.add(at.key)

    def take(self, row: PeriodRow, now: datetime) -> None:
        """Take in what was read of a period."""
        self.sums[row.key] = Sums(row.events, row.costed, row.revenue, row.cost)
        self.told |= {(kind, row.key) for kind in told_in(row)}
        if is_behind(row, hour_start(now - HOUR - LAG, self.time_zone)):
            self.behind.add(row.key)

    def add(self, hour: str, change: Sequence[Any]) -> None:
        """Count a change of a margin bucket, as `add_margin` takes it, if somebody has looked."""
        for key, sums in self.sums.items():
            if key.starts_at <= hour < key.ends_at:
                sums.add(int(change[0]), int(change[1]), change[4], change[5])

    def alert(self, kind: str, at: FloorAt, sums: Sums, **detail: Any) -> None:
        """Tell staff, who has not been told of this in the period."""
        self.told.add((kind, at.key))
        self.alerts.append(alert_row(kind, at, sums, self.currency, **detail))


@dataclass(slots=True)
class FlooredPayers:
    """The payers of a batch that have a floor, or periods kept from an earlier one.

    `margins` are the batch's own changes of buckets, not written yet. `running`: the buckets of later hours
    than this are of no hour that is kept. `raw` and `locked` are there under the lock.
    """

    now: datetime
    payers: dict[PayerId, PayerPeriods] = field(default_factory=dict)
    planned_at: str = field(init=False)
    running: str = field(init=False)
    margins: Mapping[MarginKey, Sequence[Any]] = field(default_factory=dict)
    locked: Collection[PayerId] = ()
    raw: psycopg.Connection[Any] | None = None
    is_read: bool = False

    def __post_init__(self) -> None:
        self.planned_at, self.running = self.now.isoformat(), (self.now - HOUR).isoformat()

    def open(self, raw: psycopg.Connection[Any], locked: Collection[PayerId], *, is_stored: bool) -> None:
        """Under the lock: let it be read when somebody looks.

        `is_stored`: the events stood before, and whoever re-rates them may have taken `now` long ago.
        """
        self.raw, self.locked = raw, locked
        if is_stored:
            self.running = ALWAYS

    def mine(self) -> Iterator[PayerPeriods]:
        """Those that are locked."""
        return (each for place, each in self.payers.items() if place in self.locked)

    def read(self) -> None:
        """Read the periods of all payers at once, as the batch has moved them; once a batch."""
        if self.is_read:
            return
        assert self.raw is not None
        self.is_read = True
        for row in read_periods(self.raw, [key for each in self.mine() for key in each.keys]):
            self.payers[row.key.customer_id, row.key.payer_id].take(row, self.now)
        for key, change in self.margins.items():
            each = self.payers.get((key.customer_id, key.payer_id))
            if each is not None:
                each.add(key.hour, change)

    def write(self, raw: Session, margins: Mapping[MarginKey, Sequence[Any]]) -> None:
        """After the buckets: move what is kept of hours that are over, keep on what is behind, tell staff."""
        late = {
            key: change
            for key, change in margins.items()
            if key.hour <= self.running and (key.customer_id, key.payer_id) in self.payers
        }
        move_periods(raw, late)
        mine = list(self.mine())
        behind = [(key, each.time_zone) for each in mine for key in each.behind]
        keep_periods(raw, [(key, kept_before(self.now, zone)) for key, zone in behind])
        tell(raw, [row for each in mine for row in each.alerts], self.now)
        later = (self.now + KEPT_ON).isoformat()
        for each in mine:
            if each.behind or not each.told <= each.remembered.told:
                learn = partial(each.remembered.learn, each.told, dict.fromkeys(each.behind, later))
                transaction.on_commit(learn)


@dataclass(slots=True)
class ItemFloors:
    """The floors that one call falls under; none where its payer has one that does not hold for it.

    Most calls leave what their floor asks by themselves: of these nobody reads what the period came to.
    """

    batch: FlooredPayers
    periods: PayerPeriods
    floors: tuple[FloorAt, ...] = ()

    def beyond(self, amount: Decimal, cost: Decimal | None) -> FloorAt | None:
        """The first floor with `deny` below which a call would push its period; unknown cost never does."""
        if cost is None:
            return None
        for at in self.floors:
            before = partial(self._before, at)
            if at.floor.action == DENY and pushes_below(at.floor, before, amount, cost):
                return at
        return None

    def look(self, amount: Decimal, cost: Decimal | None, call: str, *, is_convertible: bool = True) -> None:
        """Tell staff of a call (its key) that pushes a period below its floor, or of whose cost nobody knows.

        `is_convertible`: False when the cost is known in a currency from which no exchange rate leads on.
        """
        for at in self.floors:
            if cost is None:
                if not self._is_told(UNKNOWN, at):
                    why = "no_cost" if is_convertible else "no_exchange_rate"
                    self.periods.alert(UNKNOWN, at, self._before(at), call=call, why=why)
            elif leaves_too_little(at.floor, amount, cost) and not self._is_told(BELOW, at):
                after = self._before(at).plus(amount, cost)
                if is_below(at.floor, after):
                    self.periods.alert(BELOW, at, after, call=call)

    def _before(self, at: FloorAt) -> Sums:
        self.batch.read()
        return self.periods.sums[at.key]

    def _is_told(self, kind: str, at: FloorAt) -> bool:
        """Whether staff has been told already; looks only where the process does not know."""
        mark = (kind, at.key)
        if mark in self.periods.remembered.told:
            return True
        self.batch.read()
        return mark in self.periods.told


def kept_before(now: datetime, time_zone: str) -> str:
    """Before which hour (UTC text) a period may be kept at `now`: one less than the payer's running one.

    So a process whose clock is an hour behind, or that waited so long for the lock, still books its running
    hour into none that is kept.
    """
    return hour_start(now - HOUR, time_zone)


def is_behind(row: PeriodRow, until: str) -> bool:
    """Whether a period is not kept at all, or not for all of its hours before `until`."""
    return row.kept_until is None or row.kept_until < min(until, row.key.ends_at)


def told_in(row: PeriodRow) -> list[str]:
    """The kinds that staff has been told of in a period."""
    return [kind for kind, is_told in ((BELOW, row.told_below), (UNKNOWN, row.told_unknown)) if is_told]


def alert_row(kind: str, at: FloorAt, sums: Sums, currency: str, **detail: Any) -> AlertRow:
    """What staff is told: once for each kind and period of a payer."""
    key, floor = at.key, at.floor
    facts = {"level": at.level, "level_id": at.level_id, "action": floor.action} | detail
    facts["min_volume"] = plain(floor.min_volume)
    return AlertRow(
        key=f"{kind}:{key.payer_id}:{key.starts_at}:{key.ends_at}",
        kind=kind,
        customer_id=key.customer_id,
        payer_id=key.payer_id,
        subject="",
        starts_at=key.starts_at,
        ends_at=key.ends_at,
        currency=currency,
        revenue=sums.revenue,
        cost=sums.cost,
        events=sums.events,
        costed=sums.costed,
        bound=floor.min_margin,
        detail=json.dumps(facts),
    )
