"""The periods with a floor that a batch touches: read under the lock, moved in memory, written once."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import psycopg

from billing.ledger import PayerId
from billing.margin_floors.rule import DENY, Sums, pushes_below
from billing.models import MarginAlert
from billing.store_margins import AlertRow, PeriodKey, open_periods, read_periods, tell, write_periods
from core.numbers import plain
from core.pipeline import Answer
from core.sql import Session
from pricing.catalog.plans import MarginFloor

Kind = MarginAlert.Kind
TOLD: Final = {Kind.BELOW_FLOOR.value: "told_below", Kind.UNKNOWN_COST.value: "told_unknown"}


@dataclass(slots=True, frozen=True)
class FloorAt:
    """A floor, the period in which it is looked at, and whose it is: a payer's own, or a subscription's."""

    floor: MarginFloor
    key: PeriodKey
    level: str
    level_id: str


@dataclass(slots=True)
class KeptPeriod:
    """One period as it was read, and as the batch has moved it."""

    sums: Sums = field(default_factory=Sums)
    told_below: bool = False
    told_unknown: bool = False
    is_moved: bool = False


@dataclass(slots=True)
class PayerPeriods:
    """What a batch knows of one payer's periods; its items share it.

    `keys` are those looked at; the hours that it moves lie from `first` to `last`.
    """

    payer: PayerId
    currency: str
    first: str
    last: str
    keys: set[PeriodKey] = field(default_factory=set)
    kept: dict[PeriodKey, KeptPeriod] = field(default_factory=dict)
    alerts: list[AlertRow] = field(default_factory=list)

    def plan(self, hour: str, floors: Sequence[FloorAt]) -> None:
        """Take in an item of this hour that is looked at in the periods of these floors."""
        first = last = hour
        for at in floors:
            self.keys.add(at.key)
            first, last = min(first, at.key.starts_at), max(last, at.key.starts_at)
        self.first, self.last = min(self.first, first), max(self.last, last)

    def add(self, hour: str, change: Sequence[Any]) -> None:
        """Count a change of a margin bucket, as `add_margin` takes it, in the periods of its hour."""
        for key, period in self.kept.items():
            if key.starts_at <= hour < key.ends_at:
                period.sums.add(int(change[0]), int(change[1]), change[4], change[5])
                period.is_moved = True

    def alert(self, kind: str, at: FloorAt, sums: Sums, **detail: Any) -> None:
        """Tell staff, unless it has been told of this in the period already."""
        period = self.kept[at.key]
        if getattr(period, TOLD[kind]):
            return
        setattr(period, TOLD[kind], True)
        period.is_moved = True
        self.alerts.append(alert_row(kind, at, sums, self.currency, **detail))


@dataclass(slots=True)
class ItemFloors:
    """The floors that one call falls under; none where its payer has one that does not hold for it."""

    periods: PayerPeriods
    floors: tuple[FloorAt, ...] = ()

    def beyond(self, amount: Decimal, cost: Decimal | None) -> FloorAt | None:
        """The first floor with `deny` below which a call would push its period; unknown cost never does."""
        if cost is None:
            return None
        for at in self.floors:
            if at.floor.action == DENY and pushes_below(at.floor, self._before(at), amount, cost):
                return at
        return None

    def look(self, amount: Decimal, cost: Decimal | None, call: str, *, is_convertible: bool = True) -> None:
        """Tell staff of a call (its key) that pushes a period below its floor, or of whose cost nobody knows.

        `is_convertible`: False when the cost is known in a currency from which no exchange rate leads on.
        """
        for at in self.floors:
            before = self._before(at)
            if cost is None:
                why = "no_cost" if is_convertible else "no_exchange_rate"
                self.periods.alert(Kind.UNKNOWN_COST, at, before, call=call, why=why)
            elif pushes_below(at.floor, before, amount, cost):
                self.periods.alert(Kind.BELOW_FLOOR, at, before.plus(amount, cost), call=call)

    def _before(self, at: FloorAt) -> Sums:
        return self.periods.kept[at.key].sums


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


def send_read(raw: Session, payers: Collection[PayerPeriods]) -> Answer | None:
    """Ask for the periods of a batch; no statement when none of its payers has a floor."""
    hours = [(*each.payer, each.first, each.last) for each in payers]
    return read_periods(raw, hours) if hours else None


def take(
    raw: psycopg.Connection[Any],
    payers: Collection[PayerPeriods],
    answer: Answer | None,
    locked: Collection[PayerId],
) -> list[PayerPeriods]:
    """Take in what was read; of the payers that are locked, what is not kept yet is begun from the buckets.

    Gives the locked ones, whose periods the batch has to move.
    """
    mine = [each for each in payers if each.payer in locked]
    by_payer = {each.payer: each for each in mine}
    if answer is not None:
        _fill(by_payer, answer)
    missing = [key for each in mine for key in each.keys if key not in each.kept]
    if missing:
        _fill(by_payer, open_periods(raw, missing))
    return mine


def _fill(by_payer: Mapping[PayerId, PayerPeriods], rows: Iterable[Sequence[Any]]) -> None:
    for row in rows:
        each = by_payer.get((row[0], row[1]))
        if each is not None:
            key = PeriodKey(row[0], row[1], row[2].isoformat(), row[3].isoformat())
            each.kept[key] = KeptPeriod(Sums(*row[4:8]), *row[8:10])


def write(raw: Session, payers: Sequence[PayerPeriods], now: datetime) -> None:
    """Write the periods that a batch has moved, and tell staff; nothing for no payers."""
    moved = [
        (*key, sums.events, sums.costed, sums.revenue, sums.cost, period.told_below, period.told_unknown)
        for each in payers
        for key, period in each.kept.items()
        if period.is_moved
        for sums in (period.sums,)
    ]
    write_periods(raw, moved)
    tell(raw, [row for each in payers for row in each.alerts], now)
