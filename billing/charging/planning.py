"""Before the lock: who pays, what the event costs, which meters hear it and which components price it.

All of it comes from the process's copies of the configuration, taken at known versions. Under the lock
the path compares the versions and, on a mismatch, plans again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from accounts.attribution import Attribution, attribute
from accounts.credentials import config_version, integration_keys, valid_keys
from accounts.directory import NO_VERSION
from billing.charging.requests import ChargeRequest, Mode
from billing.hours import instant_and_hour
from billing.margin_floors import FlooredPayers, ItemFloors, plan_floors
from billing.models import Overspend
from core.api.permissions import includes, missing_scope
from core.errors import AuthenticationFailed, TollgateError
from core.ids import new_uuids7
from core.numbers import ONE, ZERO
from core.sql import open_transaction, still_holds
from metering.accept import accept_bounds
from metering.catalogue import CompiledMeter, MeterCatalogue, meter_catalogue
from metering.costing import CostBook, cost_book
from pricing.pricelist import PayerPrices, PricedComponent, SegmentPrices, payer_prices
from pricing.rating.groups import NO_GROUP, group_text
from pricing.rating.state import Usage
from pricing.store import CounterKey

UNPRICED: Final = "unpriced"


class UniqueUse(NamedTuple):
    """A value of a `unique` meter in its scope: counts only at its first occurrence there."""

    meter_id: int
    scope_start: datetime
    dimensions: str
    value_hash: str


class PlannedLine(Struct):
    """One component's part of an event: which counter it moves (`key`), by what."""

    segment: SegmentPrices
    component: PricedComponent
    meter: CompiledMeter
    key: CounterKey
    usage: Usage
    unique: UniqueUse | None

    @property
    def dimensions(self) -> str:
        """The group that it moves, as text."""
        return self.key.dimensions


class Heard(Struct):
    """One meter's view of an event, for its hourly bucket."""

    meter: CompiledMeter
    dimensions: str
    quantity: Decimal
    unique: UniqueUse | None = None


@dataclass(slots=True, frozen=True)
class Stored:
    """The event of a re-rating: it was recorded when nothing priced it, and stays as it is."""

    event_id: UUID
    recorded_at: datetime
    was_unmatched: bool
    was_unpriced: bool
    was_asked: bool


class Planned(Struct):
    """A request with all that is known of it before the lock. `stored`: only to be re-rated.

    `occurred_at` and `hour` (the payer's local hour it falls in) are texts, as the rows have them.
    `late_segments`: of those that are closed already, the ones that price it or that its level is carried
    into. `is_late_capture`: it captures a hold whose time is over. `is_of_lease`: it is charged to a lease.
    `unheard`: of a hold that names an amount and no properties, the meters of its event, which may hear what
    it is captured with.
    """

    index: int
    request: ChargeRequest
    attribution: Attribution
    id: UUID
    id_text: str
    occurred_at: str = ""
    hour: str = ""
    costs: list[dict[str, Any]] | None = None
    cost: Decimal | None = None
    has_subscription: bool = False
    is_matched: bool = False
    is_priced: bool = False
    heard: list[Heard] = field(default_factory=list)
    unheard: Sequence[Heard] = ()
    lines: list[PlannedLine] = field(default_factory=list)
    uniques: frozenset[UniqueUse] = frozenset()
    stored: Stored | None = None
    late_segments: frozenset[int] = frozenset()
    segments: Sequence[SegmentPrices] = ()
    is_late_capture: bool = False
    is_of_lease: bool = False
    floors: ItemFloors | None = None

    @property
    def payload_hash(self) -> bytes:
        """The hash of what was sent under its key."""
        return self.request.event.payload_hash

    def overspend_cause(self) -> str:
        """Why it may be below the floor, if it is."""
        if self.request.mode is not Mode.REPORT:
            return Overspend.Cause.OVERDRAFT.value
        if self.is_of_lease:
            return Overspend.Cause.LEASE.value
        return (Overspend.Cause.LATE_CAPTURE if self.is_late_capture else Overspend.Cause.REPORTED).value


