"""Usage for tallies, of many payers at once: sums of buckets where those say it all, else stored events.

Three statements, however many payers and tallies there are: sums of buckets, sums of events where a price
needs no more of them, and a stream of events, in `seq` order, where each is priced by itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings

from core.errors import TooLarge
from core.sql import driver
from metering.aggregation import MeterDefinition
from metering.store_reading import StoredEvent, Stretch, read_events, sum_stretches
from metering.usage.windows import floor_hour
from pricing.rating.state import NO_DIMENSIONS, Usage
from pricing.simulation.adding import EventSums, can_add
from pricing.simulation.candidates import SimulatedMeter
from pricing.simulation.tallies import EPOCH, TICK, Tally

_HOUR: Final = timedelta(hours=1)


class PayerRow(NamedTuple):
    """What a simulation knows of a payer."""

    id: int
    customer_id: int
    currency: str
    zone: ZoneInfo


@dataclass(slots=True)
class _Hearing:
    """The tallies of one payer and meter that take events of the same time (microseconds since 1970).

    The `plain` ones take the same `usages`, which are handed on some at a time; each of the `others` is fed
    event by event.
    """

    start: int
    end: int
    plain: list[Tally] = field(default_factory=list)
    others: list[Tally] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)

    def hand_on(self) -> None:
        """Give the plain tallies what they have not taken yet."""
        if self.usages:
            for tally in self.plain:
                tally.add_usages(self.usages)
            self.usages.clear()


_Heard = dict[SimulatedMeter, dict[tuple[int, int], _Hearing]]


@dataclass(slots=True)
class UsageReader:
    """Collects what is wanted of payers that the caller may see, then reads it all.

    `left_out`: events that are to count for nothing (they were reversed). `events_max`: refuse to read more.
    """

    left_out: Collection[UUID] = ()
    events_max: int | None = None
    _sums: dict[Stretch, list[Tally]] = field(default_factory=dict)
    _added: EventSums = field(default_factory=EventSums)
    _heard: dict[int, dict[str, _Heard]] = field(default_factory=dict)
    _carrying: list[tuple[PayerRow, Tally]] = field(default_factory=list)
    _customers: set[int] = field(default_factory=set)

    def want(self, payer: PayerRow, tally: Tally) -> None:
        """Have `tally` filled with the payer's usage of its time."""
        self._customers.add(payer.customer_id)
        start, end = self._bucketed(payer, tally)
        if start < end:
            assert tally.component.meter.id is not None
            stretch = Stretch(payer.customer_id, payer.id, tally.component.meter.id, start, end)
            self._sums.setdefault(stretch, []).append(tally)
            self._listen(payer, tally, tally.start, start)
            self._listen(payer, tally, end, tally.end)
        else:
            self._listen(payer, tally, tally.start, tally.end)
        if tally.component.meter.definition.carry_over:
            self._carrying.append((payer, tally))

    def read(self) -> None:
        """Fill the tallies: sums first, then events, then what settles at the end. Raises TooLarge."""
        for found in sum_stretches(driver(), list(self._sums)):
            for tally in self._sums[found.stretch]:
                names = tally.component.meter.definition.group_by
                dimensions = dict(zip(names, json.loads(found.dimensions), strict=True))
                tally.add_sum(dimensions, found.highest if _takes_highest(tally) else found.total)
        self._added.read(self.left_out)
        self._carry_levels()
        self._read_events()
        for tally in self._settled():
            tally.settle()

    def _bucketed(self, payer: PayerRow, tally: Tally) -> tuple[datetime, datetime]:
        """The whole hours of a tally's time that buckets answer for; empty when it asks for events."""
        component, nothing = tally.component, (tally.start, tally.start)
        counted_since = component.meter.counted_since
        if not component.reads_buckets or counted_since is None:
            return nothing
        # What was recorded before a meter counted may have occurred a little after it began to.
        first = max(tally.start, counted_since + settings.EVENT_AHEAD_MAX)
        return _ceil_hour(first, payer.zone), _floor_hour(tally.end, payer.zone)

    def _listen(self, payer: PayerRow, tally: Tally, start: datetime, end: datetime) -> None:
        if start < end and can_add(tally):
            self._added.want(payer.customer_id, payer.id, tally, start, end)
        elif start < end:
            meter, time = tally.component.meter, (_ticks(start), _ticks(end))
            by_meter = self._heard.setdefault(payer.id, {}).setdefault(meter.definition.event, {})
            by_time = by_meter.setdefault(meter, {})
            if time not in by_time:
                by_time[time] = _Hearing(*time)
            (by_time[time].plain if tally.is_plain else by_time[time].others).append(tally)

    def _hearings(self) -> Iterator[_Hearing]:
        for by_event in self._heard.values():
            for by_meter in by_event.values():
                for by_time in by_meter.values():
                    yield from by_time.values()

    def _settled(self) -> list[Tally]:
        return [tally for each in self._hearings() for tally in each.others if not tally.component.is_live]

    def _read_events(self) -> None:
        hearings = list(self._hearings())
        if not hearings:
            return
        start, end = min(each.start for each in hearings), max(each.end for each in hearings)
        names = {name for by_event in self._heard.values() for name in by_event}
        left_out = {str(event_id) for event_id in self.left_out}
        for payer_id, events in self._stream(self._heard, names, _instant(start), _instant(end)):
            by_event = {
                name: [(meter.definition, list(by_time.values())) for meter, by_time in by_meter.items()]
                for name, by_meter in self._heard[payer_id].items()
            }
            for name, ticks, properties, cost, event_id in events:
                heard = by_event.get(name)
                if heard is not None and event_id not in left_out:
                    _feed(heard, ticks, properties, cost)
            for heard in by_event.values():
                for _, hearings in heard:
                    for hearing in hearings:
                        hearing.hand_on()

    def _carry_levels(self) -> None:
        """Let each group of a meter with `carry_over` begin at the sum of what came before."""
        if not self._carrying:
            return
        by_payer: defaultdict[int, list[Tally]] = defaultdict(list)
        for payer, tally in self._carrying:
            by_payer[payer.id].append(tally)
        names = {tally.component.meter.definition.event for _, tally in self._carrying}
        end = max(tally.start for _, tally in self._carrying)
        left_out = {str(event_id) for event_id in self.left_out}
        levels: defaultdict[tuple[int, Any], Decimal] = defaultdict(Decimal)
        for payer_id, events in self._stream(by_payer, names, None, end):
            for name, ticks, properties, _, event_id in events:
                for tally in by_payer[payer_id] if event_id not in left_out else ():
                    meter = tally.component.meter.definition
                    is_before = ticks < _ticks(tally.start)
                    if meter.event != name or not is_before or not meter.matches(properties):
                        continue
                    contribution = meter.contribution(properties)
                    if contribution is not None:
                        levels[id(tally), tally.group_of(properties)] += Decimal(contribution)
        for tallies in by_payer.values():
            for tally in tallies:
                for (owner, group), level in levels.items():
                    if owner == id(tally):
                        tally.carry(group, level)

    def _stream(
        self, payer_ids: Iterable[int], names: Iterable[str], start: datetime | None, end: datetime
    ) -> Iterator[tuple[int, list[StoredEvent]]]:
        """The events of payers by payer in `seq` order, some at a time; raises TooLarge."""
        count = 0
        # Nothing is recorded long before it occurred, so older partitions are not looked at.
        recorded_from = EPOCH if start is None else start - settings.EVENT_AHEAD_MAX
        for payer_id, events in read_events(
            driver(), self._customers, payer_ids, names, start=start, end=end, recorded_from=recorded_from
        ):
            count += len(events)
            if self.events_max is not None and count > self.events_max:
                says = f"This would read more than {self.events_max:,} events; a simulation may."
                raise TooLarge("too_many_events", says)
            yield payer_id, events


