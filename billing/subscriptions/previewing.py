"""What a change would book: it is made, looked at, and undone, so that the preview is what is then booked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.base_fees import due_fees
from billing.models import BookedFee
from billing.subscriptions.canceling import cancel
from billing.subscriptions.changing import move_to
from billing.subscriptions.moving import Moved
from core import clock
from core.errors import InvalidRequest
from core.numbers import CONTEXT
from pricing.cycles import Period
from pricing.models import BillingPeriod, Subscription
from pricing.periods import ensure_segments
from pricing.timeline import Timeline, timelines_of

IN_ADVANCE = "in_advance"


@dataclass(frozen=True, slots=True)
class FeeLine:
    """A fee that would be booked (`amount` < 0: goes back), for what time, and as of when."""

    key: str
    timing: str
    covers: Period
    amount: Decimal
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change as of `at` books: fees, and what usage rated anew costs more (or less), exact."""

    at: datetime
    currency: str
    fees: tuple[FeeLine, ...]
    usage: Decimal

    @property
    def total(self) -> Decimal:
        """All of it."""
        total = self.usage
        for fee in self.fees:
            total = CONTEXT.add(total, fee.amount)
        return total


def preview_change(subscription: Subscription, **change: Any) -> Preview:
    """What `change_subscription` with these arguments would book then; raises as it does."""
    return _preview(lambda: move_to(subscription, **change))


def preview_cancellation(subscription: Subscription, **cancellation: Any) -> Preview:
    """What `cancel_subscription` with these arguments would book then; raises as it does."""
    return _preview(lambda: cancel(subscription, **cancellation))


def _preview(make: Callable[[], Moved]) -> Preview:
    now = clock.now()
    with transaction.atomic():
        moved = make()
        at = moved.change.at
        lines = _booked(moved.fees) if at <= now else _due_then(moved.subscription, at)
        transaction.set_rollback(True)
    currency = moved.subscription.billing_entity.currency
    return Preview(at, currency, tuple(lines), moved.usage)


def _booked(fees: Iterable[BookedFee]) -> list[FeeLine]:
    return [
        FeeLine(fee.key, fee.timing, Period(fee.covers_start, fee.covers_end), fee.amount, fee.due_at)
        for fee in fees
    ]


def _due_then(subscription: Subscription, at: datetime) -> list[FeeLine]:
    """What a scheduled change books at its time. What is due then anyway, for a period that its cycle ends
    there, is not; what is due then because the change ends the period, is."""
    try:
        ensure_segments([(subscription.pk, at)])
    except ValueError as error:  # its period would end after the year 9999
        raise InvalidRequest("out_of_range", "No billing period holds that instant.", "at") from error
    timeline = timelines_of([subscription])[subscription.pk]
    rows = BillingPeriod.objects.filter(subscription=subscription, starts_at__lte=at, ends_at__gte=at)
    periods = rows.select_related("subscription__version", "subscription__billing_entity")
    return [
        FeeLine(delta.key, delta.timing, delta.covers, delta.amount, delta.at)
        for each in due_fees(periods, at)
        for delta in each.deltas
        if delta.timing == IN_ADVANCE or not _is_over(each.period, timeline, at)
    ]


def _is_over(period: BillingPeriod, timeline: Timeline, at: datetime) -> bool:
    """Whether the period's own cycle has ended it by then."""
    return timeline.cycle_at(period.starts_at).period_at(period.starts_at).end <= at
