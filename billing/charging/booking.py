"""Booking: from decided items to the rows of one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from billing.book import PayerBook, transfers_of, write_books
from billing.charging.deciding import RatedItem, quantity_of
from billing.charging.outcomes import Charged, Denied, Recorded
from billing.charging.planning import Planned
from billing.charging.reading import Known, unique_key
from billing.charging.requests import Mode
from billing.funding import Part, overspent
from billing.margin_floors import sums
from billing.store import (
    CHARGES,
    DenialRow,
    MarginKey,
    OverspendRow,
    write_denials,
    write_margins,
    write_overspend,
    write_reratings,
)
from billing.store_authorizations import HOLDS
from core.numbers import CONTEXT, ZERO, plain
from core.pipeline import Pipeline
from core.sql import NULL, Row, commits_here, copy_many, insert_few
from metering.catalogue import CompiledMeter, freeze_meters
from metering.store import ASKED, EVENTS, GIVEN, KEYS, BucketKey, UniqueKey, add_buckets, add_uniques
from pricing.rating.state import State
from pricing.store import CounterKey, write_counters

encode = msgspec.json.Encoder(decimal_format="number").encode
BUCKET_MERGE: Final = {"max": "max", "min": "min", "latest": None, "weighted_sum": None}
add, subtract = CONTEXT.add, CONTEXT.subtract


@dataclass(slots=True)
class Batch:
    """The rows that one transaction will write."""

    now: datetime
    recorded_at: str = field(init=False)
    keys: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    charges: list[Row] = field(default_factory=list)
    states: dict[CounterKey, State] = field(default_factory=dict)
    buckets: dict[str, dict[BucketKey, list[Any]]] = field(default_factory=dict)
    uniques: dict[UniqueKey, int] = field(default_factory=dict)
    margins: dict[MarginKey, list[Any]] = field(default_factory=dict)
    denials: list[DenialRow] = field(default_factory=list)
    overspend: list[OverspendRow] = field(default_factory=list)
    meters: dict[int, CompiledMeter] = field(default_factory=dict)
    paid: list[Part] = field(default_factory=list)
    reratings: list[tuple[int, UUID, UUID]] = field(default_factory=list)
    late: list[Planned] = field(default_factory=list)
    holds: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the transaction's instant out once: every row bears it."""
        self.recorded_at = self.now.isoformat()


def book_item(
    batch: Batch, item: Planned, known: Known, book: PayerBook, rated: RatedItem, parts: Sequence[Part]
) -> Charged | Recorded:
    """Take an allowed item into the books and the batch; gives its answer."""
    seq = book.next_seq()
    unmatched = not item.is_matched
    unpriced = item.is_matched and (not item.is_priced or rated.not_priced is not None)
    _apply_states(batch, item, known, rated)
    if item.late_segments:
        batch.late.append(item)
    if item.stored is None:
        _add_event(batch, item, book, seq, unmatched=unmatched, unpriced=unpriced)
        _add_usage(batch, item, rated)
        if item.floors is not None:
            note_floors(item, rated.amount)
        change = (1, item.cost is not None, unmatched, unpriced, rated.amount, item.cost or ZERO)
        add_margin(batch, item, change)
    else:
        _add_rerating(batch, item, rated)
    customer_id, wallet = book.payer[0], book.funds.wallet
    if not item.lines and item.request.mode is Mode.REPORT:
        return Recorded(customer_id, item.id, batch.now, seq, unmatched, unpriced)
    if all(part.grant_id is not None for part in parts):  # what grants pay for overspends nothing
        book.pay(seq, batch.recorded_at, "usage", item.id_text, parts)
    else:
        before = overspent(book.funds)
        book.pay(seq, batch.recorded_at, "usage", item.id_text, parts)
        note_overspend(batch, item, book, seq, subtract(overspent(book.funds), before))
    payer = item.attribution.payer
    if payer is not None and payer.low_balance:
        known.limiting.note_balance(payer, seq, wallet, book.funds.wallet)
    add_charge(batch, item, book, seq, rated, parts)
    answer = _answer(batch, item, book, seq, rated, unmatched, unpriced)
    if any(part.amount < 0 for part in parts):
        book.settle_due((), batch.now)  # what returned to an expired grant is breakage at once
    return answer