@dataclass(slots=True)
class Plan:
    """A batch, planned at these config versions (global, and per customer)."""

    items: list[Planned]
    global_version: int
    customer_versions: dict[int, int]
    floored: FlooredPayers | None = None

    def payers(self, items: Iterable[Planned] | None = None) -> list[tuple[int, int]]:
        """The payers of the items, in the order in which they are locked."""
        return sorted(
            {
                (item.attribution.payer.customer_id, item.attribution.payer.id)
                for item in (self.items if items is None else items)
                if item.attribution.payer is not None
            }
        )


_global_version: tuple[int, object | None] | None = None
"""The installation's config version, and the transaction that read it."""


def forget_global() -> None:
    """Read the installation's config version anew for the next plan."""
    global _global_version
    _global_version = None


def _current_global() -> int:
    global _global_version
    held = _global_version  # another thread may forget it at any moment
    if held is None or not still_holds(held[1]):
        held = _global_version = (config_version(), open_transaction())
    return held[0]


def plan_requests(requests: Sequence[tuple[int, ChargeRequest]], now: datetime) -> Plan:
    """Plan a batch of (index, request) recorded at `now`."""
    version = _current_global()
    meters, costs = meter_catalogue(version), cost_book(version)
    for _, request in requests:
        if request.read is not None and _is_doubtful(request, version):
            request.event = request.read(meters)
    attributions = attribute([request.event for _, request in requests])
    versions = _customer_versions(attributions)
    earliest, latest = accept_bounds(now)
    for (_, request), found in zip(requests, attributions, strict=True):
        if request.authorization is not None:
            request.authorization.attribute(found)
        if not earliest <= request.event.occurred_at <= latest:
            found.problem = found.problem or request.window_problem(now)  # no period for the year 9999
    prices = _prices(requests, attributions)
    doubtful = _doubtful_keys([request for _, request in requests], version, now)
    items = []
    ids = new_uuids7(now, len(requests))
    for (index, request), found, uuid in zip(requests, attributions, ids, strict=True):
        item = Planned(index, request, found, uuid, f"{uuid.int:032x}")
        found.problem = _key_problem(request, doubtful) or found.problem
        if found.payer is not None and found.problem is None:
            _plan_item(item, meters, costs, prices[found.payer.id])
        items.append(item)
    return Plan(items, version, versions, plan_floors(items, prices, now))


def _customer_versions(attributions: Sequence[Attribution]) -> dict[int, int]:
    """The version of each customer that the calls were attributed at.

    None where they differ: another thread forgot the customer between two of them, so plan again.
    """
    versions: dict[int, int] = {}
    for found in attributions:
        config = found.config
        if config is not None and versions.setdefault(config.customer_id, config.version) != config.version:
            versions[config.customer_id] = NO_VERSION
    return versions


def _doubtful_keys(
    requests: Sequence[ChargeRequest], version: int, now: datetime
) -> dict[int, frozenset[str] | None]:
    """The scopes (None: it has ended) of the integration keys that were not checked at this version."""
    keys = (request.credential for request in requests if _is_doubtful(request, version))
    unsure = {key.id for key in keys if key is not None}
    if not unsure:
        return {}
    integration_keys.forget()
    return dict.fromkeys(unsure) | valid_keys(unsure, now)


def _is_doubtful(request: ChargeRequest, version: int) -> bool:
    return request.credential is not None and request.credential.config_version != version


def _key_problem(
    request: ChargeRequest, doubtful: Mapping[int, frozenset[str] | None]
) -> TollgateError | None:
    if request.credential is None or request.credential.id not in doubtful:
        return None
    scopes = doubtful[request.credential.id]
    if scopes is None:
        return AuthenticationFailed("key_ended", "This key has been revoked or has expired.")
    return None if includes(scopes, request.needed_scope) else missing_scope(request.needed_scope)


def _prices(
    requests: Sequence[tuple[int, ChargeRequest]], attributions: Sequence[Attribution]
) -> dict[int, PayerPrices]:
    wanted: dict[int, int] = {}
    instants: dict[int, list[datetime]] = {}
    for (_, request), found in zip(requests, attributions, strict=True):
        if found.payer is not None and found.config is not None and found.problem is None:
            wanted[found.payer.id] = found.config.version
            instants.setdefault(found.payer.id, []).append(request.event.occurred_at)
    return payer_prices(wanted, instants) if wanted else {}


