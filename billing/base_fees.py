"""Booking base fees: what is due by now less what was booked, so that doing it again books nothing.

Whatever changes a subscription (a new version, more seats, a pause, an end) changes what is due; the
difference is booked here, forth or back, under the payer's lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import replace

from billing.book import PayerBook
from billing.charging.giving_back import restore
from billing.funding import Part, burn, give_back
from billing.hours import hour_start
from billing.models import BookedFee, Transfer
from billing.store import MarginKey
from billing.store_margins import add_margins
from core.instants import instant_text
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver
from pricing.base_fees import DueFee
from pricing.cycles import Period
from pricing.fee_schedule import (
    Booked,
    Ending,
    FeeDelta,
    FeeSpan,
    advance_until,
    one_off_fees,
    outstanding,
    scheduled_fees,
)
from pricing.models import BillingPeriod, Subscription
from pricing.periods import never_began
from pricing.terms import terms_of
from pricing.timeline import Timeline, timelines_of

BASE_FEE: Final = "base_fee"
"""The event name under which base fees stand in margin buckets."""


@dataclass(frozen=True, slots=True)
class PeriodFees:
    """One period with what is `booked` and still to be booked for it, and when its trial ends."""

    period: BillingPeriod
    trial_ends_at: datetime
    deltas: tuple[FeeDelta, ...]
    booked: tuple[BookedFee, ...] = ()


def due_fees(
    periods: Iterable[BillingPeriod], now: datetime, timelines: Mapping[int, Timeline] | None = None
) -> list[PeriodFees]:
    """What is to be booked of the periods' fees by `now`; two statements, one with `timelines`.

    The periods come with their subscription, its version and payer read, and are under the payer's lock.
    `timelines`: those of their subscriptions up to `now`, if the caller has them.
    """
    rows = list(periods)
    if timelines is None:
        timelines = timelines_of({row.subscription_id: row.subscription for row in rows}.values(), until=now)
    booked: dict[int, list[BookedFee]] = {row.pk: [] for row in rows}
    for fee in BookedFee.objects.filter(period_id__in=booked).order_by("pk") if rows else ():
        booked[fee.period_id].append(fee)
    return [_due(row, timelines[row.subscription_id], booked[row.pk], now) for row in rows]


def book_fees(books: Mapping[int, PayerBook], due: Iterable[PeriodFees], now: datetime) -> list[BookedFee]:
    """Pay each fee like usage at the instant it was due: grants and wallet first, or the receivable; what
    goes back returns to those who paid it, latest first. `books` by payer id."""
    due = list(due)
    pairs = [(delta, each.period) for each in due for delta in each.deltas]
    pairs.sort(key=lambda pair: (pair[0].at, pair[1].subscription_id, pair[0].amount > 0, pair[1].starts_at))
    paid = _paid(fee for each in due for fee in each.booked)
    margins: dict[MarginKey, list[Any]] = {}
    rows = []
    for delta, period in pairs:
        entity = period.subscription.billing_entity
        rows.append(_book_one(books[entity.pk], delta, period, paid, now))
        hour = hour_start(delta.at, entity.time_zone)
        key = MarginKey(entity.customer_id, entity.pk, hour, 0, BASE_FEE)
        row = margins.setdefault(key, [0, 0, 0, 0, ZERO, ZERO])
        row[4] = CONTEXT.add(row[4], delta.amount)
    BookedFee.objects.bulk_create(rows)
    add_margins(driver(), margins)
    return rows


def _due(
    period: BillingPeriod,
    timeline: Timeline,
    rows: Sequence[BookedFee],
    now: datetime,
) -> PeriodFees:
    subscription = period.subscription
    trial_ends_at, booked = timeline.trial_ends_at(), _booked(rows)
    if never_began(subscription):
        lost = outstanding((), booked, now) if subscription.credits_unused else []
        return PeriodFees(period, trial_ends_at, tuple(lost), tuple(rows))
    due = fees_in_period(period, timeline)
    return PeriodFees(period, trial_ends_at, tuple(outstanding(due, booked, now)), tuple(rows))


def fees_in_period(period: BillingPeriod, timeline: Timeline) -> list[DueFee]:
    """All fees of a period by its subscription's timeline, whether due already or not."""
    subscription = period.subscription
    ending = Ending(subscription.ends_at, subscription.canceled_at, subscription.credits_unused)
    trial_ends_at, first = timeline.trial_ends_at(), timeline.spans[0]
    bounds = Period(period.starts_at, period.ends_at)
    once = one_off_fees(terms_of(first.version), first.starts_at, bounds, trial_ends_at)
    return once + scheduled_fees(
        _fee_spans(timeline, subscription),
        bounds,
        begins_at=trial_ends_at,
        ends_at=subscription.ends_at,
        advance_until=advance_until(bounds, trial_ends_at, timeline.cycle_at(bounds.start), ending),
    )