def _feed(
    heard: Sequence[tuple[MeterDefinition, Sequence[_Hearing]]],
    ticks: int,
    properties: Mapping[str, Any],
    cost: Decimal | None,
) -> None:
    """Give an event to the tallies whose meter takes something from it."""
    for meter, hearings in heard:
        if not meter.matches(properties):
            continue
        contribution = meter.contribution(properties)
        if contribution is None:
            continue
        for hearing in hearings:
            if hearing.start <= ticks < hearing.end:
                if hearing.plain:
                    hearing.usages.append(Usage(contribution, NO_DIMENSIONS, cost))  # type: ignore[arg-type]
                for tally in hearing.others:
                    tally.add_event(ticks, properties, contribution, cost)


def _takes_highest(tally: Tally) -> bool:
    return tally.component.rating.takes_maximum


_floor_hour = lru_cache(maxsize=10_000)(floor_hour)
"""Many payers' spans begin and end together."""


def _ceil_hour(instant: datetime, zone: ZoneInfo) -> datetime:
    floor = _floor_hour(instant, zone)
    return floor if floor == instant else floor + _HOUR


def _ticks(instant: datetime) -> int:
    return (instant - EPOCH) // TICK


def _instant(ticks: int) -> datetime:
    return EPOCH + ticks * TICK
