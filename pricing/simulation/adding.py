"""Events for tallies that need no more of them than their sum and their number: added up where they lie."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings

from core.sql import driver
from metering.store_reading import Sought, sum_events
from pricing.simulation.tallies import Tally

SUMMED: Final = ("count", "sum")
_Times = dict[tuple[datetime, datetime], list[Tally]]
_Key = tuple[int, int, str, str]


def can_add(tally: Tally) -> bool:
    """Whether a tally's events may be added up in the database: no filter, a flat property, plain sums."""
    meter = tally.component.meter.definition
    is_flat = "." not in (meter.property or "")
    return tally.adds_up and meter.aggregation in SUMMED and not meter.conditions and is_flat


@dataclass(slots=True)
class EventSums:
    """Collects the times for which sums are wanted, then reads them all by one statement."""

    _wanted: dict[_Key, _Times] = field(default_factory=dict)

    def want(self, customer_id: int, payer_id: int, tally: Tally, start: datetime, end: datetime) -> None:
        """Have `tally`, which `can_add`, take in what occurred in `[start, end)`."""
        meter = tally.component.meter.definition
        times = self._wanted.setdefault((customer_id, payer_id, meter.event, meter.property or ""), {})
        times.setdefault((start, end), []).append(tally)

    def read(self, left_out: Collection[UUID]) -> None:
        """Fill the tallies; events in `left_out` count for nothing."""
        sought = {
            Sought(*key, tuple(sorted({instant for time in times for instant in time}))): times
            for key, times in self._wanted.items()
        }
        if not sought:
            return
        # Nothing is recorded long before it occurred, so older partitions are not looked at.
        recorded_from = min(each.bounds[0] for each in sought) - settings.EVENT_AHEAD_MAX
        found = sum_events(driver(), list(sought), recorded_from=recorded_from, left_out=map(str, left_out))
        for each in found:
            at = each.sought.bounds[each.place]
            for (start, end), tallies in sought[each.sought].items():
                if start <= at < end:
                    for tally in tallies:
                        tally.add_total(each.total, each.number)
