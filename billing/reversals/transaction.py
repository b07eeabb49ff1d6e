"""One transaction over one payer's events: take their charges back, perhaps charge them again, write it all.

The order of locks and the check of config versions are the charge path's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import transaction
from msgspec.structs import replace

from accounts.directory import directory
from billing.book import PayerBook
from billing.charging import deciding, giving_back, late
from billing.charging.booking import Batch, add_charge, add_margin, answer, note_overspend, write_batch
from billing.charging.deciding import RatedItem
from billing.charging.outcomes import Charged
from billing.charging.planning import Heard, Plan, Planned, Stored, forget_global, plan_requests
from billing.charging.reading import Known, lock_and_read, unique_key
from billing.charging.requests import ChargeRequest, Mode
from billing.charging.stale import StaleConfig
from billing.costs import KnownCost, known_costs
from billing.funding import Part, overspent
from billing.models import ReRating, Reversal, ReversedCharge, Transfer
from billing.rerating import charge_stored, stored_event
from billing.reversals.undoing import Undoing
from billing.reversals.usage import (
    Extreme,
    change_usage,
    forget_unpriced,
    heard_then,
    settle_extremes,
)
from billing.store_authorizations import read_caps
from billing.store_paid import Payers, read_borne, read_payers
from billing.store_reversals import StandingCharge, standing_charges
from core.errors import Conflict
from core.ids import new_uuid7
from core.numbers import CONTEXT, ZERO
from core.partitions import ensure_month
from core.sql import driver
from metering.models import UsageEvent
from metering.payload import ASKED
from metering.store import UniqueKey

ATTEMPTS: Final = 5
Cause = Reversal.Cause


@dataclass(slots=True)
class Work:
    """A transaction on its way. `rows` are the events by the index of their item."""

    raw: psycopg.Connection[Any]
    now: datetime
    cause: str
    reason: str
    by: str
    rows: Sequence[UsageEvent]
    known: Known
    batch: Batch
    undoing: Undoing
    standing: dict[UUID, list[StandingCharge]]
    heard: dict[int, list[Heard]]
    rerated: set[UUID]
    costs: dict[UUID, KnownCost]
    caps: dict[UUID, Decimal]
    paid: dict[tuple[str, int], Payers] = field(default_factory=dict)
    borne: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    moved: list[Part] = field(default_factory=list)
    reversals: dict[int, tuple[Reversal, list[StandingCharge]]] = field(default_factory=dict)
    charged: list[Charged] = field(default_factory=list)
    extremes: list[Extreme] = field(default_factory=list)

    def book_of(self, item: Planned) -> PayerBook:
        """The locked payer's."""
        payer = item.attribution.payer
        assert payer is not None
        return self.known.books[payer.customer_id, payer.id]

    def borne_of(self, item: Planned) -> giving_back.Borne:
        """What the operator bears of components in segments, with what is not written yet; read once each."""

        def borne(component: str, segment: int) -> Decimal:
            key = (component, segment)
            if key not in self.borne:
                self.borne[key] = read_borne(self.raw, self.book_of(item), key)
            return giving_back.add_borne(self.borne[key], giving_back.parts_of(self.moved, *key))

        return borne


def run(
    rows: Sequence[UsageEvent], currency: str, now: datetime, *, cause: str, reason: str, by: str
) -> Work:
    """Reverse the charges of one payer's events, which come with `properties_text`, in `seq` order.

    Under the cause `rerating` they are charged again. The caller has checked that there is something to do.
    Inside a caller's transaction it commits with that. Raises Conflict for what is reversed already.
    """
    ensure_month(now)
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return _run(rows, currency, now, cause, reason, by)
        except StaleConfig as stale:
            directory.forget(stale.customer_ids)
            if stale.is_global:
                forget_global()
    raise RuntimeError("the configuration keeps changing; run it again")


