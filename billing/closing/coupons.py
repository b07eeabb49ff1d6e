"""What coupons take off a period, given back when it closes (docs/algorithms/coupons.md).

Usage and fees are charged when they happen, at their whole price; the coupons' part returns to those who paid
for the line, the latest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging.giving_back import read_paid, restore
from billing.closing.booking import TICK
from billing.closing.lines import component_closes, segments_of
from billing.funding import Part, give_back
from billing.hours import hour_start
from billing.models import BookedFee, ClosingLine, CouponCredit, Transfer
from billing.store import MarginKey
from billing.store_margins import add_margins
from core.ids import public_id
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver
from pricing.coupons import discounts_in
from pricing.models import BillingPeriod
from pricing.rating.coupons import Line, coupon_discounts

COUPON: Final = "coupon"
"""The event name under which coupons stand in margin buckets."""


@dataclass(frozen=True, slots=True)
class CouponLine:
    """A line that coupons may take off from: a fee's (no segment) or a component's."""

    key: str
    amount: Decimal
    segment_id: int | None


def book_coupons(
    book: PayerBook, entity: BillingEntity, period: BillingPeriod, now: datetime
) -> list[CouponCredit]:
    """Give back what the period's coupons take off its lines; the period closes in this transaction.

    Its fees and closing lines are booked already, and the payer is locked.
    """
    discounts = discounts_in(period)
    if not discounts:
        return []
    lines = lines_of(period)
    taken = coupon_discounts(discounts, [Line(line.key, line.amount) for line in lines])
    rows = [
        _book(book, entity, period, line, amount, now)
        for line, amount in zip(lines, taken, strict=True)
        if amount > 0
    ]
    CouponCredit.objects.bulk_create(rows)
    _write_margin(entity, period, rows)
    return rows


def lines_of(period: BillingPeriod) -> list[CouponLine]:
    """The period's lines: its fees by key in the order of booking, then each segment's components."""
    fees: dict[str, Decimal] = {}
    for fee in BookedFee.objects.filter(period_id=period.pk).order_by("seq"):
        fees[fee.key] = CONTEXT.add(fees.get(fee.key, ZERO), fee.amount)
    closes = component_closes(segments_of(period))
    return [
        *(CouponLine(key, amount, None) for key, amount in fees.items()),
        *(CouponLine(close.component.key, close.whole, close.segment.pk) for close in closes),
    ]


def _book(
    book: PayerBook,
    entity: BillingEntity,
    period: BillingPeriod,
    line: CouponLine,
    amount: Decimal,
    now: datetime,
) -> CouponCredit:
    parts = give_back(line.key, amount, _paid(book, period, line), line.segment_id)
    restore(driver(), book, parts)
    seq = book.next_seq()
    reference = f"{public_id('bp', period.pk)}/{line.key}/coupon"
    book.pay(seq, now.isoformat(), Transfer.Reason.COUPON, reference, parts)
    book.settle_due((), now)  # what returned to an expired grant is breakage at once
    customer_id, payer_id = book.payer
    return CouponCredit(
        customer_id=customer_id,
        billing_entity_id=payer_id,
        subscription_id=period.subscription_id,
        period_id=period.pk,
        segment_id=line.segment_id,
        key=line.key,
        line_amount=line.amount,
        amount=amount,
        currency=entity.currency,
        funding=[
            {"account": part.account, "amount": plain(part.amount), "grant": part.grant_id} for part in parts
        ],
        seq=seq,
        recorded_at=now,
    )


def _paid(book: PayerBook, period: BillingPeriod, line: CouponLine) -> list[Part]:
    """Who paid for the line, the latest last: its charges or fees, then what its close booked."""
    if line.segment_id is None:
        rows: Iterable[Any] = BookedFee.objects.filter(period_id=period.pk, key=line.key).order_by("seq")
        return _merged(_parts(line, rows))
    closes = ClosingLine.objects.filter(period_id=period.pk, segment_id=line.segment_id, key=line.key)
    charged = read_paid(driver(), book, line.key, line.segment_id)
    return _merged([*charged, *_parts(line, closes.exclude(seq=None).order_by("seq"))])


def _parts(line: CouponLine, rows: Iterable[Any]) -> list[Part]:
    return [
        Part(line.key, item["account"], Decimal(item["amount"]), item["grant"], line.segment_id)
        for row in rows
        for item in row.funding
    ]


def _merged(parts: Sequence[Part]) -> list[Part]:
    """One part for each who paid, less what went back to them; those with nothing left are left out."""
    sums: dict[tuple[str, int | None], Part] = {}
    for part in parts:
        payer = (part.account, part.grant_id)
        known = sums.pop(payer, part._replace(amount=ZERO)) if part.amount > 0 else sums.get(payer)
        before = ZERO if known is None else known.amount
        sums[payer] = part._replace(amount=CONTEXT.add(before, part.amount))
    return [part for part in sums.values() if part.amount > 0]


def _write_margin(entity: BillingEntity, period: BillingPeriod, rows: Iterable[CouponCredit]) -> None:
    total = ZERO
    for row in rows:
        total = CONTEXT.subtract(total, row.amount)
    if total:
        hour = hour_start(period.ends_at - TICK, entity.time_zone)
        key = MarginKey(entity.customer_id, entity.pk, hour, 0, COUPON)
        add_margins(driver(), {key: [0, 0, 0, 0, total, ZERO]})
