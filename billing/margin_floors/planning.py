"""Before the lock: which floors the calls of a batch fall under, from the process's copy.

A payer's own floor takes the place of those of its plan versions. Payers whose periods are kept from earlier
floors are planned too: a period that is kept must move with the buckets, floor or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from accounts.directory import Payer
from accounts.models import BillingEntity
from billing.hours import hour_start
from billing.margin_floors.sums import FloorAt, FlooredPayers, ItemFloors, PayerPeriods, Remembered
from billing.store_margins import PeriodKey, read_floors
from core.ids import public_id
from core.sql import driver, open_transaction, still_holds
from pricing.catalog.plans import MarginFloor
from pricing.pricelist import PayerPrices, SegmentPrices

PAYERS_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class PayerFloors:
    """What the process knows of a payer's floors at a config version, beside those of its segments' versions,
    which may be made later. `is_kept`: periods of earlier floors, or of those to come, have to move.
    `read_in`: the transaction that read it. `found`: by the first of the segments that cover an instant,
    these and their floors. `remembered`: what it learns of the payer's periods.
    """

    config_version: int
    own: MarginFloor | None
    is_kept: bool
    read_in: object | None = field(default_factory=open_transaction, repr=False, compare=False)
    found: dict[int, tuple[Sequence[SegmentPrices], tuple[FloorAt, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )
    remembered: Remembered = field(default_factory=Remembered, repr=False, compare=False)

    def is_at(self, config_version: int) -> bool:
        """Whether it may be used at that version."""
        return self.config_version == config_version and still_holds(self.read_in)

    def at(self, payer: Payer, segments: Sequence[SegmentPrices]) -> tuple[FloorAt, ...]:
        """`floors_at` of the payer, worked out once for the segments of a stretch."""
        first = segments[0].id if segments else 0
        known = self.found.get(first)
        if known is None or known[0] is not segments:
            known = self.found[first] = (segments, floors_at(payer, self.own, segments))
        return known[1]


_payers: dict[int, PayerFloors] = {}


def plan_floors(
    items: Sequence[Any], prices: Mapping[int, PayerPrices], now: datetime
) -> FlooredPayers | None:
    """Note on each planned item the floors that it falls under; None where no payer has ever had one.

    One statement for payers not seen yet.
    """
    payers = {item.attribution.payer.id: item.attribution.payer for item in items if _is_planned(item)}
    known = _known(payers, prices)
    floored = {pk for pk, floors in known.items() if floors.is_kept or prices[pk].has_margin_floor}
    if not floored:
        return None
    batch = FlooredPayers(now)
    for item in items:
        payer = item.attribution.payer
        if not _is_planned(item) or payer.id not in floored:
            continue
        own, place = known[payer.id], (payer.customer_id, payer.id)
        periods = batch.payers.get(place)
        if periods is None:
            periods = PayerPeriods(payer.currency, payer.time_zone, own.remembered)
            batch.payers[place] = periods
        floors = own.at(payer, item.segments)
        item.floors = ItemFloors(batch, periods, floors)
        periods.plan(floors, batch.planned_at)
    return batch


def floors_at(
    payer: Payer | BillingEntity, own: MarginFloor | None, segments: Sequence[SegmentPrices]
) -> tuple[FloorAt, ...]:
    """The floors in the segments that cover an instant, once a period: the payer's own, or theirs."""
    found: dict[PeriodKey, FloorAt] = {}
    for segment in segments:
        floor = own or segment.version.margin_floor
        if floor is None or segment.period is None:
            continue
        starts, ends = (hour_start(at, payer.time_zone) for at in segment.period)
        if starts >= ends:
            continue  # a period of less than an hour has no buckets of its own
        key = PeriodKey(payer.customer_id, payer.id, starts, ends)
        if own is not None:
            found.setdefault(key, FloorAt(floor, key, "billing_entity", payer.public_id))
        else:
            level_id = public_id("sub", segment.subscription_id)
            found.setdefault(key, FloorAt(floor, key, "subscription", level_id))
    return tuple(found.values())


def _is_planned(item: Any) -> bool:
    return item.attribution.payer is not None and item.attribution.problem is None


def _known(payers: Mapping[int, Payer], prices: Mapping[int, PayerPrices]) -> dict[int, PayerFloors]:
    if len(_payers) > PAYERS_MAX:
        _payers.clear()
    found, stale = {}, []
    for payer_id, payer in payers.items():
        floors = _payers.get(payer_id)
        if floors is not None and floors.is_at(prices[payer_id].config_version):
            found[payer_id] = floors
        else:
            stale.append(payer)
    return found | _load(stale, prices) if stale else found


def _load(payers: Sequence[Payer], prices: Mapping[int, PayerPrices]) -> dict[int, PayerFloors]:
    rows = read_floors(driver(), [(payer.customer_id, payer.id) for payer in payers])
    loaded = {}
    for payer_id, min_margin, min_volume, action, is_kept in rows:
        own = None if action is None else MarginFloor(min_margin, min_volume, action)
        loaded[payer_id] = PayerFloors(prices[payer_id].config_version, own, is_kept or own is not None)
    _payers.update(loaded)
    return loaded