def _fee_spans(timeline: Timeline, subscription: Subscription) -> list[FeeSpan]:
    return [
        FeeSpan(
            span.starts_at,
            None if span.ends_at == subscription.ends_at else span.ends_at,
            terms_of(span.version),
            span.quantities,
            timeline.cycle_of(span),
        )
        for span in timeline.spans
        if not span.is_paused
    ]


def _booked(rows: Iterable[BookedFee]) -> dict[tuple[str, datetime], Booked]:
    fees: dict[tuple[str, datetime], Booked] = {}
    for row in rows:
        before = fees.get((row.key, row.covers_start))
        amount = row.amount if before is None else CONTEXT.add(before.amount, row.amount)
        fees[row.key, row.covers_start] = Booked(amount, row.covers_end, row.due_at, row.timing)
    return fees


def _paid(rows: Iterable[BookedFee]) -> dict[tuple[int, str, datetime], list[Part]]:
    """Who paid for each fee, latest last, less what went back to them."""
    paid: dict[tuple[int, str, datetime], list[Part]] = {}
    for row in rows:
        parts = paid.setdefault((row.period_id, row.key, row.covers_start), [])
        for item in row.funding:
            _add_part(parts, Part(row.key, item["account"], Decimal(item["amount"]), item["grant"]))
    return paid


def _add_part(parts: list[Part], part: Part) -> None:
    for index, known in enumerate(parts):
        if (known.account, known.grant_id) == (part.account, part.grant_id):
            amount = CONTEXT.add(known.amount, part.amount)
            del parts[index]
            parts.insert(len(parts) if part.amount > 0 else index, replace(known, amount=amount))
            return
    parts.append(part)


def _book_one(
    book: PayerBook,
    delta: FeeDelta,
    period: BillingPeriod,
    paid: Mapping[tuple[int, str, datetime], list[Part]],
    now: datetime,
) -> BookedFee:
    if delta.amount > 0:
        parts = burn(book.funds, [(delta.key, delta.amount)], delta.at)
    else:
        payers = paid.get((period.pk, delta.key, delta.covers.start), [])
        parts = give_back(delta.key, delta.amount.copy_negate(), payers)
        restore(driver(), book, parts)
    seq = book.next_seq()
    reference = f"{period.subscription.public_id}/{delta.key}/{instant_text(delta.covers.start)}"
    book.pay(seq, now.isoformat(), Transfer.Reason.BASE_FEE, reference, parts)
    if delta.amount < 0:
        book.settle_due((), now)  # what returned to an expired grant is breakage at once
    customer_id, payer_id = book.payer
    return BookedFee(
        customer_id=customer_id,
        billing_entity_id=payer_id,
        subscription_id=period.subscription_id,
        period_id=period.pk,
        key=delta.key,
        timing=delta.timing,
        covers_start=delta.covers.start,
        covers_end=delta.covers.end,
        due_at=delta.at,
        amount=delta.amount,
        funding=[
            {"account": part.account, "amount": plain(part.amount), "grant": part.grant_id} for part in parts
        ],
        seq=seq,
        recorded_at=now,
    )
