"""Booking closing lines: each is a ledger transaction of its own, under the payer's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from billing.book import PayerBook
from billing.closing.lines import Line
from billing.funding import Part, burn, overspent
from billing.hours import hour_start
from billing.ledger import LEAKAGE
from billing.models import ClosingLine, Overspend, Transfer
from billing.store import MarginKey, OverspendRow, write_overspend
from billing.store_margins import add_margins
from core.ids import new_uuid7, public_id
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver
from metering.models import Meter
from pricing.models import BillingPeriod

PERIOD_CLOSE: Final = "period_close"
"""The event name under which closing lines stand in margin buckets."""
TICK: Final = timedelta(microseconds=1)
GiveBack = Callable[[PayerBook, Line], list[Part]]


def book_lines(
    books: Mapping[int, PayerBook],
    wanted: Iterable[tuple[BillingPeriod, Sequence[Line]]],
    now: datetime,
    *,
    event_id: UUID | None = None,
    give_back: GiveBack | None = None,
) -> list[ClosingLine]:
    """Pay periods' lines like usage at their last instant, and keep them; those of 0 are kept too.

    The periods come with subscription and payer, `books` are by payer. `event_id`: the late event that made
    the lines; only then may one be negative, and `give_back` says to whom its value returns. What a meter's
    policy absorbs is leakage. Three statements, however many periods there are.
    """
    rows: list[ClosingLine] = []
    below: list[OverspendRow] = []
    margins: dict[MarginKey, list[Any]] = {}
    for period, lines in wanted:
        book = books[period.subscription.billing_entity_id]
        booked = [_book(book, period, line, now, event_id, give_back, below) for line in lines]
        rows += booked
        revenue = ZERO
        for row in booked:
            revenue = CONTEXT.add(revenue, row.amount)
        if revenue:
            zone = period.subscription.billing_entity.time_zone
            key = MarginKey(*book.payer, hour_start(period.ends_at - TICK, zone), 0, PERIOD_CLOSE)
            margin = margins.setdefault(key, [0, 0, 0, 0, ZERO, ZERO])
            margin[4] = CONTEXT.add(margin[4], revenue)
    if rows:
        ClosingLine.objects.bulk_create(rows)
        write_overspend(driver(), below, now)
        add_margins(driver(), margins)
    return rows


def _book(
    book: PayerBook,
    period: BillingPeriod,
    line: Line,
    now: datetime,
    event_id: UUID | None,
    give_back: GiveBack | None,
    below: list[OverspendRow],
) -> ClosingLine:
    """One line, paid for; what that took below the floor goes to `below`."""
    row, amount = _row(book, period, line, now, event_id), line.addition.amount
    if not amount:
        return row
    parts = _parts(book, line, period.ends_at - TICK, give_back)
    before = overspent(book.funds)
    row.seq = book.next_seq()
    reference = f"{public_id('bp', period.pk)}/{line.key}/{line.addition.kind}"
    book.pay(row.seq, now.isoformat(), Transfer.Reason.CLOSE, reference, parts)
    row.funding = [
        {"account": part.account, "amount": plain(part.amount), "grant": part.grant_id} for part in parts
    ]
    beyond = CONTEXT.subtract(overspent(book.funds), before)
    if beyond > 0:
        below.append(OverspendRow(*book.payer, row.seq, new_uuid7(now), beyond, Overspend.Cause.REPORTED))
    if amount < 0:
        book.settle_due((), now)  # what returned to an expired grant is breakage at once
    return row


def _parts(book: PayerBook, line: Line, at: datetime, give_back: GiveBack | None) -> list[Part]:
    amount = line.addition.amount
    if line.late_policy == Meter.LatePolicy.ABSORB:
        return [Part(line.key, LEAKAGE, amount, None, line.segment_id)]
    if amount < 0 and give_back is not None:
        return give_back(book, line)
    return burn(book.funds, [(line.key, amount)], at, [line.segment_id])


def _row(
    book: PayerBook,
    period: BillingPeriod,
    line: Line,
    now: datetime,
    event_id: UUID | None,
) -> ClosingLine:
    customer_id, payer_id = book.payer
    return ClosingLine(
        customer_id=customer_id,
        billing_entity_id=payer_id,
        subscription_id=period.subscription_id,
        period_id=period.pk,
        segment_id=line.segment_id,
        component_id=line.component_id,
        version_id=line.version_id,
        key=line.key,
        kind=line.addition.kind,
        cause=ClosingLine.Cause.CLOSE if event_id is None else ClosingLine.Cause.LATE,
        late_policy=line.late_policy,
        event_id=event_id,
        amount=line.addition.amount,
        currency=period.subscription.billing_entity.currency,
        detail=line.detail,
        funding=[],
        recorded_at=now,
    )
