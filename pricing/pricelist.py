"""The process's copy of what each payer pays: its segments and the compiled components of their versions.

A version never changes, so its components are compiled once per process. A payer's segments are kept
at its customer's config version, which the charge path compares under the payer's lock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from core.ids import public_id
from core.sql import open_transaction, still_holds
from metering.aggregation.paths import Properties, compile_path
from metering.aggregation.values import text_of
from pricing.catalog.entitlements import EntitlementTerms
from pricing.catalog.plans import MarginFloor
from pricing.ceilings import Ceiling, ceilings_in, with_ceilings
from pricing.cycles import Anchor, Period
from pricing.models import Component, PlanVersion, Segment, Subscription
from pricing.periods import ensure_segments
from pricing.rating.component import Component as RatingComponent
from pricing.rating.component import read_component
from pricing.terms import terms_of
from pricing.timeline import changes_of, running

PAYERS_MAX: Final = 100_000
LIVE_AGGREGATIONS: Final = frozenset({"count", "sum", "max", "unique"})


@dataclass(slots=True, frozen=True)
class PricedComponent:
    """A component of a version, compiled. `is_live`: charged with each event; else at the close."""

    id: int
    key: str
    meter_id: int
    meter_key: str
    rating: RatingComponent
    is_live: bool
    dimensions: Callable[[Properties], Mapping[str, str | None]]


@dataclass(slots=True, frozen=True)
class VersionPrices:
    """A plan version's components by the meter that they price, and what it entitles to.

    `read_in`: the transaction that read it, and perhaps made it.
    """

    version_id: int
    public_id: str
    by_meter: dict[int, tuple[PricedComponent, ...]]
    entitlements: tuple[EntitlementTerms, ...] = ()
    anchor: Anchor = Anchor.CALENDAR
    margin_floor: MarginFloor | None = None
    read_in: object | None = field(default=None, repr=False, compare=False)


@dataclass(slots=True, frozen=True)
class SegmentPrices:
    """The prices of one segment; events that occurred in `[starts_at, ends_at)` belong to it.

    `is_closed`: its period is closed, so that what comes now is late. `ceilings`: the most that may be used
    there, by meter id. `period`: its billing period. `anchor_at`: what its subscription's cycles are
    counted from. `entitled_since`: from when on it has entitled to the same; None = all the payer's time.
    """

    id: int
    starts_at: datetime
    ends_at: datetime
    version: VersionPrices
    is_closed: bool = False
    ceilings: Mapping[int, Ceiling] = field(default_factory=dict)
    period: Period | None = None
    anchor_at: datetime | None = None
    subscription_id: int = 0
    entitled_since: datetime | None = None


class Stretch(NamedTuple):
    """What holds of a payer from one change to the next: the segments that rate usage, and the ids of the
    subscriptions that run."""

    segments: tuple[SegmentPrices, ...]
    subscriptions: tuple[int, ...]

    @property
    def is_missing(self) -> bool:
        """Whether a subscription runs whose segment has not been made yet."""
        return len(self.subscriptions) > len(self.segments)


@dataclass(slots=True, frozen=True)
class PayerPrices:
    """All of a payer's segments, at one config version of its customer.

    `subscriptions` = (id, start, end) of each time in which one of its subscriptions runs and is not paused.
    `has_margin_floor`: one of the segments' versions has one. `read_in`: the transaction that read it, whose
    segments nobody else sees yet, and which are gone when it is rolled back.
    """

    config_version: int
    subscriptions: tuple[tuple[int, datetime, datetime | None], ...]
    segments: tuple[SegmentPrices, ...]
    has_margin_floor: bool = False
    read_in: object | None = field(default=None, repr=False, compare=False)
    changes: list[datetime] = field(init=False, repr=False, compare=False)
    stretches: dict[int, Stretch] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note the instants at which anything changes: between two of them all is the same."""
        changes = {at for _, *ends in self.subscriptions for at in ends if at is not None}
        changes.update(at for segment in self.segments for at in (segment.starts_at, segment.ends_at))
        object.__setattr__(self, "changes", sorted(changes))

    def stretch(self, instant: datetime) -> Stretch:
        """What holds at `instant`; worked out once for all instants between two changes."""
        number = bisect_right(self.changes, instant)
        found = self.stretches.get(number)
        if found is None:
            found = self.stretches[number] = Stretch(
                tuple(one for one in self.segments if one.starts_at <= instant < one.ends_at),
                tuple(
                    pk
                    for pk, starts_at, ends_at in self.subscriptions
                    if starts_at <= instant and (ends_at is None or instant < ends_at)
                ),
            )
        return found

    def at(self, instant: datetime) -> Sequence[SegmentPrices]:
        """The segments in which usage at `instant` is rated."""
        return self.stretch(instant).segments

    def closed_after(self, instant: datetime, meter_id: int) -> frozenset[int]:
        """The closed segments that begin after `instant` and price a meter: it may carry its level there."""
        return frozenset(
            one.id
            for one in self.segments
            if one.is_closed and one.starts_at > instant and meter_id in one.version.by_meter
        )


_versions: dict[int, VersionPrices] = {}
_payers: dict[int, PayerPrices] = {}


def payer_prices(
    wanted: Mapping[int, int], instants: Mapping[int, Sequence[datetime]]
) -> dict[int, PayerPrices]:
    """The prices of payers: `wanted` = payer id -> config version of its customer.

    `instants` are when the payers' usage occurred: segments that these need and that do not exist yet
    are made first. Statements: none when cached, else a fixed number.
    """
    found = _cached_or_loaded(wanted)
    missing: set[tuple[int, datetime]] = set()
    for payer_id, prices in found.items():
        for instant in set(instants.get(payer_id, ())):
            stretch = prices.stretch(instant)
            if stretch.is_missing:
                missing.update((pk, instant) for pk in stretch.subscriptions)
    if not missing:
        return found
    ensure_segments(missing)
    return read_prices(wanted)


