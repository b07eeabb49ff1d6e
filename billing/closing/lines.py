"""What the close of a period books, worked out from counters, events and terms; nothing is written here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

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

MINIMUM_SPEND: Final = "minimum_spend"
ABSORB: Final = Meter.LatePolicy.ABSORB.value
Booked = Mapping[tuple[int | None, int | None], Decimal]
"""By (segment, component), what closing lines have booked; (None, None) is the commitment."""


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
    rows = Segment.objects.filter(period=period).order_by("starts_at")
    return list(rows.select_related("version", "subscription__version", "subscription__billing_entity"))


def component_closes(segments: Sequence[Segment]) -> list[ComponentClose]:
    """Every component of every segment, as it stands."""
    versions = {segment.version_id for segment in segments}
    by_version: dict[int, list[Component]] = defaultdict(list)
    for row in Component.objects.filter(version_id__in=versions).select_related("meter").order_by("position"):
        by_version[row.version_id].append(row)
    states = _states(segments)
    return [
        _component_close(segment, row, states.get((segment.pk, row.pk), []))
        for segment in segments
        for row in by_version[segment.version_id]
    ]


def period_lines(period: BillingPeriod) -> list[Line]:
    """The lines of a period's close: by segment and component, then the commitment."""
    if never_began(period.subscription):
        return []
    segments = segments_of(period)
    closes = component_closes(segments)
    lines = [line for close in closes for line in component_lines(close)]
    return lines + commitment_lines(period, segments, closes, {})


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
    absorbing: Decimal = ZERO,
) -> list[Line]:
    """What is missing to the period's minimum spend, or (below 0) was booked of it too much.

    Usage that was absorbed, or is about to be (`absorbing`), does not count: the payer did not spend it.
    """
    commitment = ZERO
    for segment in segments:
        minimum_spend = terms_of(segment.version).minimum_spend
        commitment = CONTEXT.add(commitment, share(segment, minimum_spend))
    if not commitment:
        return []
    fees, usage = base_fees_of(period), ZERO
    for close in closes:
        usage = CONTEXT.add(usage, close.whole)
    for absorbed in (*absorbed_by_line(period, segments).values(), absorbing):
        usage = CONTEXT.subtract(usage, absorbed)
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


def base_fees_of(period: BillingPeriod) -> Decimal:
    """What was booked of the period's base fees, less what went back of them."""
    booked = BookedFee.objects.filter(period_id=period.pk).aggregate(total=Sum("amount"))["total"]
    return ZERO if booked is None else Decimal(booked)


def absorbed_by_line(period: BillingPeriod, segments: Sequence[Segment]) -> dict[tuple[str, int], Decimal]:
    """What leakage bore of a period's late usage, by component key and segment; none before it is closed."""
    if period.closed_at is None:
        return {}
    payer = (period.customer_id, period.subscription.billing_entity_id)
    pks = [segment.pk for segment in segments]
    found = absorbed_by_charges(driver(), payer, pks, period.closed_at)
    for line in ClosingLine.objects.filter(period_id=period.pk, late_policy=ABSORB):
        assert line.segment_id is not None
        place = (line.key, line.segment_id)
        found[place] = CONTEXT.add(found.get(place, ZERO), line.amount)
    return found


def _states(segments: Sequence[Segment]) -> dict[tuple[int, int], list[State]]:
    found: dict[tuple[int, int], list[State]] = defaultdict(list)
    if not segments:
        return found
    rows = Counter.objects.filter(
        customer_id=segments[0].customer_id, segment_id__in=[segment.pk for segment in segments]
    ).exclude(dimensions=Counter.TOTAL)
    for row in rows:
        state = State(row.quantity, row.transactions, row.volume, row.amount)
        found[row.segment_id, row.component_id].append(state)
    return found


def _component_close(segment: Segment, row: Component, states: Sequence[State]) -> ComponentClose:
    component, meter = compile_component(row), compile_meter(row.meter)
    minimum = share(segment, component.rating.modifiers.minimum)
    groups: tuple[Settled, ...] = ()
    if not component.is_live:
        groups = tuple(settle(segment, component.rating, meter.definition))
        states = [settled.state for settled in groups]
    return ComponentClose(segment, component, meter, tuple(states), minimum, groups)


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
