"""Reading price changes: what is coming for a subscription, and where a rollout stands.

The verbs that move subscriptions move money, so they stand in `billing.rollouts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def upcoming_members(subscriptions: Iterable[Subscription]) -> dict[int, RolloutMember]:
    """Where subscriptions, by id, stand in the first rollout that will move them; one statement."""
    waiting = RolloutMember.objects.filter(
        WAITING, subscription__in=[row.pk for row in subscriptions], rollout__status__in=UNDER_WAY
    ).select_related("rollout", "to_version__plan", "from_version__plan")
    found: dict[int, RolloutMember] = {}
    for member in waiting.order_by("effective_at"):
        found.setdefault(member.subscription_id, member)
    return found


def upcoming_changes(subscriptions: Iterable[Subscription], now: datetime) -> dict[int, UpcomingChange]:
    """The price changes that are announced for subscriptions, by id; `effective_at` is not before `now`.

    Left out are those that are excepted, held out for ever, on another version by now, or gone by then.
    """
    rows = {row.pk: row for row in subscriptions}
    found = {}
    for pk, member in upcoming_members(rows.values()).items():
        subscription = rows[pk]
        if trunk_of(member.from_version) != trunk_of(subscription.version):
            continue
        if subscription.ends_at is not None and subscription.ends_at <= member.effective_at:
            continue
        found[pk] = UpcomingChange(member.to_version, max(member.effective_at, now))
    return found


def trunk_of(version: PlanVersion) -> int:
    """The row of the version that somebody is on, whichever phase of its ramp has come."""
    return version.pk if version.phase is None or version.base_id is None else version.base_id


def on_version(version_id: int, path: str = "version") -> Q:
    """Rows on a version or on a phase of its ramp; `path` leads to their version."""
    return Q(**{f"{path}_id": version_id}) | Q(
        **{f"{path}__base_id": version_id, f"{path}__phase__isnull": False}
    )


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
    """The rollouts with the number of their members in each state: `count_<state>`, and `count_all`.

    `count_held_until`: those of `count_held_out` that move at a date.
    """
    counts = {f"count_{state.value}": Count("members", filter=Q(members__state=state)) for state in State}
    held = Q(members__state=State.HELD_OUT, members__held_until__isnull=False)
    counts["count_held_until"] = Count("members", filter=held)
    return rollouts.annotate(count_all=Count("members"), **counts).select_related("version__plan")
