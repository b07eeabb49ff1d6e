"""Scheduled changes whose time has come."""

from __future__ import annotations

import logging
from datetime import datetime

from billing.subscriptions.moving import locked, settle, take_over
from billing.subscriptions.recording import Action, Status
from billing.wallets import open_book
from pricing.models import Subscription, SubscriptionChange
from pricing.timeline import timelines_of

logger = logging.getLogger(__name__)


def apply_subscription_changes(now: datetime) -> int:
    """Carry out what is due of the scheduled changes: the subscription's row, and the fees that differ.

    Usage has been rated by them since their instant, so a late run changes nothing of it; fees are booked as
    of that instant. One transaction per subscription; one that fails is logged and does not keep the others
    from theirs. Gives the number of changes carried out.
    """
    due = SubscriptionChange.objects.filter(status=Status.SCHEDULED, at__lte=now)
    pks = due.order_by("customer_id", "subscription_id").values_list("subscription_id", flat=True).distinct()
    applied = 0
    for subscription in Subscription.objects.filter(pk__in=list(pks)).select_related("billing_entity"):
        try:
            applied += _apply(subscription, now)
        except Exception:
            logger.exception("the scheduled changes of %s could not be made", subscription.public_id)
    return applied


def _apply(subscription: Subscription, now: datetime) -> int:
    with open_book(subscription.billing_entity, now) as book:
        row = locked(subscription)
        changes = list(row.changes.filter(status=Status.SCHEDULED, at__lte=now).order_by("at", "pk"))
        for change in changes:
            is_void = change.action != Action.CANCEL and row.ends_at is not None and row.ends_at <= change.at
            change.status = Status.WITHDRAWN if is_void else Status.APPLIED
            change.applied_at = None if is_void else now
            change.save(update_fields=["status", "applied_at"])
        if changes:
            take_over(row, timelines_of([row])[row.pk], now)
            settle(book, row, row.periods.filter(ends_at__gt=changes[0].at), now)
    return len(changes)
