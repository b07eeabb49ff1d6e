"""Reading price changes: what is coming for a subscription, and where a rollout stands.

The verbs that move subscriptions move money, so they stand in `billing.rollouts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import Count, Q, QuerySet

from core.numbers import plain
from metering.models import Meter
from pricing.catalog.overage import Overage, introduced_overage
from pricing.models import PlanVersion, Rollout, RolloutMember, Subscription

State, Status = RolloutMember.State, Rollout.Status
WAITING: Final = Q(state__in=[State.PENDING, State.NOTIFIED, State.ACKNOWLEDGED, State.FAILED]) | Q(
    state=State.HELD_OUT, held_until__isnull=False
)
"""The members that will move, if nothing comes between."""

OVER: Final = (Subscription.Status.CANCELED, Subscription.Status.ENDED)
"""Subscriptions that nothing moves any more; one that is canceled may still run to its end."""

UNDER_WAY: Final = (Status.ANNOUNCED, Status.RUNNING, Status.PAUSED)


class UpcomingChange(NamedTuple):
    """The version that a subscription will be on, and from when."""

    version: PlanVersion
    effective_at: datetime


def upcoming_member(subscription: Subscription) -> RolloutMember | None:
    """The subscription's place in the announced rollout that will move it; None when it stays."""
    waiting = RolloutMember.objects.filter(
        WAITING, subscription=subscription, rollout__status__in=UNDER_WAY
    ).select_related("rollout", "to_version__plan", "from_version__plan")
    return waiting.order_by("effective_at").first()


def upcoming_change(subscription: Subscription, now: datetime) -> UpcomingChange | None:
    """The price change that is announced for a subscription; `effective_at` is not before `now`.

    None for one that is excepted, held out for ever, on another version by now, or gone by then.
    """
    member = upcoming_member(subscription)
    if member is None or member.from_version_id != subscription.version_id:
        return None
    if subscription.ends_at is not None and subscription.ends_at <= member.effective_at:
        return None
    return UpcomingChange(member.to_version, max(member.effective_at, now))


def overages_between(old: PlanVersion, new: PlanVersion) -> tuple[Overage, ...]:
    """What `new` charges for and `old` included or blocked."""
    return introduced_overage(old.content, new.content)


def ceilings_of(member: RolloutMember) -> dict[str, str]:
    """The quantities, by meter key, that will hold for a member: those it chose, or the old ceilings.

    Empty once it has acknowledged without a limit.
    """
    if member.limits or member.acknowledged_at is not None:
        return dict(member.limits)
    overages = overages_between(member.from_version, member.to_version)
    return {overage.meter: plain(overage.ceiling) for overage in overages if overage.ceiling is not None}


def meters_named(keys: Mapping[str, Any]) -> dict[str, Meter]:
    """The meters of these keys."""
    return {meter.key: meter for meter in Meter.objects.filter(key__in=list(keys))}


def with_progress(rollouts: QuerySet[Rollout]) -> QuerySet[Rollout]:
    """The rollouts with the number of their members in each state: `count_<state>`, and `count_all`."""
    counts = {f"count_{state.value}": Count("members", filter=Q(members__state=state)) for state in State}
    return rollouts.annotate(count_all=Count("members"), **counts).select_related("version__plan")
