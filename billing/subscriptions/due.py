"""Scheduled changes whose time has come."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import QuerySet

from billing.subscriptions.moving import settle, take_over
from billing.subscriptions.recording import Action, Status
from billing.wallets import open_book
from pricing.locked import lock_subscriptions, save_rows
from pricing.models import Subscription, SubscriptionChange

logger = logging.getLogger(__name__)


def apply_subscription_changes(now: datetime) -> int:
    """Carry out what is due of the scheduled changes: the subscription's row, and the fees that differ.

    Usage has been rated by them since their instant, so a late run changes nothing of it; fees are booked as
    of that instant. One transaction per subscription; one that fails is logged and does not keep the others
    from theirs. Gives the number of changes carried out.
    """
    due = _due(SubscriptionChange.objects.all(), now)
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
        first = _due(subscription.changes.all(), now).order_by("at").values_list("at", flat=True).first()
        if first is None:
            return 0  # another worker was faster
        locked = lock_subscriptions([subscription.pk], first)[subscription.pk]
        changes = [each for each in locked.changes if each.status == Status.SCHEDULED and each.at <= now]
        for change in changes:
            ends_at = locked.row.ends_at
            is_void = change.action != Action.CANCEL and ends_at is not None and ends_at <= change.at
            change.status = Status.WITHDRAWN if is_void else Status.APPLIED
            change.applied_at = None if is_void else now
        SubscriptionChange.objects.bulk_update(changes, ["status", "applied_at"])
        locked.changes = [each for each in locked.changes if each.status != Status.WITHDRAWN]
        if changes:
            take_over(locked, locked.timeline(), now)
            save_rows([locked])
            concerned = [period for period in locked.periods if period.ends_at > changes[0].at]
            settle({subscription.billing_entity_id: book}, [locked], {subscription.pk: concerned}, now)
    return len(changes)


def _due(changes: QuerySet[SubscriptionChange], now: datetime) -> QuerySet[SubscriptionChange]:
    return changes.filter(status=Status.SCHEDULED, at__lte=now)
