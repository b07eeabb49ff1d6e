"""Usage of a period that is closed already: it costs what it changes of the whole, minimum and all.

Rare, so what it needs is read when it happens. `delta_line` and `note` are paid at once (they differ in the
document that shows them), what is to be absorbed is leakage (docs/algorithms/closing.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging import deciding
from billing.charging.booking import Batch, late_changes
from billing.charging.deciding import RatedItem
from billing.charging.giving_back import restore
from billing.charging.planning import Planned
from billing.charging.reading import Known
from billing.closing import coupons
from billing.closing.booking import GiveBack, book_lines
from billing.closing.lines import (
    ABSORB,
    Absorbed,
    ComponentClose,
    Line,
    absorbed_by_line,
    booked_of,
    commitment_lines,
    component_closes,
    segments_of,
)
from billing.funding import Part, give_back
from billing.ledger import LEAKAGE, PayerId
from billing.models import ClosingLine, CouponCredit
from billing.store_paid import merge_paid, read_payers
from billing.wallets import open_book
from core import clock
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver, execute
from metering.models import Meter
from pricing.closing import COMMITMENT, USAGE, Addition, share
from pricing.models import BillingPeriod, Component, Counter, CouponRedemption, Segment
from pricing.pricelist import LIVE_AGGREGATIONS, compile_component
from pricing.rating.component import Component as RatingComponent
from pricing.rating.state import State
from pricing.store import CounterKey
from pricing.terms import terms_of

GROUPS: Final = """
    SELECT dimensions, quantity, transactions, volume, amount FROM pricing_counter
    WHERE customer_id = %s AND segment_id = %s AND component_id = %s AND dimensions <> '*'"""
add, subtract = CONTEXT.add, CONTEXT.subtract


def settle_item(raw: psycopg.Connection[Any], item: Planned, known: Known, rated: RatedItem) -> list[Part]:
    """`settle_late` for an event that is charged."""
    payer = item.attribution.payer
    assert payer is not None
    return settle_late(raw, (payer.customer_id, payer.id), item.late_segments, known, rated)


def settle_late(
    raw: psycopg.Connection[Any], payer: PayerId, closed: Collection[int], known: Known, rated: RatedItem
) -> list[Part]:
    """Let the lines in `closed` segments cost the difference of the closes, after less before.

    Changes the amounts of `rated`, whose states are not applied yet; gives the parts that are absorbed. A
    reversal is absorbed where what it takes back was.
    """
    places = [at for at, line in enumerate(rated.lines) if line["segment"] in closed]
    if not places:
        return []
    lines = [rated.lines[at] for at in places]
    rows = Component.objects.select_related("meter").in_bulk({line["component_id"] for line in lines})
    segments = Segment.objects.select_related(
        "version", "subscription__version", "subscription__billing_entity"
    ).in_bulk({line["segment"] for line in lines})
    absorbed = []
    for at in places:
        line, row = rated.lines[at], rows[rated.lines[at]["component_id"]]
        rating = compile_component(row).rating
        minimum = share(segments[line["segment"]], rating.modifiers.minimum)
        groups = _groups(raw, payer[0], line)
        amount = close_delta(rating, minimum, groups | _own(known.counters, line), _own(rated.states, line))
        policy = line.get("late", {}).get("policy") if "reverses" in line else row.meter.late_policy
        policy = policy or Meter.LatePolicy.DELTA_LINE.value
        late = {"policy": policy, "f": line["amount"], "minimum": plain(minimum)}
        rated.lines[at] = line | {"amount": plain(amount), "late": late}
        rated.amount = add(rated.amount, subtract(amount, Decimal(line["amount"])))
        rated.amounts[at] = (row.key, ZERO if policy == ABSORB else amount)
        if policy == ABSORB and amount:
            absorbed.append(Part(row.key, LEAKAGE, amount, None, line["segment"]))
    return absorbed


def take_coupons_back(
    batch: Batch, item: Planned, book: PayerBook, rated: RatedItem, parts: list[Part]
) -> list[Part]:
    """Let closed lines that fall be paid again as far as their coupons then take less off them, before the
    fall goes back to who paid. `parts` are those of the lines that rise; they come from what is left then.

    Lines stand at what is stored of them, what `batch` will write of them and what the item changes.
    """
    falling = {segment for (_, segment), amount in late_changes(item, rated) if amount < 0}
    if not falling or not CouponCredit.objects.filter(segment_id__in=falling).exists():
        return parts
    changes: dict[coupons.Place, Decimal] = defaultdict(Decimal)
    for place, amount in (*batch.late_changes.items(), *late_changes(item, rated)):
        changes[place] = add(changes[place], amount)
    periods = BillingPeriod.objects.filter(segments__in=falling).distinct().order_by("pk")
    for period in periods.select_related("subscription__version", "subscription__billing_entity"):
        entity = period.subscription.billing_entity
        event_id = _event_of(item)
        margins = coupons.take_coupons_back(book, entity, period, clock.now(), event_id, changes)
        if item.floors is not None:
            for key, change in margins.items():  # written already, and the batch may have looked before
                item.floors.periods.add(key.hour, change)
    return deciding.fund(item, book, rated)


def _event_of(item: Planned) -> UUID:
    return item.id if item.stored is None else item.stored.event_id


def close_delta(
    rating: RatingComponent, minimum: Decimal, before: Mapping[str, State], changed: Mapping[str, State]
) -> Decimal:
    """max(minimum, F after) - max(minimum, F before), fees for zero usage included; states by group."""
    after = {**before, **changed}
    return subtract(rating.close(after.values(), minimum), rating.close(before.values(), minimum))


def settle_closed(late: Iterable[Planned], now: datetime, *, is_reversal: bool = False) -> None:
    """Settle anew, after late events were stored, what a close had worked out from events; commitments; and
    what coupons take off.

    The payers' rows are locked, and the batch with the events is written. Each closed period is settled once
    for all of its events; its lines name the last of them. `is_reversal`: they are taken back, so that
    leakage bears no more than before.
    """
    by_payer: dict[int, dict[int, UUID]] = defaultdict(dict)
    for item in late:
        payer = item.attribution.payer
        assert payer is not None
        by_payer[payer.id].update(dict.fromkeys(item.late_segments, _event_of(item)))
    for payer_id, events in sorted(by_payer.items()):
        entity = BillingEntity.objects.get(pk=payer_id)
        periods = BillingPeriod.objects.filter(segments__in=events, status=BillingPeriod.Status.CLOSED)
        rows = periods.select_related("subscription__version", "subscription__billing_entity")
        for period in rows.distinct().order_by("pk"):
            _settle_period(entity, period, events, now, is_reversal)


def _settle_period(
    entity: BillingEntity, period: BillingPeriod, events: Mapping[int, UUID], now: datetime, is_reversal: bool
) -> None:
    """`events`: by segment, the late event that is named."""
    segments = segments_of(period)
    lines = _new_lines(period, segments, events, is_reversal) if _may_settle(segments) else []
    has_coupons = CouponRedemption.objects.filter(subscription_id=period.subscription_id).exists()
    if lines or has_coupons:
        event_id = next(events[segment.pk] for segment in segments if segment.pk in events)
        absorbed = {
            (line.key, line.segment_id): line.addition.amount.copy_negate()
            for line in lines
            if line.late_policy == ABSORB
        }
        with open_book(entity, now) as book:
            coupons.take_coupons_back(book, entity, period, now, event_id, absorbed)
            give_back = _give_back(period)
            book_lines({entity.pk: book}, [(period, lines)], now, event_id=event_id, give_back=give_back)
            coupons.book_coupons(book, entity, period, now, event_id)


def _may_settle(segments: Sequence[Segment]) -> bool:
    """Whether something of the period hangs on its whole: a settled meter or a commitment."""
    if any(terms_of(segment.version).minimum_spend for segment in segments):
        return True
    versions = {segment.version_id for segment in segments}
    settled = Component.objects.filter(version_id__in=versions)
    return settled.exclude(meter__aggregation__in=LIVE_AGGREGATIONS).exists()


def _new_lines(
    period: BillingPeriod, segments: Sequence[Segment], late_segments: Collection[int], is_reversal: bool
) -> list[Line]:
    closes, booked = component_closes(segments), booked_of(period.pk)
    absorbed = absorbed_by_line([period], segments)
    borne = absorbed if is_reversal else None
    lines = [
        line
        for close in closes
        if not close.component.is_live and close.segment.pk in late_segments
        for line in _settled_again(close, booked.get(close.place, ZERO), borne)
    ]
    absorbing: dict[tuple[str, int], Decimal] = dict(absorbed)
    for line in lines:
        if line.late_policy == ABSORB and line.segment_id is not None:
            place = (line.key, line.segment_id)
            absorbing[place] = add(absorbing.get(place, ZERO), line.addition.amount)
    lines += commitment_lines(period, segments, closes, booked, absorbing)
    return [line for line in lines if line.addition.amount]


def _settled_again(close: ComponentClose, booked: Decimal, borne: Absorbed | None) -> list[Line]:
    """`borne`: of a reversal, what leakage bore of lines; that is undone first, the rest is the payer's."""
    amount, policy = subtract(close.whole, booked), close.meter.late_policy
    detail = {"whole": plain(close.whole), "booked": plain(booked), "minimum": plain(close.minimum)}
    parts = {policy: amount}
    if policy == ABSORB and borne is not None:
        back = borne.get((close.component.key, close.segment.pk), ZERO).copy_negate()
        undone = min(max(amount, min(ZERO, back)), max(ZERO, back))
        parts = {ABSORB: undone, Meter.LatePolicy.DELTA_LINE.value: subtract(amount, undone)}
    return [
        Line(
            close.component.key,
            Addition(USAGE, part),
            close.segment.version_id,
            close.segment.pk,
            close.component.id,
            detail,
            borne_by,
        )
        for borne_by, part in parts.items()
    ]


