"""What the payer's versions entitle a call to: features, static limits and metered quotas.

Planned before the lock from the compiled versions; quotas are counted as limits are (`limiting`).
docs/algorithms/limits.md tells the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from billing.charging.planning import Heard, Planned
from billing.charging.tallies import Tally
from billing.store_limits import CounterRange
from core.numbers import CONTEXT, ZERO
from metering.models import Meter
from pricing.catalog.entitlements import EntitlementTerms
from pricing.cycles import Cycle, Interval, Period
from pricing.pricelist import SegmentPrices, VersionPrices

COUNTED: Final = frozenset({Meter.Aggregation.COUNT, Meter.Aggregation.SUM, Meter.Aggregation.UNIQUE})
"""The meters whose quantity a quota adds up."""
RANGES_MAX: Final = 100_000
AT_ONCE: Final = COUNTED | {Meter.Aggregation.MAX}
"""Those of which a single call has a quantity."""

Take = Callable[[CounterRange, Decimal], None]


class Need(Struct):
    """A feature that an item needs, with what its payer's versions together allow.

    `is_denied`: none of them has it. `each`: the most that one call may have; `quota`: that one reset may,
    in `range`, of which `tally` says what is used. `is_open`: how much is asked of it is not known yet, so
    there must be some left.
    """

    feature: str
    heard: Heard | None = None
    is_denied: bool = False
    each: Decimal | None = None
    quota: Decimal | None = None
    range: CounterRange | None = None
    tally: Tally | None = None
    is_open: bool = False

    def asked(self, quantity: Callable[[Heard], Decimal]) -> Decimal:
        """How much an item has of what the need counts; `quantity` tells it of a unique value."""
        assert self.heard is not None
        return self.heard.quantity if self.heard.unique is None else quantity(self.heard)


class Missing(NamedTuple):
    """The entitlement that refuses an item."""

    feature: str
    limit: Decimal | None = None
    used: Decimal | None = None
    resets_at: datetime | None = None
    retryable: bool = False

    def as_denied(self) -> dict[str, Any]:
        """What it says in a refusal. A quota comes back with its reset; a feature does not come by itself."""
        return {
            "level": "entitlement",
            "level_id": self.feature,
            "limit": self.limit,
            "used": self.used,
            "resets_at": self.resets_at,
            "retryable": self.retryable,
        }


@dataclass(slots=True)
class Needs:
    """The needs of a batch, by item."""

    by_item: dict[int, list[Need]] = field(default_factory=dict)

    def missing(
        self, item: Planned, quantity: Callable[[Heard], Decimal], bear: Take | None = None
    ) -> Missing | None:
        """The first entitlement that the item lacks; None when it has all that it needs.

        Where nothing was read of its quotas, `bear` is asked whether they have enough left.
        """
        for need in self.by_item.get(item.index, ()):
            if need.is_denied:
                return Missing(need.feature)
            if need.heard is None:
                continue
            asked = need.asked(quantity)
            if asked <= ZERO and not need.is_open:
                continue
            if need.each is not None and asked > need.each:
                return Missing(need.feature, need.each, ZERO)
            if need.quota is not None and need.tally is not None:
                used = need.tally.taken
                if CONTEXT.add(used, asked) > need.quota or (need.is_open and used >= need.quota):
                    resets_at = need.tally.range.until
                    return Missing(need.feature, need.quota, used, resets_at, asked <= need.quota)
            elif need.range is not None and bear is not None:
                bear(need.range, asked)
        return None

    def count(
        self, item: Planned, quantity: Callable[[Heard], Decimal], sign: int, use: Take | None = None
    ) -> None:
        """Count an item's usage in its quotas; `sign` -1 takes it back. `use` counts what was not read.

        Features of one meter and reset are counted in one row: once.
        """
        counted: set[str] = set()
        for need in self.by_item.get(item.index, ()):
            if need.range is None or need.range.key in counted or not (asked := need.asked(quantity)):
                continue
            counted.add(need.range.key)
            asked = asked if sign > 0 else asked.copy_negate()
            if need.tally is not None:
                need.tally.add(asked, need.tally.range.since)
            elif use is not None:
                use(need.range, asked)

    def hold(self, item: Planned, quantity: Callable[[Heard], Decimal]) -> dict[str, Decimal]:
        """What a held item asks of its quotas, by counter."""
        return {
            need.tally.range.counter: asked
            for need in self.by_item.get(item.index, ())
            if need.tally is not None and (asked := need.asked(quantity)) > 0
        }


def plan_needs(items: Sequence[Planned]) -> Needs:
    """What the items need. Nothing is read."""
    needs = Needs()
    for item in items:
        for segment in item.segments:
            if segment.version.entitlements:
                found = _needs_of(item)
                if found:
                    needs.by_item[item.index] = found
                break
    return needs


@dataclass(slots=True, frozen=True)
class Compiled:
    """A version's entitlements as calls ask for them: bounds by the meter's key, and features."""

    bounds: dict[str, tuple[EntitlementTerms, ...]]
    features: tuple[EntitlementTerms, ...]


_compiled: dict[int, tuple[VersionPrices, Compiled]] = {}
_ranges: dict[tuple[int, str], tuple[SegmentPrices, CounterRange]] = {}


def _compile(version: VersionPrices) -> Compiled:
    """Kept while the version's prices are."""
    known = _compiled.get(version.version_id)
    if known is None or known[0] is not version:
        bounds: dict[str, tuple[EntitlementTerms, ...]] = {}
        for terms in version.entitlements:
            if terms.type != "boolean" and terms.meter is not None:
                bounds[terms.meter] = (*bounds.get(terms.meter, ()), terms)
        features = tuple(terms for terms in version.entitlements if terms.type == "boolean")
        known = _compiled[version.version_id] = (version, Compiled(bounds, features))
    return known[1]


