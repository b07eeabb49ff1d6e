"""The close of billing periods: once for each, those of many payers in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import BillingEntity
from billing.closing.booking import book_lines
from billing.closing.coupons import book_coupons
from billing.closing.lines import period_lines
from billing.models import ClosingLine
from billing.wallets import open_books
from pricing.coupons import with_coupons
from pricing.models import BillingPeriod, Segment

GRACE, CLOSED = BillingPeriod.Status.GRACE, BillingPeriod.Status.CLOSED
PAYERS_AT_ONCE: Final = 50
"""How many payers close in one transaction: few enough not to hold their wallets for long."""
logger = logging.getLogger(__name__)


def close_periods(now: datetime) -> int:
    """Close the periods whose time of grace is over; gives their number.

    Many payers in one transaction, each one's periods in the order in which they ended. It may be stopped at
    any point and run anew, and run by any number of workers at once: what is closed stays closed. Where a
    transaction fails, its payers are halved: one that fails is logged and does not keep the others from
    theirs.
    """
    due = due_periods(now).values("subscription__billing_entity_id")
    rows = BillingEntity.objects.filter(pk__in=due).order_by("customer_id", "pk")
    closed, payers = 0, []
    for entity in rows.iterator():
        payers.append(entity)
        if len(payers) == PAYERS_AT_ONCE:
            closed += _close_payers(payers, now)
            payers = []
    return closed + _close_payers(payers, now)


def close_period(period: BillingPeriod, now: datetime) -> list[ClosingLine]:
    """Close one period, whether its grace is over or not; gives what was booked.

    Nothing happens, and nothing is given, unless the period is in grace (it has ended, and its fees in
    arrears are booked). Inside a caller's transaction it commits with that.
    """
    return _close([period.subscription.billing_entity], [period.pk], now)[1]


def due_periods(now: datetime) -> QuerySet[BillingPeriod]:
    """The periods in grace that ended `PERIOD_GRACE` ago or earlier."""
    return BillingPeriod.objects.filter(status=GRACE, ends_at__lte=now - settings.PERIOD_GRACE)


def _close_payers(entities: Sequence[BillingEntity], now: datetime) -> int:
    rows = due_periods(now).filter(subscription__billing_entity__in=entities)
    pks = list(rows.values_list("pk", flat=True)) if entities else []
    if not pks:
        return 0  # another worker was faster
    try:
        return _close(entities, pks, now)[0]
    except Exception:
        if len(entities) == 1:
            logger.exception("the periods of %s could not be closed", entities[0].public_id)
            return 0
    half = len(entities) // 2
    return _close_payers(entities[:half], now) + _close_payers(entities[half:], now)


def _close(
    entities: Sequence[BillingEntity], pks: Sequence[int], now: datetime
) -> tuple[int, list[ClosingLine]]:
    """Close periods of these payers, under their locks; gives how many there were, and what was booked."""
    with open_books(entities, now) as books:
        periods = BillingPeriod.objects.filter(pk__in=pks, status=GRACE).order_by("ends_at", "pk")
        rows = list(periods.select_related("subscription__version", "subscription__billing_entity"))
        lines, redeemed = period_lines(rows), with_coupons(rows)
        booked: list[ClosingLine] = []
        for first, rest in _rounds(rows, redeemed):
            booked += book_lines(books, [(period, lines[period.pk]) for period in rest], now)
            if first is not None:
                entity = first.subscription.billing_entity
                booked += book_lines(books, [(first, lines[first.pk])], now)
                book_coupons(books[entity.pk], entity, first, now)
        done = [period.pk for period in rows]
        BillingPeriod.objects.filter(pk__in=done).update(status=CLOSED, closed_at=now)
        Segment.objects.filter(period_id__in=done).update(closed_at=now)
    return len(rows), booked


def _rounds(
    rows: Sequence[BillingPeriod], redeemed: Collection[int]
) -> Iterator[tuple[BillingPeriod | None, list[BillingPeriod]]]:
    """What is booked together, then a period with coupons, whose lines must be there before they are."""
    together: list[BillingPeriod] = []
    for period in rows:
        if period.subscription_id in redeemed:
            yield period, together
            together = []
        else:
            together.append(period)
    yield None, together
