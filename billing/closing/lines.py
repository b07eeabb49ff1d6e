"""What the close of a period books, worked out from counters, events and terms; nothing is written here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import Sum

from billing.closing.settling import Settled, settle
from billing.models import BookedFee, ClosingLine
from billing.store_closing import absorbed_by_charges
from core.instants import instant_text
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver
from metering.catalogue import CompiledMeter, compile_meter
from metering.models import Meter
from pricing.closing import COMMITMENT, USAGE, Addition, additions, share, shortfall
from pricing.models import BillingPeriod, Component, Counter, Segment
from pricing.periods import never_began
from pricing.pricelist import PricedComponent, compile_component
from pricing.rating.state import State
from pricing.terms import terms_of
from pricing.timeline import Timeline, timelines_of

MINIMUM_SPEND: Final = "minimum_spend"
ABSORB: Final = Meter.LatePolicy.ABSORB.value
Booked = Mapping[tuple[int | None, int | None], Decimal]
"""By (segment, component), what closing lines have booked; (None, None) is the commitment."""
Absorbed = Mapping[tuple[str, int], Decimal]
"""By component key and segment, what leakage bore."""


@dataclass(frozen=True, slots=True)
class ComponentClose:
    """A component over a segment when its period closes. `minimum` is the segment's share of the plan's.

    `groups` are there for components that settle at the close; the others were charged with each event.
    """

    segment: Segment
    component: PricedComponent
    meter: CompiledMeter
    states: tuple[State, ...]
    minimum: Decimal
    groups: tuple[Settled, ...] = ()

    @property
    def whole(self) -> Decimal:
        """All that the segment costs by this component."""
        return self.component.rating.close(self.states, self.minimum)

    @property
    def place(self) -> tuple[int | None, int | None]:
        """The (segment, component) of its lines."""
        return self.segment.pk, self.component.id


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be booked."""

    key: str
    addition: Addition
    version_id: int
    segment_id: int | None
    component_id: int | None
    detail: dict[str, Any]
    late_policy: str = ""


def segments_of(period: BillingPeriod) -> list[Segment]:
    """The period's segments, with all that their shares need."""
    return segments_of_many([period])


def segments_of_many(periods: Iterable[BillingPeriod]) -> list[Segment]:
    """The segments of periods, in the order of their time; one statement."""
    rows = Segment.objects.filter(period_id__in=[period.pk for period in periods]).order_by("starts_at", "pk")
    return list(rows.select_related("version", "subscription__version", "subscription__billing_entity"))


def component_closes(
    segments: Sequence[Segment], timelines: Mapping[int, Timeline] | None = None
) -> list[ComponentClose]:
    """Every component of every segment, as it stands; three statements, and one for what settles now.

    `timelines`: by subscription, if the caller has them.
    """
    versions = {segment.version_id for segment in segments}
    by_version: dict[int, list[tuple[PricedComponent, CompiledMeter]]] = defaultdict(list)
    rows = Component.objects.filter(version_id__in=versions).select_related("meter").order_by("position")
    for row in rows:
        by_version[row.version_id].append((compile_component(row), compile_meter(row.meter)))
    pairs = [(segment, *each) for segment in segments for each in by_version[segment.version_id]]
    if timelines is None:
        timelines = _timelines(pairs)
    states = _states(segments)
    to_settle = [pair for pair in pairs if not pair[1].is_live]
    settled = iter(settle([(pair[0], pair[1].rating, pair[2].definition) for pair in to_settle]))
    closes = []
    for segment, component, meter in pairs:
        minimum = share(segment, component.rating.modifiers.minimum, timelines.get(segment.subscription_id))
        groups: tuple[Settled, ...] = ()
        if component.is_live:
            there = tuple(states.get((segment.pk, component.id), ()))
        else:
            groups = next(settled)
            there = tuple(each.state for each in groups)
        closes.append(ComponentClose(segment, component, meter, there, minimum, groups))
    return closes


def _timelines(pairs: Iterable[tuple[Segment, PricedComponent, CompiledMeter]]) -> dict[int, Timeline]:
    """Those of the subscriptions in which a component has a minimum."""
    needed = {
        segment.subscription_id: segment.subscription
        for segment, component, _ in pairs
        if component.rating.modifiers.minimum
    }
    return timelines_of(needed.values()) if needed else {}


def period_lines(periods: Sequence[BillingPeriod]) -> dict[int, list[Line]]:
    """By period, the lines of its close: by segment and component, then the commitment.

    The number of statements does not grow with periods.
    """
    begun = [period for period in periods if not never_began(period.subscription)]
    segments = segments_of_many(begun)
    timelines = timelines_of({period.subscription_id: period.subscription for period in begun}.values())
    own: dict[int, list[Segment]] = {period.pk: [] for period in begun}
    for segment in segments:
        own[segment.period_id].append(segment)
    closes: dict[int, list[ComponentClose]] = {period.pk: [] for period in begun}
    for close in component_closes(segments, timelines):
        closes[close.segment.period_id].append(close)
    committed = [period for period in begun if _has_commitment(own[period.pk])]
    fees = _fees_of(committed)
    absorbed = absorbed_by_line(committed, [each for period in committed for each in own[period.pk]])
    found: dict[int, list[Line]] = {period.pk: [] for period in periods}
    for period in begun:
        found[period.pk] = [line for close in closes[period.pk] for line in component_lines(close)]
        if period.pk in fees:
            found[period.pk] += commitment_lines(
                period,
                own[period.pk],
                closes[period.pk],
                {},
                absorbed,
                fees=fees[period.pk],
                timeline=timelines[period.subscription_id],
            )
    return found