def _run(rows: Sequence[UsageEvent], currency: str, now: datetime, cause: str, reason: str, by: str) -> Work:
    plan = _plan(rows, currency, now)
    raw = driver()
    items, known = lock_and_read(raw, plan, now)
    customer_id = rows[0].customer_id
    items = _not_reversed(items, rows, cause)
    standing = standing_charges(raw, customer_id, [(row.id, row.recorded_at) for row in rows])
    rerated = ReRating.objects.filter(customer_id=customer_id, event_id__in=[row.id for row in rows])
    undoing = Undoing(known, (customer_id, rows[0].billing_entity_id))
    undoing.read(raw, [(item, standing.get(rows[item.index].id, [])) for item in items])
    work = Work(
        raw=raw,
        now=now,
        cause=cause,
        reason=reason,
        by=by,
        rows=rows,
        known=known,
        batch=Batch(now),
        undoing=undoing,
        standing=standing,
        heard=heard_then([(item, rows[item.index]) for item in items]) if items else {},
        rerated=set(rerated.values_list("event_id", flat=True)),
        costs=known_costs(rows) if cause == Cause.EVENT else {},
        caps=_caps(raw, rows) if cause == Cause.RERATING else {},
    )
    for item in reversed(items):
        _take_back(work, item)
    if cause == Cause.RERATING:
        for item in items:
            _charge_again(work, item)
    _write(work)
    return work


def _caps(raw: psycopg.Connection[Any], rows: Sequence[UsageEvent]) -> dict[UUID, Decimal]:
    """The most that events may cost which were captured with a cap: all of it, for nothing of them stands."""
    found = read_caps(raw, rows[0].customer_id, [row.id for row in rows])
    return {event: most for event, most, _ in found}


def _not_reversed(items: Sequence[Planned], rows: Sequence[UsageEvent], cause: str) -> list[Planned]:
    """The items whose events still count; to reverse one that does not is refused. Raises Conflict."""
    found = Reversal.objects.filter(
        customer_id=rows[0].customer_id, event_id__in=[row.id for row in rows], cause=Cause.EVENT
    )
    gone = set(found.values_list("event_id", flat=True))
    if gone and cause == Cause.EVENT:
        raise Conflict("already_reversed", "This event is reversed already.", "event")
    return [item for item in items if rows[item.index].id not in gone]


def _plan(rows: Sequence[UsageEvent], currency: str, now: datetime) -> Plan:
    requests = [
        (index, ChargeRequest(stored_event(row, currency), Mode.REPORT, "reversal", is_any_age=True))
        for index, row in enumerate(rows)
    ]
    plan = plan_requests(requests, now)
    for item, row in zip(plan.items, rows, strict=True):
        item.stored = Stored(row.id, row.recorded_at, False, False, bool(row.given & ASKED))
        item.attribution.workspace_id, item.attribution.api_key_id = row.workspace_id, row.api_key_id
    return plan


def _take_back(work: Work, item: Planned) -> None:
    row, charges = work.rows[item.index], work.standing.get(work.rows[item.index].id, [])
    if not charges and work.cause == Cause.RERATING:
        return  # it was left without a price by an earlier re-rating
    book, batch = work.book_of(item), work.batch
    rated = work.undoing.undo(item, charges)
    item.late_segments |= work.undoing.closed & {line["segment"] for line in rated.lines}
    absorbed = late.settle_item(work.raw, item, work.known, rated) if item.late_segments else []
    absorbed += giving_back.give_back_absorbed(rated, work.borne_of(item))
    parts = _fund(work, item, book, rated) + absorbed
    for key in work.undoing.apply(item, charges, rated):
        batch.uniques[key] = batch.uniques.get(key, 0) - 1
    batch.states.update(rated.states)
    work.known.limiting.count(item, rated)
    if item.late_segments:
        batch.note_late(item, rated)
    _book(work, item, rated, parts, charges)
    _note_paid(work, parts)
    _take_usage(work, item, row, rated)
    if any(part.amount < 0 for part in parts):
        book.settle_due((), work.now)  # what returned to an expired grant is breakage at once


def _book(
    work: Work, item: Planned, rated: RatedItem, parts: list[Part], charges: list[StandingCharge]
) -> None:
    """The charge that takes back, and the reversal that names it."""
    row, book, batch = work.rows[item.index], work.book_of(item), work.batch
    seq = book.next_seq()
    uuid = new_uuid7(work.now)
    taking = replace(item, id=uuid, id_text=uuid.hex)
    before = overspent(book.funds)
    book.pay(seq, batch.recorded_at, Transfer.Reason.REVERSAL, taking.id_text, parts)
    note_overspend(batch, taking, book, seq, CONTEXT.subtract(overspent(book.funds), before))
    add_charge(batch, taking, answer(batch, taking, book, seq, rated.amount, rated.lines), parts)
    work.reversals[item.index] = (
        Reversal(
            customer_id=row.customer_id,
            billing_entity_id=row.billing_entity_id,
            cause=work.cause,
            event_id=row.id,
            event_recorded_at=row.recorded_at,
            charge_id=taking.id,
            seq=seq,
            amount=rated.amount,
            currency=item.attribution.payer.currency if item.attribution.payer else "",
            reason=work.reason,
            created_by=work.by,
            recorded_at=work.now,
        ),
        charges,
    )


