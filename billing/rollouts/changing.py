"""A subscription onto another version: its segments are cut where the change takes effect."""

from __future__ import annotations

from datetime import datetime

from billing.models import Charge
from core import clock
from pricing.models import Counter, PlanVersion, Segment, Subscription
from pricing.periods import ensure_segments


def change_version(subscription: Subscription, version: PlanVersion, *, at: datetime, reason: str) -> None:
    """Put a subscription on `version` from `at` on, or from now on if usage after `at` is charged already.

    The caller holds the payer's lock. Counters of the new segments begin at zero.
    """
    charged = Charge.objects.filter(
        customer_id=subscription.customer_id,
        billing_entity_id=subscription.billing_entity_id,
        occurred_at__gte=at,
    )
    if charged.exists():
        at = max(at, clock.now())
    ensure_segments([(subscription.pk, at)])
    subscription.version = version
    subscription.save(update_fields=["version"])
    _cut(subscription, version, at)


def _cut(subscription: Subscription, version: PlanVersion, at: datetime) -> None:
    later = Segment.objects.filter(subscription=subscription, starts_at__gte=at)
    used = Counter.objects.filter(
        customer_id=subscription.customer_id, segment_id__in=list(later.values_list("pk", flat=True))
    )
    later.exclude(pk__in=list(used.values_list("segment_id", flat=True))).update(version=version)
    over = Segment.objects.filter(subscription=subscription, starts_at__lt=at, ends_at__gt=at).first()
    if over is None:
        return
    ends_at, over.ends_at = over.ends_at, at
    over.save(update_fields=["ends_at"])
    Segment.objects.create(
        customer_id=over.customer_id,
        subscription=subscription,
        version=version,
        period_id=over.period_id,
        starts_at=at,
        ends_at=ends_at,
    )
