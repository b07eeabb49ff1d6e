"""Ending a subscription, and taking back what was scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from accounts.payers import refuse_closed
from billing.subscriptions.checks import parts_of, refuse_overlaps
from billing.subscriptions.moving import (
    At,
    Life,
    Moved,
    Wanted,
    move,
    move_many,
    refuse_past,
    settle,
    take_over,
)
from billing.subscriptions.ramping import restored_ramp, withdraw_ramps
from billing.subscriptions.recording import Action, Status, record
from billing.wallets import open_book
from core import clock
from core.errors import Conflict
from pricing.locked import Locked, lock_subscriptions, save_rows
from pricing.models import BillingPeriod, Subscription, SubscriptionChange
from pricing.periods import SHORTEST
from pricing.reshaping import delete_periods, reshape_periods
from pricing.timeline import Timeline


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

    def note(locked: Locked, timeline: Timeline, instant: datetime, _: Any) -> SubscriptionChange:
        row = locked.row
        if row.status not in (Life.ACTIVE, Life.PAUSED):
            raise Conflict("not_active", f"The subscription is {row.status} already.")
        if row.ends_at is not None and row.ends_at <= instant:
            raise Conflict("ends_before", "The subscription ends before that.", "at")
        return _end(locked, instant, now, credit_unused=credit_unused, reason=reason)

    return move(Wanted(subscription, at, note), now)


def end_with_payer(
    subscriptions: Sequence[Subscription], now: datetime, *, charged: datetime, promised: datetime
) -> None:
    """End subscriptions of a closed payer as `cancel_subscription` does, whatever end was planned.

    That is after what was `charged`, and after what was `promised` as far as the present period goes, so that
    no fee of another one is due.
    """
    present = BillingPeriod.objects.filter(
        subscription__in=subscriptions, starts_at__lte=now, ends_at__gt=now
    )
    period_ends = dict(present.values_list("subscription_id", "ends_at"))

    def note(locked: Locked, timeline: Timeline, instant: datetime, _: Any) -> SubscriptionChange:
        return _end(locked, instant, now, credit_unused=False, reason="the payer is closed")

    wanted = []
    for row in subscriptions:
        at = max(charged, min(promised, period_ends.get(row.pk, promised)))
        if row.ends_at is None or row.ends_at > at:
            wanted.append(Wanted(row, at, note))
    if wanted:
        move_many(wanted, now)


def _end(
    locked: Locked, instant: datetime, now: datetime, *, credit_unused: bool, reason: str
) -> SubscriptionChange:
    row = locked.row
    ends_before, row.ends_at = row.ends_at, max(instant, row.starts_at + SHORTEST)
    row.status, row.canceled_at, row.credits_unused = Life.CANCELED, now, credit_unused
    locked.unsaved |= {"ends_at", "status", "canceled_at", "credits_unused"}
    if row.starts_at > now and instant == row.starts_at:
        delete_periods(locked)
    return SubscriptionChange(action=Action.CANCEL, at=instant, ends_before=ends_before, reason=reason)


def withdraw_change(change: SubscriptionChange, *, reason: str = "") -> Subscription:
    """Take back a scheduled change, pause or cancellation before its time: what was before goes on.

    Raises Conflict when its time has come (`too_late`), it was withdrawn before, or another subscription of
    the payer has come to price one of the meters; PermissionDenied for a closed payer.
    """
    now = clock.now()
    entity = change.subscription.billing_entity
    with open_book(entity, now) as book:
        locked = lock_subscriptions([change.subscription_id], min(now, change.at))[change.subscription_id]
        row = locked.row
        refuse_closed(row.billing_entity)
        change = SubscriptionChange.objects.select_for_update(no_key=True).get(pk=change.pk)
        if change.status != Status.SCHEDULED or change.at <= now:
            says = "withdrawn already" if change.status == Status.WITHDRAWN else "in effect"
            raise Conflict("too_late", f"The change is {says}.", "change")
        change.status = Status.WITHDRAWN
        change.reason = reason or change.reason
        change.save(update_fields=["status", "reason"])
        locked.changes = [each for each in locked.changes if each.pk != change.pk]
        if change.action == Action.CANCEL:
            row.ends_at, row.canceled_at, row.credits_unused = change.ends_before, None, False
            row.status = Life.ACTIVE
            locked.unsaved |= {"ends_at", "canceled_at", "credits_unused", "status"}
        if change.version is not None:
            withdraw_ramps([(locked, change.at)])
            record([(locked, restored_ramp(locked, change.at))], now)
        timeline = locked.timeline()
        take_over(locked, timeline, now)
        save_rows([locked])
        refuse_overlaps([(locked, parts_of(timeline, change.at))])
        periods = reshape_periods([(locked, timeline, _last_instant(locked, change.at))])
        settle({entity.pk: book}, [locked], periods, now)
    return row


def _last_instant(locked: Locked, at: datetime) -> datetime:
    """An instant of the period that the withdrawn change would have ended at `at`, or began in."""
    starts = [period.starts_at for period in locked.periods if period.starts_at < at]
    return min(at, max(starts, default=at))
