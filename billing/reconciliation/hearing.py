"""What the usage buckets of payers must hold, folded from their events in any order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from billing.hours import hour_start
from billing.reconciliation.finding import EVENTS, QUANTITY, Finding
from core.ids import public_id
from core.numbers import CONTEXT, ONE, ZERO
from metering.catalogue import CompiledMeter
from metering.store import BucketKey
from pricing.rating.groups import group_text

EXTREMES: Final = {"max": max, "min": min}
WITHOUT_BUCKETS: Final = frozenset({"latest", "weighted_sum"})
UNIQUE: Final = "unique"


class HeardEvent(NamedTuple):
    """What buckets need of an event. `heard_at`: when it was counted; None where no meter heard it."""

    customer_id: int
    payer_id: int
    workspace_id: int
    name: str
    occurred_at: datetime
    heard_at: datetime | None
    properties: dict[str, Any]


@dataclass(slots=True)
class Hearing:
    """The buckets as events make them. `frozen`: since when each meter counts, by its id.

    Quantities of `unique` meters depend on what came before, so only their events are counted here.
    """

    meters: Mapping[str, list[CompiledMeter]]
    frozen: Mapping[int, datetime]
    buckets: dict[BucketKey, list[Any]] = field(default_factory=dict)

    def take(self, event: HeardEvent, time_zone: str) -> None:
        """Count an event that stands."""
        for meter in self.meters.get(event.name, ()):
            frozen_at = self.frozen.get(meter.id)
            if event.heard_at is None or frozen_at is None or frozen_at > event.heard_at:
                continue
            if not meter.matches(event.properties):
                continue
            found = meter.contribution(event.properties)
            if found is None:
                continue
            place = BucketKey(
                event.customer_id,
                event.payer_id,
                meter.id,
                hour_start(event.occurred_at, time_zone),
                event.workspace_id,
                group_text(meter.group(event.properties)),
            )
            self._add(meter, place, ONE if isinstance(found, str) else found)

    def _add(self, meter: CompiledMeter, place: BucketKey, quantity: Decimal) -> None:
        bucket = self.buckets.get(place)
        if bucket is None:
            self.buckets[place] = [quantity, 1]
            return
        extreme = EXTREMES.get(meter.aggregation)
        bucket[0] = CONTEXT.add(bucket[0], quantity) if extreme is None else extreme(bucket[0], quantity)
        bucket[1] += 1

    def compare(self, kept: Iterable[tuple[Any, ...]]) -> Iterator[Finding]:
        """Against the buckets that are kept: (customer, payer, meter, hour, workspace, dimensions, quantity,
        events). Takes its own out as they are met."""
        kinds = {meter.id: meter.aggregation for heard in self.meters.values() for meter in heard}
        for customer_id, payer_id, meter_id, hour, workspace_id, dimensions, quantity, events in kept:
            text = hour.astimezone(UTC).isoformat()
            place = BucketKey(customer_id, payer_id, meter_id, text, workspace_id, dimensions)
            expected = self.buckets.pop(place, [ZERO, 0])
            yield from _differing(place, kinds.get(meter_id, ""), expected, [quantity, events])
        for place, expected in self.buckets.items():
            yield from _differing(place, kinds[place.meter_id], expected, [ZERO, 0])
        self.buckets.clear()


def by_event(meters: Iterable[CompiledMeter]) -> dict[str, list[CompiledMeter]]:
    """The meters that keep buckets, by the event name that they hear."""
    found: dict[str, list[CompiledMeter]] = defaultdict(list)
    for meter in meters:
        if meter.aggregation not in WITHOUT_BUCKETS:
            found[meter.definition.event].append(meter)
    return found


def _differing(place: BucketKey, kind: str, expected: list[Any], actual: list[Any]) -> Iterator[Finding]:
    meter = public_id("mtr", place.meter_id)
    subject = f"bucket {meter} {place.hour} workspace {place.workspace_id} {place.dimensions}"[:300]
    detail = {
        "meter": meter,
        "hour": place.hour,
        "workspace_id": place.workspace_id,
        "dimensions": place.dimensions,
    }
    at = (place.customer_id, place.payer_id)
    if kind != UNIQUE and expected[0] != actual[0]:
        yield Finding(
            "bucket_quantity",
            subject,
            QUANTITY,
            expected[0],
            actual[0],
            *at,
            cause="The bucket was changed, or an event that it counts.",
            detail=detail,
        )
    if expected[1] != actual[1]:
        counted = (Decimal(expected[1]), Decimal(actual[1]))
        yield Finding("bucket_events", subject, EVENTS, *counted, *at, detail=detail)