def _cached_or_loaded(wanted: Mapping[int, int]) -> dict[int, PayerPrices]:
    found = {}
    for payer_id, version in wanted.items():
        prices = _payers.get(payer_id)
        if prices is not None and prices.config_version == version and still_holds(prices.read_in):
            found[payer_id] = prices
    stale = {payer_id: version for payer_id, version in wanted.items() if payer_id not in found}
    return found | read_prices(stale) if stale else found


def read_prices(wanted: Mapping[int, int]) -> dict[int, PayerPrices]:
    """The prices of payers, read anew: with all segments by now. To make one raises no version.

    `wanted` as `payer_prices` has it; a fixed number of statements.
    """
    if len(_payers) > PAYERS_MAX:
        _payers.clear()
    subscriptions: dict[int, list[Subscription]] = {payer_id: [] for payer_id in wanted}
    rows_of = Subscription.objects.filter(billing_entity_id__in=list(wanted)).order_by("id")
    for subscription in with_ceilings(rows_of):
        subscriptions[subscription.billing_entity_id].append(subscription)
    pks = [subscription.pk for rows in subscriptions.values() for subscription in rows]
    segments: dict[int, list[Segment]] = {}
    changes = changes_of(pks)
    rows_of_segments = Segment.objects.filter(subscription_id__in=pks).select_related("period")
    for segment in rows_of_segments.order_by("starts_at") if pks else ():
        segments.setdefault(segment.subscription_id, []).append(segment)
    versions = _versions_of({segment.version_id for rows in segments.values() for segment in rows})
    ceilings = ceilings_in([row for rows in subscriptions.values() for row in rows], segments)
    loaded = {}
    for payer_id, version in wanted.items():
        rows = subscriptions[payer_id]
        begin = min((row.starts_at for row in rows), default=None)
        since = _entitled_since([segments.get(row.pk, ()) for row in rows], versions)
        loaded[payer_id] = PayerPrices(
            version,
            tuple(
                (row.pk, starts_at, ends_at)
                for row in rows
                for starts_at, ends_at in running(row, changes.get(row.pk, ()))
            ),
            tuple(
                SegmentPrices(
                    segment.pk,
                    segment.starts_at,
                    segment.ends_at,
                    versions[segment.version_id],
                    segment.closed_at is not None,
                    ceilings.get(segment.pk, {}),
                    Period(segment.period.starts_at, segment.period.ends_at),
                    row.anchor_at,
                    row.pk,
                    None if since[segment.pk] == begin else since[segment.pk],
                )
                for row in rows
                for segment in segments.get(row.pk, ())
            ),
            any(
                versions[segment.version_id].margin_floor is not None
                for row in rows
                for segment in segments.get(row.pk, ())
            ),
            open_transaction(),
        )
    _payers.update(loaded)
    return loaded


def _entitled_since(
    segments: Iterable[Sequence[Segment]], versions: Mapping[int, VersionPrices]
) -> dict[int, datetime]:
    """From when on each segment's subscription has had the entitlements of its version, without a break.

    `segments`: of each subscription, in their order. Where there is none, nothing was used.
    """
    found: dict[int, datetime] = {}
    for rows in segments:
        since, before = None, None
        for row in rows:
            version = versions[row.version_id]
            entitled = (version.entitlements, version.anchor)
            if since is None or entitled != before:
                since, before = row.starts_at, entitled
            found[row.pk] = since
    return found


def _versions_of(version_ids: Iterable[int]) -> dict[int, VersionPrices]:
    kept = {pk: _versions.get(pk) for pk in version_ids}
    found = {pk: one for pk, one in kept.items() if one is not None and still_holds(one.read_in)}
    missing = kept.keys() - found.keys()
    return found | _compile_versions(missing) if missing else found


def _compile_versions(missing: Collection[int]) -> dict[int, VersionPrices]:
    by_version: dict[int, dict[int, list[PricedComponent]]] = {pk: {} for pk in missing}
    rows = Component.objects.filter(version_id__in=missing).select_related("meter").order_by("position")
    for row in rows:
        priced = compile_component(row)
        by_version[row.version_id].setdefault(row.meter_id, []).append(priced)
    terms = {version.pk: terms_of(version) for version in PlanVersion.objects.filter(pk__in=missing)}
    compiled = {}
    for pk, by_meter in by_version.items():
        own = terms[pk]
        compiled[pk] = VersionPrices(
            pk,
            public_id("pv", pk),
            {meter_id: tuple(found) for meter_id, found in by_meter.items()},
            tuple(own.entitlements),
            own.anchor,
            own.margin_floor,
            open_transaction(),
        )
    _versions.update(compiled)
    return compiled


def compile_component(row: Component) -> PricedComponent:
    """A stored component, ready to rate."""
    meter = row.meter
    rating = read_component(row.definition, aggregation="max" if meter.aggregation == "max" else "sum")
    return PricedComponent(
        id=row.pk,
        key=row.key,
        meter_id=row.meter_id,
        meter_key=meter.key,
        rating=rating,
        is_live=meter.aggregation in LIVE_AGGREGATIONS,
        dimensions=compile_dimensions(rating.group_dimensions),
    )


def compile_dimensions(names: Sequence[str]) -> Callable[[Properties], Mapping[str, str | None]]:
    """A function that finds the values of these dimensions in an event's properties, as texts."""
    reads: list[tuple[str, Callable[[Properties], Any]]] = [(name, compile_path(name)) for name in names]
    if not reads:
        return lambda properties: {}
    return lambda properties: {name: text_of(read(properties)) for name, read in reads}
