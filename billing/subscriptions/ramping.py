"""The phases of a version's ramp, as scheduled changes of the subscriptions that are on it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from billing.subscriptions.recording import Action, Status, record
from pricing.models import PlanVersion, Subscription, SubscriptionChange
from pricing.ramps import phase_starts
from pricing.terms import terms_of
from pricing.timeline import Timeline


def schedule_ramp(
    subscription: Subscription,
    version: PlanVersion,
    since: datetime,
    now: datetime,
    *,
    after: datetime | None = None,
) -> bool:
    """Schedule the phases of a version that holds from `since` on, counted from then; gives whether it ramps.

    Of the phases that have begun by `since`, only the last one counts, from then on. `after`: only those that
    begin later. The subscription comes with its payer, under the payer's lock.
    """
    zone = ZoneInfo(subscription.billing_entity.time_zone)
    starts = phase_starts(terms_of(version), since, zone)
    phases = {row.phase: row for row in version.derived.filter(phase__isnull=False)} if starts else {}
    begun = sum(at <= since for at in starts)
    for number, at in enumerate(starts, start=1):
        if number < begun or (after is not None and at <= after):
            continue
        change = SubscriptionChange(
            action=Action.CHANGE,
            at=max(at, since),
            version=phases[number],
            reason=f"phase {number} of {version}",
        )
        record(subscription, change, now)
    return bool(starts)


def restore_ramp(subscription: Subscription, timeline: Timeline, at: datetime, now: datetime) -> None:
    """Schedule again the phases after `at` of the version that holds then, as it does after all."""
    held = timeline.at(at).version
    base = held if held.base is None or held.phase is None else held.base
    since = at
    for span in reversed(timeline.spans):
        if span.starts_at <= at:
            if base.pk not in (span.version.pk, span.version.base_id):
                break
            since = span.starts_at
    schedule_ramp(subscription, base, since, now, after=at)


def withdraw_ramp(subscription: Subscription, since: datetime) -> None:
    """Take back the phases that were to begin from `since` on: another version holds from then on."""
    phases = subscription.changes.filter(status=Status.SCHEDULED, at__gte=since, version__phase__isnull=False)
    for change in phases:
        change.status = Status.WITHDRAWN
        change.save(update_fields=["status"])
