"""Booking: from decided items to the rows of one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from billing.book import PayerBook, transfers_of, write_books
from billing.charging.deciding import RatedItem, quantity_of
from billing.charging.outcomes import Charged, Denied, Recorded
from billing.charging.planning import Heard, Planned
from billing.charging.reading import Known, unique_key
from billing.charging.requests import Mode
from billing.funding import Part, overspent
from billing.low_balance import tell_low_balances
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
from metering.payload import ASKED, GIVEN
from metering.store import EVENTS, KEYS, BucketKey, UniqueKey, add_buckets, add_uniques
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
    late_changes: dict[tuple[str, int], Decimal] = field(default_factory=dict)
    holds: list[Row] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the transaction's instant out once: every row bears it."""
        self.recorded_at = self.now.isoformat()

    def note_late(self, item: Planned, rated: RatedItem) -> None:
        """Keep an item that changes closed lines, and what it changes: what is stored of them stays as it is
        until the batch is written."""
        self.late.append(item)
        for place, amount in late_changes(item, rated):
            self.late_changes[place] = add(self.late_changes.get(place, ZERO), amount)


def late_changes(item: Planned, rated: RatedItem) -> Iterator[tuple[tuple[str, int], Decimal]]:
    """What an item changes of closed lines for its payer, by component key and segment."""
    for (key, amount), segment in zip(rated.amounts, rated.segments, strict=True):
        if segment in item.late_segments:
            yield (key, segment), amount


def book_item(
    batch: Batch, item: Planned, known: Known, book: PayerBook, rated: RatedItem, parts: Sequence[Part]
) -> Charged | Recorded:
    """Take an allowed item into the books and the batch; gives its answer."""
    seq = book.next_seq()
    unmatched = not item.is_matched
    unpriced = item.is_matched and (not item.is_priced or rated.not_priced is not None)
    _apply_states(batch, item, known, rated)
    if item.late_segments:
        batch.note_late(item, rated)
    if item.stored is None:
        add_event(batch, item, book, seq, unmatched=unmatched, unpriced=unpriced)
        _add_usage(batch, item, rated)
        if item.floors is not None:
            note_floors(item, rated.amount)
        change = (1, item.cost is not None, unmatched, unpriced, rated.amount, item.cost or ZERO)
        add_margin(batch, item, change)
    else:
        _add_rerating(batch, item, rated)
    customer_id = book.payer[0]
    if not item.lines and item.request.mode is Mode.REPORT:
        return Recorded(customer_id, item.id, batch.now, seq, unmatched, unpriced)
    if all(part.grant_id is not None for part in parts):  # what grants pay for overspends nothing
        book.pay(seq, batch.recorded_at, "usage", item.id_text, parts)
    else:
        before = overspent(book.funds)
        book.pay(seq, batch.recorded_at, "usage", item.id_text, parts)
        note_overspend(batch, item, book, seq, subtract(overspent(book.funds), before))
    charged = answer(batch, item, book, seq, rated.amount, rated.lines)
    charged.unmatched, charged.unpriced = unmatched, unpriced
    add_charge(batch, item, charged, parts)
    if any(part.amount < 0 for part in parts):
        book.settle_due((), batch.now)  # what returned to an expired grant is breakage at once
    return charged


def write_batch(raw: psycopg.Connection[Any], batch: Batch, known: Known, *, is_last: bool = False) -> None:
    """Write it all: COPY where there is much, then one pipeline of inserts and upserts.

    `is_last`: nothing follows in the transaction, so it is committed with the same round trip.
    """
    freeze_meters(batch.meters.values(), batch.now)
    batch.keys.sort()  # one key may reach two payers at once: all take keys in one order
    tables = ((KEYS, batch.keys), (EVENTS, batch.events), (CHARGES, batch.charges), (HOLDS, batch.holds))
    few = copy_many(raw, (*tables, transfers_of(known.books.values())))
    with Pipeline(raw) as pipe:
        insert_few(pipe, few)
        known.limiting.grow(known.books)
        write_books(pipe, known.books.values())
        tell_low_balances(pipe, known.books.values(), batch.now)
        write_counters(pipe, batch.states)
        for merge, buckets in batch.buckets.items():
            add_buckets(pipe, merge, buckets)
        add_uniques(pipe, batch.uniques)
        write_margins(pipe, batch.margins)
        if known.floored is not None:
            known.floored.write(pipe, batch.margins)
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
    for heard in item.heard:
        quantity = heard.quantity if heard.unique is None else quantity_of(item, heard, rated)
        count_usage(batch, item, heard, quantity)


def count_usage(batch: Batch, item: Planned, heard: Heard, quantity: Decimal) -> None:
    """Count the event in the hourly bucket of a meter that hears it."""
    payer, meter = item.attribution.payer, heard.meter
    assert payer is not None
    batch.meters[meter.id] = meter
    merge = BUCKET_MERGE.get(meter.aggregation, "sum")
    if merge is None:
        return
    workspace_id = item.attribution.workspace_id or 0
    key = BucketKey(payer.customer_id, payer.id, meter.id, item.hour, workspace_id, heard.dimensions)
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


