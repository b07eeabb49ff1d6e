"""Ceilings that keep a price change from charging for what was included or blocked, until it is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from core.errors import Unprocessable
from core.numbers import ZERO, plain
from pricing.models import BillingPeriod, Component, Counter, RolloutMember, Segment, UsageCeiling
from pricing.rollouts import ceilings_of, meters_named

Reason = UsageCeiling.Reason


class Bound(NamedTuple):
    """A quantity that a subscription is to be held to, and why."""

    limit: Decimal
    reason: str


def set_ceilings(member: RolloutMember, now: datetime) -> None:
    """Give a member that has moved the limits that it chose, or its old ceilings unless it acknowledged.

    What an earlier price change left standing goes with it, unless this one was acknowledged. What the
    running period had used before the move counts against them all.
    """
    standing = UsageCeiling.objects.filter(subscription_id=member.subscription_id, lifted_at=None)
    carried = [row for row in standing if member.acknowledged_at is None or row.reason == Reason.CHOSEN]
    standing.update(lifted_at=now, lifted_by=member.rollout.public_id)
    _create(member, _bounds(member, carried), now)


def restore_ceilings(back: RolloutMember, original: RolloutMember, now: datetime) -> None:
    """After the move `back`: end what the original move brought, and let stand again what it had ended."""
    lift_ceilings(original, now, by=back.rollout.public_id)
    ended = UsageCeiling.objects.filter(
        subscription_id=back.subscription_id, lifted_by=original.rollout.public_id
    )
    _create(back, _bounds(back, ended.exclude(member=original)), now)


def _bounds(member: RolloutMember, carried: Iterable[UsageCeiling]) -> dict[int, Bound]:
    """By meter, of those that the new version prices: the lowest of the old ones, or what was chosen."""
    bounds: dict[int, Bound] = {}
    for row in carried:
        bounds[row.meter_id] = Bound(row.limit, row.reason)
    limits = ceilings_of(member) if member.introduces_overage or member.limits else {}
    reason = Reason.CHOSEN if member.limits else Reason.OLD_CEILING
    for key, meter in meters_named(limits).items():
        bound, known = Bound(Decimal(limits[key]), reason), bounds.get(meter.pk)
        bounds[meter.pk] = bound if known is None or member.limits else min(known, bound)
    priced = set(Component.objects.filter(version_id=member.to_version_id).values_list("meter_id", flat=True))
    return {pk: bound for pk, bound in sorted(bounds.items()) if pk in priced}


def _create(member: RolloutMember, bounds: Mapping[int, Bound], now: datetime) -> None:
    period = _period_at(member) if bounds else None
    for meter_id, bound in bounds.items():
        UsageCeiling.objects.create(
            customer_id=member.customer_id,
            subscription_id=member.subscription_id,
            version_id=member.to_version_id,
            meter_id=meter_id,
            member=member,
            limit=bound.limit,
            period=period,
            used_before=ZERO if period is None else _used_before(member, meter_id, period),
            reason=bound.reason,
            created_at=now,
        )


def lift_ceilings(member: RolloutMember, now: datetime, *, by: str) -> int:
    """End the ceilings that this member's move brought; gives how many there were."""
    standing = UsageCeiling.objects.filter(member=member, lifted_at=None)
    return standing.update(lifted_at=now, lifted_by=by)


def checked_limits(member: RolloutMember, limits: Mapping[str, Decimal]) -> dict[str, Any]:
    """The limits that a customer chose, as they are kept; raises Unprocessable for an unpriced meter."""
    priced = set(
        Component.objects.filter(version_id=member.to_version_id).values_list("meter__key", flat=True)
    )
    for key in limits:
        if key not in priced:
            there = ", ".join(sorted(priced)) or "none"
            says = f"The new version does not price the meter {key!r}; it prices {there}."
            raise Unprocessable("unknown_meter", says, f"limits.{key}")
    return {key: plain(limit) for key, limit in limits.items()}


def _period_at(member: RolloutMember) -> BillingPeriod | None:
    rows = BillingPeriod.objects.filter(subscription_id=member.subscription_id)
    return rows.filter(starts_at__lte=member.effective_at, ends_at__gt=member.effective_at).first()


def _used_before(member: RolloutMember, meter_id: int, period: BillingPeriod) -> Decimal:
    """What the period's segments before the move counted of a meter.

    Components of one meter count the same; of a component with groups, the groups are added up.
    """
    used = ZERO
    for segment in Segment.objects.filter(period=period, starts_at__lt=member.effective_at):
        components = Component.objects.filter(version_id=segment.version_id, meter_id=meter_id)
        counted: dict[int, Decimal] = {}
        counters = Counter.objects.filter(
            customer_id=member.customer_id,
            segment_id=segment.pk,
            component_id__in=list(components.values_list("pk", flat=True)),
        )
        for counter in counters:
            counted[counter.component_id] = counted.get(counter.component_id, ZERO) + counter.quantity
        used += max(counted.values(), default=ZERO)
    return max(used, ZERO)
