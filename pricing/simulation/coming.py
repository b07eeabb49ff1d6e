"""Which version is coming for subscriptions: the one place that `upcoming` asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from pricing.models import PlanVersion, Subscription
from pricing.rollouts import upcoming_changes
from pricing.timeline import Timeline, timelines_of


class Coming(NamedTuple):
    """The version that a subscription will be on from `effective_at` on."""

    version: PlanVersion
    effective_at: datetime


ComingReader = Callable[[Sequence[int], datetime], Mapping[int, Coming]]
"""From ids of subscriptions and now to the changes that are coming; who stays has none."""


def coming_changes(subscription_ids: Sequence[int], now: datetime) -> dict[int, Coming]:
    """What comes first for each subscription: an announced rollout, or a version that is scheduled for it.

    Who stays is left out, and so is what would come after the subscription's end. Three statements.
    """
    rows = Subscription.objects.filter(pk__in=subscription_ids).select_related("version", "billing_entity")
    subscriptions = list(rows)
    announced = upcoming_changes(subscriptions, now)
    found: dict[int, Coming] = {}
    for pk, timeline in timelines_of(subscriptions).items():
        ways = [scheduled_version(timeline, now)]
        if pk in announced:
            ways.append(Coming(*announced[pk]))
        changes = [change for change in ways if change is not None]
        if changes:
            found[pk] = min(changes, key=lambda change: change.effective_at)
    return found


def scheduled_version(timeline: Timeline, now: datetime) -> Coming | None:
    """The next version that a timeline comes to after `now`; None when it stays on the one of now."""
    current = timeline.at(now).version.pk
    for span in timeline.spans:
        if span.starts_at > now and span.version.pk != current:
            return Coming(span.version, span.starts_at)
    return None
