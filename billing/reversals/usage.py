"""What a reversal takes out of the hourly buckets of usage and of margins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db.models import Exists, F, OuterRef, TextField
from django.db.models.functions import Cast
from msgspec.structs import replace

from billing.charging.booking import BUCKET_MERGE, Batch
from billing.charging.planning import Heard, Planned, unpriced_use
from billing.charging.reading import unique_key
from billing.hours import hour_start
from billing.models import ReRating, Reversal
from core.jsonio import decode_json
from core.numbers import CONTEXT, ONE, ZERO
from metering.catalogue import CompiledMeter
from metering.models import Meter, UsageBucket, UsageEvent
from metering.store import BucketKey, UniqueKey, read_occurrences
from pricing.rating.groups import group_text

HOUR: Final = timedelta(hours=1)


@dataclass(slots=True, frozen=True)
class Extreme:
    """The bucket of a minimum or maximum from which an event goes: its hour is looked at again."""

    meter: CompiledMeter
    key: BucketKey
    name: str


def heard_then(items: Sequence[tuple[Planned, UsageEvent]]) -> dict[int, list[Heard]]:
    """By the item's index, what the meters took from each event when they counted it.

    A meter made since did not hear it. (A meter is frozen with the first event that it counts.)
    """
    customer_id = items[0][1].customer_id
    ids = [event.id for _, event in items if event.unmatched]
    later = ReRating.objects.filter(customer_id=customer_id, event_id__in=ids)
    heard_at = dict(later.values_list("event_id", "recorded_at")) if ids else {}
    meters = {heard.meter.id for item, _ in items for heard in item.heard}
    frozen = dict(Meter.objects.filter(pk__in=meters).values_list("pk", "frozen_at"))
    return {
        item.index: [
            heard
            for heard in item.heard
            if _was_frozen(
                frozen[heard.meter.id], heard_at.get(event.id) if event.unmatched else event.recorded_at
            )
        ]
        for item, event in items
    }


def _was_frozen(frozen_at: datetime | None, heard_at: datetime | None) -> bool:
    return frozen_at is not None and heard_at is not None and frozen_at <= heard_at


def forget_unpriced(
    raw: psycopg.Connection[Any], batch: Batch, item: Planned, heard: Iterable[Heard]
) -> None:
    """Take an event's unique values out of what was counted while nothing priced it."""
    uses = []
    for one in heard:
        if one.unique is not None:
            use = unpriced_use(item, one.meter.id, one.dimensions, one.unique.value_hash)
            uses.append((unique_key(item, use), replace(one, unique=use)))
    there = read_occurrences(raw, [key for key, _ in uses]) if uses else {}
    counted = [(key, one) for key, one in uses if key in there]
    last = {key for key, _ in counted if there[key] + batch.uniques.get(key, 0) == 1}
    for key, _ in counted:
        batch.uniques[key] = batch.uniques.get(key, 0) - 1
    change_usage(batch, item, [one for _, one in counted], -1, last)


def change_usage(
    batch: Batch, item: Planned, heard: Iterable[Heard], sign: int, uniques: set[UniqueKey]
) -> list[Extreme]:
    """Add (+1) or take (-1) an event's quantities; gives the buckets that have to be looked at again.

    `uniques`: the values that no other event has.
    """
    payer = item.attribution.payer
    assert payer is not None
    hour = hour_start(item.request.event.occurred_at, payer.time_zone)
    extremes = []
    for one in heard:
        merge = BUCKET_MERGE.get(one.meter.aggregation, "sum")
        if merge is None:
            continue
        workspace_id = item.attribution.workspace_id or 0
        key = BucketKey(payer.customer_id, payer.id, one.meter.id, hour, workspace_id, one.dimensions)
        if merge != "sum":
            extremes.append(Extreme(one.meter, key, item.request.event.event))
            continue
        bucket = batch.buckets.setdefault("sum", {}).setdefault(key, [ZERO, 0])
        bucket[0] = CONTEXT.add(bucket[0], _signed(_quantity(one, uniques), sign))
        bucket[1] += sign
    return extremes


def _quantity(heard: Heard, uniques: set[UniqueKey]) -> Decimal:
    if heard.unique is None:
        return heard.quantity
    scopes = (heard.dimensions, heard.unique.dimensions)
    value = (heard.unique.meter_id, heard.unique.value_hash)
    is_alone = any((key.meter_id, key.value_hash) == value and key.dimensions in scopes for key in uniques)
    return ONE if is_alone else ZERO


def _signed(quantity: Decimal, sign: int) -> Decimal:
    return quantity if sign > 0 else quantity.copy_negate()


def settle_extremes(extremes: Iterable[Extreme]) -> None:
    """Set the buckets of minima and maxima to what the events that stand make of them.

    Reads the payer's events of the hour; the reversals are written already, the payer's row is locked.
    """
    for extreme in extremes:
        key = extreme.key
        row = UsageBucket.objects.filter(
            customer_id=key.customer_id,
            billing_entity_id=key.payer_id,
            meter_id=key.meter_id,
            hour=key.hour,
            workspace_id=key.workspace_id,
            dimensions=key.dimensions,
        )
        left = _left(extreme)
        if not left:
            row.delete()
            continue
        best = max(left) if extreme.meter.aggregation == "max" else min(left)
        row.update(quantity=best, events=len(left))


def _left(extreme: Extreme) -> list[Decimal]:
    key, meter = extreme.key, extreme.meter
    hour = datetime.fromisoformat(key.hour).astimezone(UTC)
    reversed_ones = Reversal.objects.filter(
        customer_id=OuterRef("customer_id"), event_id=OuterRef("id"), cause=Reversal.Cause.EVENT
    )
    events = UsageEvent.objects.filter(
        ~Exists(reversed_ones),
        customer_id=key.customer_id,
        billing_entity_id=key.payer_id,
        name=extreme.name,
        occurred_at__gte=hour,
        occurred_at__lt=hour + HOUR,
        recorded_at__gte=hour - settings.EVENT_AHEAD_MAX,
    )
    found: list[Decimal] = []
    texts: Any = events.annotate(
        text=Cast("properties", TextField()), workspace=F("workspace_id")
    ).values_list("text", "workspace", "recorded_at")
    frozen_at = Meter.objects.values_list("frozen_at", flat=True).get(pk=meter.id)
    for text, workspace_id, recorded_at in texts:
        properties = decode_json(text.encode())
        if (workspace_id or 0) != key.workspace_id or not _was_frozen(frozen_at, recorded_at):
            continue
        group = meter.group(properties)
        value = meter.contribution(properties) if meter.matches(properties) else None
        if isinstance(value, Decimal) and group_text(group) == key.dimensions:
            found.append(value)
    return found