def write_batch(raw: psycopg.Connection[Any], batch: Batch, known: Known, *, is_last: bool = False) -> None:
    """Write it all: COPY where there is much, then one pipeline of inserts and upserts.

    `is_last`: nothing follows in the transaction, so it is committed with the same round trip.
    """
    freeze_meters(batch.meters.values(), batch.now)
    batch.keys.sort(key=tuple)  # one key may reach two payers at once: all take keys in one order
    tables = ((KEYS, batch.keys), (EVENTS, batch.events), (CHARGES, batch.charges), (HOLDS, batch.holds))
    few = copy_many(raw, (*tables, transfers_of(known.books.values())))
    with Pipeline(raw) as pipe:
        insert_few(pipe, few)
        write_books(pipe, known.books.values())
        write_counters(pipe, batch.states)
        for merge, buckets in batch.buckets.items():
            add_buckets(pipe, merge, buckets)
        add_uniques(pipe, batch.uniques)
        write_margins(pipe, batch.margins)
        sums.write(pipe, known.floored, batch.now)
        write_denials(pipe, batch.denials, batch.now)
        write_overspend(pipe, batch.overspend, batch.now)
        write_reratings(pipe, batch.reratings, batch.now)
        known.limiting.write(pipe)
        if is_last and commits_here():
            pipe.commit()


def _apply_states(batch: Batch, item: Planned, known: Known, rated: RatedItem) -> None:
    known.counters.update(rated.states)
    batch.states.update(rated.states)
    if not known.limiting.is_empty:
        known.limiting.count(item, rated)
        if item.stored is None or item.stored.was_unmatched:
            known.limiting.count_quotas(item, partial(quantity_of, item, rated=rated))
    known.uniques |= rated.new_uniques
    for use in item.uniques:
        key = unique_key(item, use)
        batch.uniques[key] = batch.uniques.get(key, 0) + 1


def _add_usage(batch: Batch, item: Planned, rated: RatedItem) -> None:
    """Count the event in the hourly buckets of the meters that hear it."""
    payer, workspace_id = item.attribution.payer, item.attribution.workspace_id or 0
    assert payer is not None
    for heard in item.heard:
        meter = heard.meter
        batch.meters[meter.id] = meter
        merge = BUCKET_MERGE.get(meter.aggregation, "sum")
        if merge is None:
            continue
        key = BucketKey(payer.customer_id, payer.id, meter.id, item.hour, workspace_id, heard.dimensions)
        quantity = heard.quantity if heard.unique is None else quantity_of(item, heard, rated)
        buckets = batch.buckets.setdefault(merge, {})
        bucket = buckets.get(key)
        if bucket is None:
            buckets[key] = [quantity, 1]
        else:
            bucket[0] = _merged(merge, bucket[0], quantity)
            bucket[1] += 1


def _merged(merge: str, old: Decimal, new: Decimal) -> Decimal:
    if merge == "sum":
        return add(old, new)
    return max(old, new) if merge == "max" else min(old, new)


def _add_event(
    batch: Batch, item: Planned, book: PayerBook, seq: int, *, unmatched: bool, unpriced: bool
) -> None:
    event, found = item.request.event, item.attribution
    customer_id, payer_id = book.payer
    key, customer = event.idempotency_key, str(customer_id)
    batch.keys.append((customer, key, f"\\x{item.payload_hash.hex()}", item.id_text, batch.recorded_at))
    batch.events.append(
        (
            customer,
            item.id_text,
            batch.recorded_at,
            str(seq),
            str(payer_id),
            _number(found.workspace_id),
            _number(found.api_key_id),
            key,
            event.event,
            item.occurred_at,
            _json(event.properties),
            NULL if item.costs is None else _json(item.costs),
            _number(item.cost),
            event.user or NULL,
            event.trace or NULL,
            item.request.source,
            str(given_fields(event.payload) | (ASKED if item.request.mode is Mode.ASK else 0)),
            "t" if unmatched else "f",
            "t" if unpriced else "f",
        )
    )


