"""What coupons take off a period, given back when it closes (docs/algorithms/coupons.md).

Usage and fees are charged when they happen, at their whole price; the coupons' part returns to those who paid
for the line, the latest first. What changes a line after the close changes the coupons' part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from django.db.models import Sum

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging.giving_back import restore
from billing.closing.booking import TICK
from billing.closing.lines import ComponentClose, absorbed_by_line, component_closes, segments_of
from billing.funding import Part, burn, give_back
from billing.hours import hour_start
from billing.models import BookedFee, CouponCredit, Transfer
from billing.store import MarginKey
from billing.store_margins import add_margins
from billing.store_paid import merge_paid, read_payers
from core.ids import public_id
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver
from pricing.coupons import discounts_in
from pricing.models import BillingPeriod
from pricing.rating.coupons import Line, coupon_discounts

Place = tuple[str, int | None]
"""A line of a period: the key of a fee (no segment) or of a component in a segment."""

Margins = dict[MarginKey, list[Any]]
"""By bucket: events, costed, unmatched, unpriced, revenue, cost."""

COUPON: Final = "coupon"
"""The event name under which coupons stand in margin buckets."""


@dataclass(frozen=True, slots=True)
class CouponLine:
    """A line that coupons may take off from: a fee's (no segment) or a component's."""

    key: str
    amount: Decimal
    segment_id: int | None


def book_coupons(
    book: PayerBook,
    entity: BillingEntity,
    period: BillingPeriod,
    now: datetime,
    event_id: UUID | None = None,
) -> None:
    """Give back what the period's coupons take off its lines, less what went back of it before.

    Its fees and closing lines are booked already, and the payer is locked. The period closes in this
    transaction, or was closed and `event_id`, late or reversed, has changed what its lines come to; then a
    line of which the coupons take less than before is paid again.
    """
    _book_all(book, entity, period, _changes(period, {}), now, event_id)


def take_coupons_back(
    book: PayerBook,
    entity: BillingEntity,
    period: BillingPeriod,
    now: datetime,
    event_id: UUID,
    falls: Mapping[Place, Decimal],
) -> Margins:
    """Let lines that are about to change by `falls` be paid again as far as their coupons then take less.

    Before the fall itself goes back to who paid: who got a coupon's part would have more back than it paid.
    Gives what it has added to margin buckets, for a caller that keeps sums of them in memory.
    """
    less = [(line, amount) for line, amount in _changes(period, falls) if amount < 0]
    return _book_all(book, entity, period, less, now, event_id)


def coupons_of(
    period: BillingPeriod, changes: Mapping[Place, Decimal] = MappingProxyType({})
) -> list[tuple[CouponLine, Decimal]]:
    """The period's lines as they stand (or will, after `changes`), each with all that its coupons take off
    it; none without coupons."""
    discounts = discounts_in(period)
    if not discounts:
        return []
    lines = [
        replace(line, amount=CONTEXT.add(line.amount, changes.get((line.key, line.segment_id), ZERO)))
        for line in lines_of(period)
    ]
    taken = coupon_discounts(discounts, [Line(line.key, line.amount) for line in lines])
    return list(zip(lines, taken, strict=True))


def _changes(period: BillingPeriod, falls: Mapping[Place, Decimal]) -> list[tuple[CouponLine, Decimal]]:
    """The lines of which coupons take more (or less) than went back of them, and by how much."""
    expected = coupons_of(period, falls)
    before = credited(period.pk) if expected else {}
    changes = [
        (line, CONTEXT.subtract(whole, before.get((line.key, line.segment_id), ZERO)))
        for line, whole in expected
    ]
    return [(line, amount) for line, amount in changes if amount]


def _book_all(
    book: PayerBook,
    entity: BillingEntity,
    period: BillingPeriod,
    changes: Sequence[tuple[CouponLine, Decimal]],
    now: datetime,
    event_id: UUID | None,
) -> Margins:
    rows = [_book(book, entity, period, line, amount, now, event_id) for line, amount in changes]
    CouponCredit.objects.bulk_create(rows)
    margins = _margins(entity, period, rows)
    add_margins(driver(), margins)
    return margins


def credited(period_id: int) -> dict[Place, Decimal]:
    """What went back of a period's lines, by key and segment."""
    rows = CouponCredit.objects.filter(period_id=period_id).values("key", "segment_id")
    return {(row["key"], row["segment_id"]): row["total"] for row in rows.annotate(total=Sum("amount"))}


def lines_of(period: BillingPeriod) -> list[CouponLine]:
    """The period's lines: its fees by key in the order of booking, then each segment's components.

    What was absorbed of usage is no part of them: the payer did not pay it.
    """
    fees: dict[str, Decimal] = {}
    for fee in BookedFee.objects.filter(period_id=period.pk).order_by("seq"):
        fees[fee.key] = CONTEXT.add(fees.get(fee.key, ZERO), fee.amount)
    segments = segments_of(period)
    absorbed = absorbed_by_line([period], segments)
    return [
        *(CouponLine(key, amount, None) for key, amount in fees.items()),
        *(_component_line(close, absorbed) for close in component_closes(segments)),
    ]


def _component_line(close: ComponentClose, absorbed: Mapping[tuple[str, int], Decimal]) -> CouponLine:
    key, segment_id = close.component.key, close.segment.pk
    return CouponLine(key, CONTEXT.subtract(close.whole, absorbed.get((key, segment_id), ZERO)), segment_id)


def _book(
    book: PayerBook,
    entity: BillingEntity,
    period: BillingPeriod,
    line: CouponLine,
    amount: Decimal,
    now: datetime,
    event_id: UUID | None,
) -> CouponCredit:
    if amount > 0:
        parts = give_back(line.key, amount, _paid(book, period, line, amount), line.segment_id)
        restore(driver(), book, parts)
    else:
        lines = [(line.key, amount.copy_negate())]
        parts = burn(book.funds, lines, period.ends_at - TICK, [line.segment_id])
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
        event_id=event_id,
        line_amount=line.amount,
        amount=amount,
        currency=entity.currency,
        funding=[
            {"account": part.account, "amount": plain(part.amount), "grant": part.grant_id} for part in parts
        ],
        seq=seq,
        recorded_at=now,
    )


def _paid(book: PayerBook, period: BillingPeriod, line: CouponLine, fall: Decimal) -> list[Part]:
    """Who paid for the line, the latest last, less what coupons gave back of it; as far as `fall` takes."""
    if line.segment_id is not None:
        return read_payers(driver(), book, (line.key, line.segment_id), fall).parts
    own = {"period_id": period.pk, "key": line.key}
    fees: Iterable[Any] = BookedFee.objects.filter(**own).order_by("seq")
    back: Iterable[Any] = CouponCredit.objects.filter(**own, segment_id=None).order_by("seq")
    return merge_paid(
        [],
        [
            Part(line.key, item["account"], Decimal(item["amount"]), item["grant"])
            for row in (*fees, *back)
            for item in row.funding
        ],
    )


def _margins(entity: BillingEntity, period: BillingPeriod, rows: Iterable[CouponCredit]) -> Margins:
    total = ZERO
    for row in rows:
        total = CONTEXT.subtract(total, row.amount)
    if not total:
        return {}
    hour = hour_start(period.ends_at - TICK, entity.time_zone)
    return {MarginKey(entity.customer_id, entity.pk, hour, 0, COUPON): [0, 0, 0, 0, total, ZERO]}