def _has_commitment(segments: Iterable[Segment]) -> bool:
    return any(terms_of(segment.version).minimum_spend for segment in segments)


def component_lines(close: ComponentClose, charged: Decimal = ZERO) -> list[Line]:
    """What is missing of a component; `charged` is what is booked of one that settles at the close."""
    rating = close.component.rating
    found = additions(rating, close.states, close.minimum, None if close.component.is_live else charged)
    if not close.component.is_live and not any(part.kind == USAGE for part in found):
        found.insert(0, Addition(USAGE, ZERO))  # so that its quantity is shown
    detail = _detail(close)
    return [
        Line(
            close.component.key, part, close.segment.version_id, close.segment.pk, close.component.id, detail
        )
        for part in found
    ]


def commitment_lines(
    period: BillingPeriod,
    segments: Sequence[Segment],
    closes: Iterable[ComponentClose],
    booked: Booked,
    absorbed: Absorbed,
    *,
    fees: Decimal | None = None,
    timeline: Timeline | None = None,
) -> list[Line]:
    """What is missing to the period's minimum spend, or (below 0) was booked of it too much.

    Usage that was `absorbed`, or is about to be, does not count: the payer did not spend it.
    `fees`, `timeline`: the period's base fees and its subscription's timeline, if the caller has them.
    """
    commitment = ZERO
    for segment in segments:
        minimum_spend = terms_of(segment.version).minimum_spend
        commitment = CONTEXT.add(commitment, share(segment, minimum_spend, timeline))
    if not commitment:
        return []
    fees, usage = _fees_of([period])[period.pk] if fees is None else fees, ZERO
    for close in closes:
        usage = CONTEXT.add(usage, close.whole)
    own = {segment.pk for segment in segments}
    for (_, segment_id), amount in absorbed.items():
        usage = CONTEXT.subtract(usage, amount if segment_id in own else ZERO)
    missing = shortfall(commitment, CONTEXT.add(fees, usage))
    amount = CONTEXT.subtract(missing, booked.get((None, None), ZERO))
    detail = {
        "commitment": plain(commitment),
        "base_fees": plain(fees),
        "usage": plain(usage),
        "starts_at": instant_text(period.starts_at),
        "ends_at": instant_text(period.ends_at),
    }
    addition = Addition(COMMITMENT, amount)
    return [Line(MINIMUM_SPEND, addition, segments[-1].version_id, None, None, detail)]


def booked_of(period_id: int) -> dict[tuple[int | None, int | None], Decimal]:
    """What closing lines have booked in a period, by (segment, component)."""
    rows = ClosingLine.objects.filter(period_id=period_id).values("segment_id", "component_id")
    sums = rows.annotate(total=Sum("amount"))
    return {(row["segment_id"], row["component_id"]): row["total"] for row in sums}


def _fees_of(periods: Sequence[BillingPeriod]) -> dict[int, Decimal]:
    """By period, what was booked of its base fees, less what went back of them; one statement."""
    sums = {period.pk: ZERO for period in periods}
    rows = BookedFee.objects.filter(period_id__in=sums).values_list("period_id") if sums else None
    return sums if rows is None else sums | dict(rows.annotate(total=Sum("amount")))


def absorbed_by_line(
    periods: Sequence[BillingPeriod], segments: Iterable[Segment]
) -> dict[tuple[str, int], Decimal]:
    """What leakage bore of periods' usage (late, or captured beyond its hold), by component key and segment.

    At most two statements.
    """
    if not periods:
        return {}
    payers = {(period.customer_id, period.subscription.billing_entity_id) for period in periods}
    since = min(period.starts_at for period in periods) - settings.EVENT_AHEAD_MAX
    found = absorbed_by_charges(driver(), payers, [segment.pk for segment in segments], since)
    closed = [period.pk for period in periods if period.closed_at is not None]
    lines = ClosingLine.objects.filter(period_id__in=closed, late_policy=ABSORB)
    for line in lines if closed else ():
        assert line.segment_id is not None
        place = (line.key, line.segment_id)
        found[place] = CONTEXT.add(found.get(place, ZERO), line.amount)
    return found


def _states(segments: Sequence[Segment]) -> dict[tuple[int, int], list[State]]:
    found: dict[tuple[int, int], list[State]] = defaultdict(list)
    customers = {segment.customer_id for segment in segments}
    rows = Counter.objects.filter(
        customer_id__in=customers, segment_id__in=[segment.pk for segment in segments]
    ).exclude(dimensions=Counter.TOTAL)
    for row in rows if segments else ():
        state = State(row.quantity, row.transactions, row.volume, row.amount)
        found[row.segment_id, row.component_id].append(state)
    return found


def _detail(close: ComponentClose) -> dict[str, Any]:
    rating, segment = close.component.rating, close.segment
    usage = rating.total(rating.subtotal(close.states))
    detail: dict[str, Any] = {
        "usage": plain(usage),
        "minimum": plain(close.minimum),
        "minimum_of_a_cycle": plain(rating.modifiers.minimum),
        "starts_at": instant_text(segment.starts_at),
        "ends_at": instant_text(segment.ends_at),
    }
    if close.groups:
        detail["groups"] = [
            {
                "dimensions": list(settled.group),
                "quantity": None if settled.quantity is None else plain(settled.quantity),
            }
            for settled in close.groups
        ]
    return detail