def add_event(
    batch: Batch, item: Planned, book: PayerBook, seq: int, *, unmatched: bool, unpriced: bool
) -> None:
    """Write the event's row and its key's."""
    event, found = item.request.event, item.attribution
    customer_id, payer_id = book.payer
    asked = ASKED if item.request.mode is Mode.ASK else 0
    batch.keys.append(key_row(batch, item, customer_id))
    batch.events.append(
        f"{customer_id}\t{item.id_text}\t{batch.recorded_at}\t{seq}\t{payer_id}\t{_number(found.workspace_id)}"
        f"\t{_number(found.api_key_id)}\t{event.idempotency_key}\t{event.event}\t{item.occurred_at}"
        f"\t{event.properties_json}\t{NULL if item.costs is None else _json(item.costs)}"
        f"\t{_number(item.cost)!s}\t{event.user or NULL}\t{event.trace or NULL}\t{item.request.source}"
        f"\t{given_fields(*event.payload) | asked}\t{unmatched}\t{unpriced}"
    )


def key_row(batch: Batch, item: Planned, customer_id: int) -> Row:
    """The key of an item that counts, as a row."""
    key, digest = item.request.event.idempotency_key, item.payload_hash.hex()
    return f"{customer_id}\t{key}\t\\x{digest}\t{item.id_text}\t{batch.recorded_at}"


def add_charge(batch: Batch, item: Planned, charged: Charged, parts: Sequence[Part]) -> None:
    """Write the charge's row, as it is answered."""
    payer, stored = item.attribution.payer, item.stored
    assert payer is not None
    batch.paid += parts
    funding = ",".join(map(_funding, parts))
    event_id = stored.event_id.hex if stored else item.id_text
    event_recorded_at = stored.recorded_at.isoformat() if stored else batch.recorded_at
    batch.charges.append(
        f"{payer.customer_id}\t{item.id_text}\t{batch.recorded_at}\t{charged.seq}\t{payer.id}"
        f"\t{_number(item.attribution.workspace_id)}\t{event_id}\t{event_recorded_at}\t{item.occurred_at}"
        f"\t{charged.amount!s}\t{charged.currency}\t{_json(charged.lines)}\t[{funding}]"
        f"\t{charged.settled!s}\t{charged.held!s}\t{charged.available!s}"
    )


def _funding(part: Part) -> str:
    """Who paid a part, as JSON."""
    grant = "null" if part.grant_id is None else part.grant_id
    segment = "null" if part.segment is None else part.segment
    return (
        f'{{"component":{_quoted(part.component)},"segment":{segment},"account":"{part.account}"'
        f',"amount":"{plain(part.amount)}","grant":{grant}}}'
    )


def add_margin(batch: Batch, item: Planned, change: Sequence[Any]) -> None:
    """Add (events, costed, unmatched, unpriced, revenue, cost) to the event's margin bucket."""
    payer, event = item.attribution.payer, item.request.event
    assert payer is not None
    if item.floors is not None and item.floors.periods.sums:
        item.floors.periods.add(item.hour, change)
    workspace_id = item.attribution.workspace_id or 0
    key = MarginKey(payer.customer_id, payer.id, item.hour, workspace_id, event.event)
    events, costed, unmatched, unpriced, revenue, cost = change
    row = batch.margins.get(key)
    if row is None:
        batch.margins[key] = [events, int(costed), int(unmatched), int(unpriced), revenue, cost]
        return
    row[0] += events
    row[1] += costed
    row[2] += unmatched
    row[3] += unpriced
    row[4] = add(row[4], revenue)
    row[5] = add(row[5], cost)


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


def answer(
    batch: Batch, item: Planned, book: PayerBook, seq: int, amount: Decimal, lines: list[dict[str, Any]]
) -> Charged:
    """What the caller is told of a charge, with the balance as it is now."""
    payer, funds = item.attribution.payer, book.funds
    assert payer is not None
    return Charged(
        customer_id=payer.customer_id,
        id=item.id,
        recorded_at=batch.now,
        seq=seq,
        billing_entity=payer.public_id,
        amount=amount,
        currency=payer.currency,
        cost=item.cost,
        lines=lines,
        available=funds.available,
        settled=funds.wallet,
        held=funds.held,
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


@lru_cache(maxsize=1024)
def _quoted(key: str) -> str:
    return _json(key)


@lru_cache(maxsize=1024)
def given_fields(*names: str) -> int:
    """The bits of the optional fields among those that the caller sent."""
    return sum(GIVEN.get(name, 0) for name in names)


def _number(value: int | Decimal | None) -> int | Decimal | str:
    return NULL if value is None else value
