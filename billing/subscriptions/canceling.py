"""Ending a subscription, and taking back what was scheduled."""

from __future__ import annotations

from datetime import datetime

from billing.subscriptions.checks import parts_of, refuse_overlap
from billing.subscriptions.moving import (
    At,
    Life,
    Moved,
    locked,
    move,
    refuse_past,
    settle,
    take_over,
)
from billing.subscriptions.ramping import restore_ramp, withdraw_ramp
from billing.subscriptions.recording import Action, Status
from billing.wallets import open_book
from core import clock
from core.errors import Conflict
from pricing.models import Subscription, SubscriptionChange
from pricing.periods import SHORTEST
from pricing.reshaping import delete_periods, reshape_periods
from pricing.timeline import Timeline, timelines_of


def cancel_subscription(
    subscription: Subscription, *, at: At = None, credit_unused: bool = False, reason: str = ""
) -> Subscription:
    """End a subscription at `at` (default now; not in the past), or at the end of its `"period_end"`.

    With `credit_unused`, what its fees in advance leave unused goes back to who paid; without, nothing does.
    One that has not begun by then never does. Until then it may be withdrawn (`withdraw_change`). Raises
    Conflict when it has an end already, or when usage was charged for after it.
    """
    return cancel(subscription, at=at, credit_unused=credit_unused, reason=reason).subscription


def cancel(
    subscription: Subscription, *, at: At = None, credit_unused: bool = False, reason: str = ""
) -> Moved:
    """The same; gives what was booked with it."""
    now = clock.now()
    refuse_past(at, now)

    def note(row: Subscription, timeline: Timeline, instant: datetime) -> SubscriptionChange:
        if row.status not in (Life.ACTIVE, Life.PAUSED):
            raise Conflict("not_active", f"The subscription is {row.status} already.")
        if row.ends_at is not None and row.ends_at <= instant:
            raise Conflict("ends_before", "The subscription ends before that.", "at")
        ends_before, row.ends_at = row.ends_at, max(instant, row.starts_at + SHORTEST)
        row.status, row.canceled_at, row.credits_unused = Life.CANCELED, now, credit_unused
        row.save(update_fields=["ends_at", "status", "canceled_at", "credits_unused"])
        if row.starts_at > now and instant == row.starts_at:
            delete_periods(list(row.periods.all()))
        return SubscriptionChange(action=Action.CANCEL, at=instant, ends_before=ends_before, reason=reason)

    return move(subscription, at, now, note)


def withdraw_change(change: SubscriptionChange, *, reason: str = "") -> Subscription:
    """Take back a scheduled change, pause or cancellation before its time: what was before goes on.

    Raises Conflict when its time has come (`too_late`), it was withdrawn before, or another subscription of
    the payer has come to price one of the meters.
    """
    now = clock.now()
    with open_book(change.subscription.billing_entity, now) as book:
        row = locked(change.subscription)
        change = SubscriptionChange.objects.select_for_update(no_key=True).get(pk=change.pk)
        if change.status != Status.SCHEDULED or change.at <= now:
            says = "withdrawn already" if change.status == Status.WITHDRAWN else "in effect"
            raise Conflict("too_late", f"The change is {says}.", "change")
        change.status = Status.WITHDRAWN
        change.reason = reason or change.reason
        change.save(update_fields=["status", "reason"])
        if change.action == Action.CANCEL:
            row.ends_at, row.canceled_at, row.credits_unused = change.ends_before, None, False
            row.status = Life.ACTIVE
            row.save(update_fields=["ends_at", "canceled_at", "credits_unused", "status"])
        if change.version is not None:
            withdraw_ramp(row, change.at)
            restore_ramp(row, timelines_of([row])[row.pk], change.at, now)
        timeline = timelines_of([row])[row.pk]
        take_over(row, timeline, now)
        refuse_overlap(row.billing_entity, parts_of(timeline, change.at), own=row)
        periods = reshape_periods(row, timeline, _last_instant(row, change.at))
        settle(book, row, periods, now)
    return row


def _last_instant(subscription: Subscription, at: datetime) -> datetime:
    """An instant of the period that the withdrawn change would have ended at `at`, or began in."""
    period = subscription.periods.filter(starts_at__lt=at).order_by("-starts_at").first()
    return at if period is None else min(at, period.starts_at)