def add_charge(
    batch: Batch, item: Planned, book: PayerBook, seq: int, rated: RatedItem, parts: Sequence[Part]
) -> None:
    """Write the charge's row, with the balance as it is now."""
    payer, funds, stored = item.attribution.payer, book.funds, item.stored
    assert payer is not None
    batch.paid += parts
    funding = [
        {
            "component": part.component,
            "segment": part.segment,
            "account": part.account,
            "amount": plain(part.amount),
            "grant": part.grant_id,
        }
        for part in parts
    ]
    batch.charges.append(
        (
            str(payer.customer_id),
            item.id_text,
            batch.recorded_at,
            str(seq),
            str(payer.id),
            _number(item.attribution.workspace_id),
            stored.event_id.hex if stored else item.id_text,
            stored.recorded_at.isoformat() if stored else batch.recorded_at,
            item.occurred_at,
            str(rated.amount),
            payer.currency,
            _json(rated.lines),
            _json(funding),
            str(funds.wallet),
            str(funds.held),
            str(funds.available),
        )
    )


def add_margin(batch: Batch, item: Planned, change: Sequence[Any]) -> None:
    """Add (events, costed, unmatched, unpriced, revenue, cost) to the event's margin bucket."""
    payer, event = item.attribution.payer, item.request.event
    assert payer is not None
    if item.floors is not None:
        item.floors.periods.add(item.hour, change)
    workspace_id = item.attribution.workspace_id or 0
    key = MarginKey(payer.customer_id, payer.id, item.hour, workspace_id, event.event)
    row = batch.margins.get(key)
    if row is None:
        batch.margins[key] = [*map(int, change[:4]), *change[4:]]
        return
    for column in range(4):
        row[column] += change[column]
    for column in (4, 5):
        row[column] = add(row[column], change[column])


def note_floors(item: Planned, amount: Decimal) -> None:
    """Tell staff of what a call does to a margin below its floor."""
    assert item.floors is not None
    call = item.request.event.idempotency_key
    item.floors.look(amount, item.cost, call, is_convertible=item.costs is None or item.cost is not None)


def _add_rerating(batch: Batch, item: Planned, rated: RatedItem) -> None:
    """The event stands already: only its price is new, and its usage if no meter had heard it."""
    stored, payer = item.stored, item.attribution.payer
    assert stored is not None
    assert payer is not None
    if stored.was_unmatched:
        _add_usage(batch, item, rated)
    add_margin(batch, item, (0, 0, -stored.was_unmatched, -stored.was_unpriced, rated.amount, ZERO))
    batch.reratings.append((payer.customer_id, stored.event_id, item.id))


def note_overspend(batch: Batch, item: Planned, book: PayerBook, seq: int, amount: Decimal) -> None:
    """Report what a charge took below the floor; nothing for 0 or less."""
    if amount > 0:
        batch.overspend.append(OverspendRow(*book.payer, seq, item.id, amount, item.overspend_cause()))


def _answer(
    batch: Batch,
    item: Planned,
    book: PayerBook,
    seq: int,
    rated: RatedItem,
    unmatched: bool,
    unpriced: bool,
) -> Charged:
    payer, funds = item.attribution.payer, book.funds
    assert payer is not None
    return Charged(
        customer_id=payer.customer_id,
        id=item.id,
        recorded_at=batch.now,
        seq=seq,
        billing_entity=payer.public_id,
        amount=rated.amount,
        currency=payer.currency,
        cost=item.cost,
        lines=rated.lines,
        available=funds.available,
        settled=funds.wallet,
        held=funds.held,
        unmatched=unmatched,
        unpriced=unpriced,
    )


def note_denial(batch: Batch, item: Planned, denial: Denied) -> None:
    """Keep a refusal; it consumes no key."""
    payer, event = item.attribution.payer, item.request.event
    assert payer is not None
    if denial.reason == "margin_floor":
        note_floors(item, denial.expected_amount)
    batch.denials.append(
        DenialRow(
            payer.customer_id,
            payer.id,
            item.attribution.workspace_id,
            item.attribution.api_key_id,
            event.occurred_at,
            event.idempotency_key,
            event.event,
            denial.reason,
            denial.level,
            denial.level_id,
            denial.expected_amount,
            denial.available,
            denial.limit,
            denial.used,
            denial.resets_at,
            denial.is_retryable,
        )
    )


def _json(value: Any) -> str:
    """A value as JSON: numbers exactly as they came."""
    return encode(value).decode()


def given_fields(payload: dict[str, Any]) -> int:
    """The bits of the optional fields that the caller sent."""
    return sum(bit for name, bit in GIVEN.items() if name in payload)


def _number(value: int | Decimal | None) -> str:
    return NULL if value is None else str(value)