def _give_back(period: BillingPeriod) -> GiveBack:
    """To those who paid for a component in its segment (or for the commitment), latest first."""

    def give(book: PayerBook, line: Line) -> list[Part]:
        fall = line.addition.amount.copy_negate()
        parts = give_back(line.key, fall, _paid(book, period, line, fall), line.segment_id)
        restore(driver(), book, parts)
        return parts

    return give


def _paid(book: PayerBook, period: BillingPeriod, line: Line, fall: Decimal) -> list[Part]:
    if line.segment_id is not None:
        return read_payers(driver(), book, (line.key, line.segment_id), fall).parts
    rows = ClosingLine.objects.filter(period_id=period.pk, kind=COMMITMENT).order_by("pk")
    parts = [
        Part(line.key, item["account"], Decimal(item["amount"]), item["grant"])
        for row in rows
        for item in row.funding
    ]
    return merge_paid([], parts)


def _groups(raw: psycopg.Connection[Any], customer_id: int, line: Mapping[str, Any]) -> dict[str, State]:
    rows: Sequence[Any] = execute(
        raw, GROUPS, (customer_id, line["segment"], line["component_id"])
    ).fetchall()
    return {row[0]: State(*row[1:5]) for row in rows}


def _own(states: Mapping[CounterKey, State], line: Mapping[str, Any]) -> dict[str, State]:
    """The states of a line's component in its segment, by group."""
    place = (line["segment"], line["component_id"])
    return {
        key.dimensions: state
        for key, state in states.items()
        if (key.segment_id, key.component_id) == place and key.dimensions != Counter.TOTAL
    }
