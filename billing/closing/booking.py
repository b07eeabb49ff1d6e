"""Booking closing lines: each is a ledger transaction of its own, under the payer's lock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from accounts.models import BillingEntity
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
    book: PayerBook,
    entity: BillingEntity,
    period: BillingPeriod,
    lines: Sequence[Line],
    now: datetime,
    *,
    event_id: UUID | None = None,
    give_back: GiveBack | None = None,
) -> list[ClosingLine]:
    """Pay the lines like usage at the period's last instant, and keep them; those of 0 are kept too.

    `event_id`: the late event that made them; only then may a line be negative, and `give_back` says to whom
    its value returns. What a meter's policy absorbs is leakage.
    """
    at = period.ends_at - TICK
    rows, revenue, below = [], ZERO, []
    for line in lines:
        amount = line.addition.amount
        row = _row(book, entity, period, line, now, event_id)
        if amount:
            parts = _parts(book, line, at, give_back)
            before = overspent(book.funds)
            row.seq = book.next_seq()
            reference = f"{public_id('bp', period.pk)}/{line.key}/{line.addition.kind}"
            book.pay(row.seq, now.isoformat(), Transfer.Reason.CLOSE, reference, parts)
            row.funding = [
                {"account": part.account, "amount": plain(part.amount), "grant": part.grant_id}
                for part in parts
            ]
            revenue = CONTEXT.add(revenue, amount)
            beyond = CONTEXT.subtract(overspent(book.funds), before)
            if beyond > 0:
                cause = Overspend.Cause.REPORTED
                below.append(OverspendRow(*book.payer, row.seq, new_uuid7(now), beyond, cause))
            if amount < 0:
                book.settle_due((), now)  # what returned to an expired grant is breakage at once
        rows.append(row)
    ClosingLine.objects.bulk_create(rows)
    write_overspend(driver(), below, now)
    if revenue:
        hour = hour_start(at, entity.time_zone)
        margins: dict[MarginKey, list[Any]] = {
            MarginKey(*book.payer, hour, 0, PERIOD_CLOSE): [0, 0, 0, 0, revenue, ZERO]
        }
        add_margins(driver(), margins)
    return rows


def _parts(book: PayerBook, line: Line, at: datetime, give_back: GiveBack | None) -> list[Part]:
    amount = line.addition.amount
    if line.late_policy == Meter.LatePolicy.ABSORB:
        return [Part(line.key, LEAKAGE, amount, None, line.segment_id)]
    if amount < 0 and give_back is not None:
        return give_back(book, line)
    return burn(book.funds, [(line.key, amount)], at, [line.segment_id])


def _row(
    book: PayerBook,
    entity: BillingEntity,
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
        currency=entity.currency,
        detail=line.detail,
        funding=[],
        recorded_at=now,
    )
