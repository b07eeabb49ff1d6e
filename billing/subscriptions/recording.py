"""Noting what was done to a subscription, so that its timeline can be folded from it."""

from __future__ import annotations

from datetime import datetime

from pricing.models import Subscription, SubscriptionChange

Action, Status = SubscriptionChange.Action, SubscriptionChange.Status


def record(subscription: Subscription, change: SubscriptionChange, now: datetime) -> None:
    """Store a change, and before a subscription's first one, what it started with.

    A change whose time has come is `applied`, another one `scheduled`.
    """
    change.customer_id, change.subscription, change.created_at = subscription.customer_id, subscription, now
    change.status = Status.APPLIED if change.at <= now else Status.SCHEDULED
    change.applied_at = now if change.at <= now else None
    if not subscription.changes.exists():
        SubscriptionChange.objects.create(
            customer_id=subscription.customer_id,
            subscription=subscription,
            action=Action.START,
            status=Status.APPLIED,
            at=subscription.starts_at,
            version=subscription.version,
            quantities=subscription.quantities,
            anchor_at=subscription.anchor_at,
            created_at=now,
            applied_at=now,
        )
    change.save()
