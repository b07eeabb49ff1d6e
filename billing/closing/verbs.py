"""The close of billing periods: once for each, in one transaction of its payer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import BillingEntity
from billing.closing.booking import book_lines
from billing.closing.coupons import book_coupons
from billing.closing.lines import period_lines
from billing.models import ClosingLine
from billing.wallets import open_book
from pricing.models import BillingPeriod, Segment

GRACE, CLOSED = BillingPeriod.Status.GRACE, BillingPeriod.Status.CLOSED
logger = logging.getLogger(__name__)


def close_periods(now: datetime) -> int:
    """Close the periods whose time of grace is over; gives their number.

    One transaction per payer, in the order in which periods ended. It may be stopped at any point and run
    anew, and run by any number of workers at once: what is closed stays closed. A payer that fails is logged
    and does not keep the others from theirs.
    """
    closed = 0
    due = due_periods(now).values("subscription__billing_entity_id")
    for entity in BillingEntity.objects.filter(pk__in=due).order_by("customer_id", "pk").iterator():
        try:
            closed += _close_payer(entity, now)
        except Exception:
            logger.exception("the periods of %s could not be closed", entity.public_id)
    return closed


def close_period(period: BillingPeriod, now: datetime) -> list[ClosingLine]:
    """Close one period, whether its grace is over or not; gives what was booked.

    Nothing happens, and nothing is given, unless the period is in grace (it has ended, and its fees in
    arrears are booked). Inside a caller's transaction it commits with that.
    """
    return _close(period.subscription.billing_entity, [period.pk], now)


def due_periods(now: datetime) -> QuerySet[BillingPeriod]:
    """The periods in grace that ended `PERIOD_GRACE` ago or earlier."""
    return BillingPeriod.objects.filter(status=GRACE, ends_at__lte=now - settings.PERIOD_GRACE)


def _close_payer(entity: BillingEntity, now: datetime) -> int:
    rows = due_periods(now).filter(subscription__billing_entity=entity)
    pks = list(rows.order_by("ends_at", "pk").values_list("pk", flat=True))
    if not pks:
        return 0  # another worker was faster
    _close(entity, pks, now)
    return len(pks)


def _close(entity: BillingEntity, pks: Sequence[int], now: datetime) -> list[ClosingLine]:
    booked: list[ClosingLine] = []
    with open_book(entity, now) as book:
        periods = BillingPeriod.objects.filter(pk__in=pks, status=GRACE).order_by("ends_at", "pk")
        rows = list(periods.select_related("subscription__version", "subscription__billing_entity"))
        for period in rows:
            booked += book_lines(book, entity, period, period_lines(period), now)
            book_coupons(book, entity, period, now)
        done = [period.pk for period in rows]
        BillingPeriod.objects.filter(pk__in=done).update(status=CLOSED, closed_at=now)
        Segment.objects.filter(period_id__in=done).update(closed_at=now)
    return booked