def _needs_of(item: Planned) -> list[Need]:
    found: dict[str, Need] = {}
    granted: set[str] = set()
    for segment in item.segments:
        compiled = _compile(segment.version)
        for one in (*item.heard, *item.unheard) if item.unheard else item.heard:
            for terms in compiled.bounds.get(one.meter.key, ()):
                need = found.get(terms.feature)
                if need is None:
                    need = found[terms.feature] = Need(terms.feature)
                _add_bound(need, terms, segment, item, one)
        for terms in compiled.features:
            if _is_about(terms, item, {one.meter.key for one in item.heard}):
                if terms.value:
                    granted.add(terms.feature)
                need = found.setdefault(terms.feature, Need(terms.feature))
                need.is_denied = terms.feature not in granted
    return list(found.values())


def _is_about(terms: EntitlementTerms, item: Planned, heard: set[str]) -> bool:
    """Whether a feature is what the call is: of its meter, or else of its own name."""
    if terms.meter is not None:
        return terms.meter in heard
    return terms.feature in heard or terms.feature == item.request.event.event


def _add_bound(
    need: Need, terms: EntitlementTerms, segment: SegmentPrices, item: Planned, heard: Heard
) -> None:
    assert terms.limit is not None
    aggregation = heard.meter.aggregation
    if aggregation not in AT_ONCE:
        return
    need.heard, need.is_open = heard, heard in item.unheard
    if terms.type == "limit" or aggregation not in COUNTED:
        need.each = terms.limit if need.each is None else max(need.each, terms.limit)
        return
    need.quota = terms.limit if need.quota is None else CONTEXT.add(need.quota, terms.limit)
    if need.range is None:
        need.range = _range_of(terms, segment, item, heard)


def _range_of(terms: EntitlementTerms, segment: SegmentPrices, item: Planned, heard: Heard) -> CounterRange:
    """Where an item's quota is counted; kept while the segment is, for a reset is long."""
    instant, payer = item.request.event.occurred_at, item.attribution.payer
    known = _ranges.get((segment.id, terms.feature))
    if known is not None and known[0] is segment and known[1].holds(instant):
        return known[1]
    assert payer is not None
    if len(_ranges) > RANGES_MAX:
        _ranges.clear()
    period = quota_period(terms, segment, instant, payer.time_zone)
    is_resumed = segment.entitled_since is not None and period.start < segment.entitled_since
    place = (payer.customer_id, payer.id, heard.meter.id)
    found = quota_range(*place, terms.reset or "month", period, is_resumed=is_resumed)
    _ranges[segment.id, terms.feature] = (segment, found)
    return found


def quota_period(
    terms: EntitlementTerms, segment: SegmentPrices, instant: datetime, time_zone: str
) -> Period:
    """The reset of a quota that holds `instant`: a cycle of its own length, counted as the subscription's."""
    interval = Interval(terms.reset or "month")
    anchor_at = segment.anchor_at or segment.starts_at
    return Cycle.anchored(interval, segment.version.anchor, anchor_at, ZoneInfo(time_zone)).period_at(instant)


def quota_range(
    customer_id: int, payer_id: int, meter_id: int, reset: str, period: Period, *, is_resumed: bool
) -> CounterRange:
    """Where a quota is counted. `is_resumed`: perhaps not all the while, for the payer was entitled to
    something else in this reset."""
    counter = f"quota:{payer_id}:{meter_id}:{reset}"
    window = (period.start, period.end)
    return CounterRange(customer_id, counter, *window, payer_id, meter_id, is_resumed=is_resumed)