def _plan_item(item: Planned, meters: MeterCatalogue, costs: CostBook, prices: PayerPrices) -> None:
    event, payer = item.request.event, item.attribution.payer
    assert payer is not None
    item.occurred_at, item.hour = instant_and_hour(event.occurred_at, payer.time_zone)
    item.costs, item.cost = costs.cost_of(event, payer.currency)
    stretch = prices.stretch(event.occurred_at)
    item.has_subscription = bool(stretch.subscriptions)
    item.segments = segments = stretch.segments
    for meter in meters.meters_for(event.event):
        if not meter.matches(event.properties):
            continue
        item.is_matched = True
        heard = _hear(meter, item, segments)
        if heard is None:
            continue
        item.heard.append(heard)
        if meter.definition.carry_over:
            item.late_segments |= prices.closed_after(event.occurred_at, meter.id)
        if heard.unique is not None:
            item.uniques |= {heard.unique}
        for segment in segments:
            for component in segment.version.by_meter.get(meter.id, ()):
                item.is_priced = True
                if segment.is_closed:
                    item.late_segments |= {segment.id}
                if component.is_live:
                    item.lines.append(_line(item, segment, component, heard))
    item.unheard = _may_hear(item, meters)


def _may_hear(item: Planned, meters: MeterCatalogue) -> Sequence[Heard]:
    hold, event = item.request.hold, item.request.event
    if hold is None or hold.amount is None or event.properties:
        return ()
    known = {one.meter.id for one in item.heard}
    return [Heard(one, NO_GROUP, ZERO) for one in meters.meters_for(event.event) if one.id not in known]


def _hear(meter: CompiledMeter, item: Planned, segments: Sequence[SegmentPrices]) -> Heard | None:
    """What a meter takes from the event; None when its property is missing or no number."""
    event = item.request.event
    contribution = meter.contribution(event.properties)
    if contribution is None:
        return None
    group = meter.group(event.properties)
    dimensions = group_text(group)
    if not isinstance(contribution, str):
        return Heard(meter, dimensions, contribution)
    payer = item.attribution.payer
    assert payer is not None
    digest = sha256(contribution.encode()).hexdigest()[:32]
    # Scoped by the segment that prices it, so that bucket and counter count the same.
    priced_in = [segment for segment in segments if meter.id in segment.version.by_meter]
    if not priced_in:
        return Heard(meter, dimensions, ONE, unpriced_use(item, meter.id, dimensions, digest))
    return Heard(meter, dimensions, ONE, UniqueUse(meter.id, priced_in[0].starts_at, dimensions, digest))


def unpriced_use(item: Planned, meter_id: int, dimensions: str, value_hash: str) -> UniqueUse:
    """Where a unique value is counted while nothing prices it: it is still new to the price that may come
    (see `billing.rerating`)."""
    payer = item.attribution.payer
    assert payer is not None
    scope = _month_start(item.request.event.occurred_at, payer.time_zone)
    return UniqueUse(meter_id, scope, f"{UNPRICED}:{dimensions}", value_hash)


def _month_start(instant: datetime, time_zone: str) -> datetime:
    """The start of the payer's local month."""
    local = instant.astimezone(ZoneInfo(time_zone))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def _line(item: Planned, segment: SegmentPrices, component: PricedComponent, heard: Heard) -> PlannedLine:
    names, payer = component.rating.group_dimensions, item.attribution.payer
    assert payer is not None
    dimensions, usage = NO_GROUP, Usage(heard.quantity, cost=item.cost)
    if names:
        usage = Usage(heard.quantity, component.dimensions(item.request.event.properties), item.cost)
        dimensions = group_text(component.rating.group_of(usage))
    unique = heard.unique
    if unique is not None and names != heard.meter.definition.group_by:
        unique = unique._replace(dimensions=f"{component.id}:{dimensions}")
        item.uniques |= {unique}
    key = CounterKey(payer.customer_id, segment.id, component.id, dimensions)
    return PlannedLine(segment, component, heard.meter, key, usage, unique)