def _fund(work: Work, item: Planned, book: PayerBook, rated: RatedItem) -> list[Part]:
    """Who gets value back; and who pays, where what is left costs more."""

    def paid(component: str, segment: int, fall: Decimal) -> list[Part]:
        key = (component, segment)
        known = work.paid.get(key)
        # of a late segment coupons may just have moved too
        if known is None or segment in item.late_segments or not known.suffices(fall):
            here = giving_back.parts_of(work.moved, *key)  # not written yet
            known = work.paid[key] = read_payers(work.raw, book, key, fall, here)
        return known.parts

    parts = deciding.fund(item, book, rated)
    if any(amount < 0 for _, amount in rated.amounts):
        parts = late.take_coupons_back(work.batch, item, book, rated, parts)
        parts += giving_back.give_back_to(work.raw, book, rated, paid, work.borne_of(item))
    return parts


def _note_paid(work: Work, parts: Sequence[Part]) -> None:
    work.moved += parts
    for key, known in work.paid.items():
        work.paid[key] = known.after(giving_back.parts_of(parts, *key))


def _take_usage(work: Work, item: Planned, row: UsageEvent, rated: RatedItem) -> None:
    """Out of the buckets: all of an event that is to count for nothing; else only what its scope decides."""
    heard, batch = work.heard[item.index], work.batch
    if work.cause == Cause.RERATING:
        _change_uniques(work, item, heard, -1, rated.new_uniques)
        add_margin(batch, item, [0, 0, 0, 0, rated.amount, ZERO])
        return
    work.extremes += change_usage(batch, item, heard, -1, rated.new_uniques)
    work.known.limiting.count_quotas(item, partial(deciding.quantity_of, item, rated=rated), -1)
    was_left = row.id not in work.rerated
    known = work.costs[row.id].cost
    change = [-1, -(known is not None), -(row.unmatched and was_left), -(row.unpriced and was_left)]
    cost = ZERO if known is None else known.copy_negate()
    add_margin(batch, item, [*change, rated.amount, cost])


def _charge_again(work: Work, item: Planned) -> None:
    """Charge the event at what covers it now; without a price it is recorded usage as before."""
    if item.attribution.payer is None:
        return
    new = {unique_key(item, use) for use in item.uniques} - work.known.uniques
    most = work.caps.get(work.rows[item.index].id)
    charged = charge_stored(work.raw, item, work.known, work.batch, is_partial=True, most=most)
    has_stood = item.index in work.reversals
    if charged is not None:
        work.charged.append(charged)
        if not has_stood:  # an earlier re-rating left it without a price: a reversal of nothing leads on
            _book(work, item, RatedItem(), [], [])
        work.reversals[item.index][0].replaced_by = charged.id
    if not has_stood:
        if charged is None:
            return  # its usage counts as it does already
        forget_unpriced(work.raw, work.batch, item, work.heard[item.index])
    elif charged is None:
        work.known.uniques |= new
        for use in item.uniques:
            key = unique_key(item, use)
            work.batch.uniques[key] = work.batch.uniques.get(key, 0) + 1
    _change_uniques(work, item, work.heard[item.index], 1, new)


def _change_uniques(
    work: Work, item: Planned, heard: Sequence[Heard], sign: int, uniques: set[UniqueKey]
) -> None:
    change_usage(work.batch, item, [one for one in heard if one.unique is not None], sign, uniques)


def _write(work: Work) -> None:
    work.batch.reratings.clear()  # these events were priced before: `Reversal.replaced_by` leads on
    write_batch(work.raw, work.batch, work.known)
    made = [work.reversals[index] for index in sorted(work.reversals)]
    Reversal.objects.bulk_create([reversal for reversal, _ in made])
    ReversedCharge.objects.bulk_create(
        [
            ReversedCharge(customer_id=reversal.customer_id, charge_id=charge.id, reversal=reversal)
            for reversal, charges in made
            for charge in charges
        ]
    )
    settle_extremes(work.extremes)
    late.settle_closed(work.batch.late, work.now, is_reversal=True)
