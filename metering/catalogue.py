"""The installation's meters, compiled and by event name: what the hot path asks for every event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q

from core.sql import open_transaction, still_holds
from metering.aggregation import Dimensions, MeterDefinition, parse_meter
from metering.aggregation.base import Contribution
from metering.aggregation.filters import Predicate
from metering.aggregation.paths import Properties
from metering.models import Meter


@dataclass(slots=True)
class CompiledMeter:
    """A stored meter and its compiled definition.

    `matches`, `contribution` and `group` are the definition's. `frozen` turns true once an event was counted
    or a published version names the meter; it is a hint that saves a statement, the row decides.
    """

    id: int
    key: str
    aggregation: str
    unit: str
    late_policy: str
    frozen: bool
    definition: MeterDefinition
    matches: Predicate = field(init=False, repr=False)
    contribution: Callable[[Properties], Contribution | None] = field(init=False, repr=False)
    group: Callable[[Properties], Dimensions] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the definition's functions over: one attribute access less for every event."""
        self.matches = self.definition.matches
        self.contribution = self.definition.contribution
        self.group = self.definition.group


class MeterCatalogue:
    """All meters that hear events, at one config version, as `read_in` (a transaction, or none) saw them."""

    __slots__ = ("_by_event", "read_in")

    def __init__(self, meters: Iterable[CompiledMeter]) -> None:
        by_event: defaultdict[str, list[CompiledMeter]] = defaultdict(list)
        for meter in meters:
            by_event[meter.definition.event].append(meter)
        self._by_event = {event: tuple(heard) for event, heard in by_event.items()}
        self.read_in = open_transaction()

    def meters_for(self, event_name: str) -> tuple[CompiledMeter, ...]:
        """The meters that listen to this event name, oldest first; their filters are still to be asked."""
        return self._by_event.get(event_name, ())


_cached: tuple[int, MeterCatalogue] | None = None


def meter_catalogue(config_version: int) -> MeterCatalogue:
    """The catalogue at the installation's config version, from this process's memory when it is the same."""
    global _cached
    held = _cached
    if held is None or held[0] != config_version or not still_holds(held[1].read_in):
        held = (config_version, load_meter_catalogue())
        _cached = held
    return held[1]


def is_at_hand(config_version: int) -> bool:
    """Whether `meter_catalogue` would do without the database."""
    held = _cached
    return held is not None and held[0] == config_version and still_holds(held[1].read_in)


def load_meter_catalogue() -> MeterCatalogue:
    """Read the catalogue from the database.

    An archived meter that was ever used goes on counting, because a published price may rest on it.
    """
    hearing = Meter.objects.filter(Q(archived_at=None) | Q(frozen_at__isnull=False)).order_by("id")
    return MeterCatalogue(compile_meter(meter) for meter in hearing)


def compile_meter(meter: Meter) -> CompiledMeter:
    """A stored meter, ready to be asked."""
    return CompiledMeter(
        id=meter.pk,
        key=meter.key,
        aggregation=meter.aggregation,
        unit=meter.unit,
        late_policy=meter.late_policy,
        frozen=meter.frozen_at is not None,
        definition=parse_meter(meter.definition()),
    )


def freeze_meters(meters: Iterable[CompiledMeter], at: datetime) -> None:
    """Fix what these meters count, in the transaction that first counts with them.

    Locks the meters that are not frozen yet, in id order; asks the database nothing once all are.
    """
    loose = [meter for meter in meters if not meter.frozen]
    if not loose:
        return
    ids = [meter.id for meter in loose]
    list(Meter.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
    Meter.objects.filter(pk__in=ids, frozen_at=None).update(frozen_at=at)
    # Not before the commit: after a rollback the row would be loose and nobody would know.
    transaction.on_commit(partial(_note_frozen, loose))


def _note_frozen(meters: list[CompiledMeter]) -> None:
    for meter in meters:
        meter.frozen = True
