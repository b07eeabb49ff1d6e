"""Billing periods as time goes on: the next one opens, base fees are booked when due, the last one is over.

A period's fees in advance are booked once (`fees_booked_at`), those in arrears when it leaves `open` for
`grace`; both under the payer's lock, so that nobody does it twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.models import BillingEntity
from billing.base_fees import PeriodFees, book_fees, due_fees
from billing.wallets import open_books
from pricing.models import BillingPeriod, Subscription
from pricing.periods import ensure_segments

OPEN, GRACE = BillingPeriod.Status.OPEN, BillingPeriod.Status.GRACE
PAYERS_AT_ONCE: Final = 100
logger = logging.getLogger(__name__)


def book_base_fees(now: datetime) -> int:
    """Open the periods that have begun, book the base fees that are due, let ended periods enter grace.

    Many payers in one transaction; where that fails, one at a time: one that fails is logged and does not
    keep the others from theirs. Gives the number of fees booked.
    """
    due = due_periods(now).values("subscription__billing_entity_id")
    entities = list(BillingEntity.objects.filter(pk__in=due).order_by("customer_id", "pk"))
    booked = 0
    for start in range(0, len(entities), PAYERS_AT_ONCE):
        payers = entities[start : start + PAYERS_AT_ONCE]
        try:
            booked += book_fees_of(payers, now)
        except Exception:
            booked += sum(_book_alone(entity, now) for entity in payers)
    return booked


def due_periods(now: datetime) -> QuerySet[BillingPeriod]:
    """The periods to which time has brought something that is not booked yet."""
    has_begun = Q(fees_booked_at=None, starts_at__lte=now)
    is_over = Q(status=OPEN, ends_at__lte=now)
    return BillingPeriod.objects.filter(has_begun | is_over)


def is_due(period: BillingPeriod, now: datetime) -> bool:
    """Whether a period is one of the `due_periods`."""
    has_begun = period.fees_booked_at is None and period.starts_at <= now
    return has_begun or (period.status == OPEN and period.ends_at <= now)


def move_on(due: Iterable[PeriodFees], now: datetime) -> None:
    """Note what has been booked of the periods, and let those that are over enter grace."""
    begun, over = [], []
    for each in due:
        period = each.period
        is_in_time = each.trial_ends_at <= now or each.trial_ends_at >= period.ends_at
        if period.fees_booked_at is None and is_in_time and period.starts_at <= now:
            begun.append(period.pk)
        if period.status == OPEN and period.ends_at <= now:
            over.append(period.pk)
    BillingPeriod.objects.filter(pk__in=begun).update(fees_booked_at=now)
    BillingPeriod.objects.filter(pk__in=over).update(status=GRACE)


def _book_alone(entity: BillingEntity, now: datetime) -> int:
    try:
        return book_fees_of([entity], now)
    except Exception:
        logger.exception("the base fees of %s could not be booked", entity.public_id)
        return 0


def book_fees_of(entities: Sequence[BillingEntity], now: datetime) -> int:
    """The same for these payers. Locks them; inside a transaction of the caller's it commits with that."""
    with open_books(entities, now) as books:
        open_next_periods(entities, now)
        periods = due_periods(now).filter(subscription__billing_entity__in=entities)
        due = due_fees(periods.select_related("subscription__version", "subscription__billing_entity"), now)
        booked = book_fees(books, due, now)
        move_on(due, now)
        lives = [Subscription.Status.ACTIVE, Subscription.Status.PAUSED]
        running = Subscription.objects.filter(billing_entity__in=entities, status__in=lives)
        running.filter(ends_at__lte=now).update(status=Subscription.Status.ENDED)
    return len(booked)


def open_next_periods(entities: Sequence[BillingEntity], now: datetime) -> None:
    """Make the period after each one that has ended, up to now, while the subscription goes on."""
    next_one = BillingPeriod.objects.filter(
        subscription=OuterRef("subscription"), starts_at=OuterRef("ends_at")
    )
    ended = BillingPeriod.objects.filter(
        ~Exists(next_one), subscription__billing_entity__in=entities, status=OPEN, ends_at__lte=now
    ).exclude(subscription__ends_at__lte=F("ends_at"))
    while missing := list(ended.values_list("subscription_id", "ends_at")):
        ensure_segments(missing)
