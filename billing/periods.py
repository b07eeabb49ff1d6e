"""Billing periods as time goes on: the next one opens, base fees are booked when due, the last one is over.

A period's fees in advance are booked once (`fees_booked_at`), those in arrears when it leaves `open` for
`grace`; both under the payer's lock, so that nobody does it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.funding import burn
from billing.hours import hour_start
from billing.models import Transfer
from billing.store import MarginKey, write_margins
from billing.wallets import open_book
from core.instants import instant_text
from core.numbers import CONTEXT, ZERO
from core.sql import driver
from pricing.base_fees import IN_ARREARS, DueFee, Life, fees_of_period, trial_end
from pricing.cycles import Period
from pricing.models import BillingPeriod, Subscription
from pricing.periods import cycle_of, ensure_segments, never_began
from pricing.terms import terms_of

BASE_FEE: Final = "base_fee"
"""The event name under which base fees stand in margin buckets."""

OPEN, GRACE = BillingPeriod.Status.OPEN, BillingPeriod.Status.GRACE
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What time has brought to one period: fees to book, and which of its two moments have passed."""

    period: BillingPeriod
    fees: tuple[DueFee, ...]
    has_begun: bool
    is_over: bool


def book_base_fees(now: datetime) -> int:
    """Open the periods that have begun, book the base fees that are due, let ended periods enter grace.

    One transaction per payer; one that fails is logged and does not keep the others from theirs. Gives
    the number of fees booked.
    """
    booked = 0
    due = _due_periods(now).values("subscription__billing_entity_id")
    for entity in BillingEntity.objects.filter(pk__in=due).order_by("pk").iterator():
        try:
            booked += book_payer_fees(entity, now)
        except Exception:
            logger.exception("the base fees of %s could not be booked", entity.public_id)
    return booked


def book_payer_fees(entity: BillingEntity, now: datetime) -> int:
    """The same for one payer. Locks it; inside a transaction of the caller's it commits with that."""
    with open_book(entity, now) as book:
        _open_next_periods(entity, now)
        periods = _due_periods(now).filter(subscription__billing_entity=entity)
        rows = periods.select_related("subscription__version", "subscription__billing_entity")
        steps = [_step(period, now) for period in rows]
        due = [(fee, step.period) for step in steps for fee in step.fees if fee.amount]
        due.sort(key=lambda pair: (pair[0].due_at, pair[1].subscription_id, pair[1].starts_at))
        _book(book, entity, due, now)
        begun = [step.period.pk for step in steps if step.has_begun]
        over = [step.period.pk for step in steps if step.is_over]
        BillingPeriod.objects.filter(pk__in=begun).update(fees_booked_at=now)
        BillingPeriod.objects.filter(pk__in=over).update(status=GRACE)
        running = Subscription.objects.filter(billing_entity=entity, status=Subscription.Status.ACTIVE)
        running.filter(ends_at__lte=now).update(status=Subscription.Status.ENDED)
    return len(due)


def _due_periods(now: datetime) -> QuerySet[BillingPeriod]:
    """The periods to which time has brought something that is not booked yet."""
    has_begun = Q(fees_booked_at=None, starts_at__lte=now)
    is_over = Q(status=OPEN, ends_at__lte=now)
    return BillingPeriod.objects.filter(has_begun | is_over)


def _open_next_periods(entity: BillingEntity, now: datetime) -> None:
    """Make the period after each one that has ended, up to now, while the subscription goes on."""
    next_one = BillingPeriod.objects.filter(
        subscription=OuterRef("subscription"), starts_at=OuterRef("ends_at")
    )
    ended = BillingPeriod.objects.filter(
        ~Exists(next_one), subscription__billing_entity=entity, status=OPEN, ends_at__lte=now
    ).exclude(subscription__ends_at__lte=F("ends_at"))
    while missing := list(ended.values_list("subscription_id", "ends_at")):
        ensure_segments(missing)


def _step(period: BillingPeriod, now: datetime) -> Step:
    subscription = period.subscription
    terms, cycle = terms_of(subscription.version), cycle_of(subscription)
    quantities = {key: Decimal(quantity) for key, quantity in subscription.quantities.items()}
    life = Life(subscription.starts_at, subscription.ends_at, cycle, quantities)
    begins = trial_end(terms, life)
    has_begun = period.fees_booked_at is None and (begins <= now or begins >= period.ends_at)
    is_over = period.status == OPEN and period.ends_at <= now
    whole = Period(period.starts_at, period.ends_at)
    fees = [] if never_began(subscription) else fees_of_period(terms, life, whole)
    due = tuple(fee for fee in fees if (is_over if fee.timing == IN_ARREARS else has_begun))
    return Step(period, due, has_begun, is_over)


def _book(
    book: PayerBook, entity: BillingEntity, due: Sequence[tuple[DueFee, BillingPeriod]], now: datetime
) -> None:
    """Pay each fee like usage at the instant it was due: grants and wallet first, or the receivable."""
    margins: dict[MarginKey, list[Any]] = {}
    for fee, period in due:
        parts = burn(book.funds, [(fee.key, fee.amount)], fee.due_at)
        reference = f"{period.subscription.public_id}/{fee.key}/{instant_text(fee.covers.start)}"
        book.pay(book.next_seq(), now.isoformat(), Transfer.Reason.BASE_FEE, reference, parts)
        hour = hour_start(fee.due_at, entity.time_zone)
        row = margins.setdefault(MarginKey(*book.payer, hour, 0, BASE_FEE), [0, 0, 0, 0, ZERO, ZERO])
        row[4] = CONTEXT.add(row[4], fee.amount)
    write_margins(driver(), margins)
