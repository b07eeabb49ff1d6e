"""Ceilings that keep a price change from charging for what was included or blocked, until it is accepted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.errors import Unprocessable
from core.numbers import ZERO, plain
from metering.models import Meter
from pricing.models import BillingPeriod, Component, Counter, RolloutMember, Segment, UsageCeiling
from pricing.rollouts import ceilings_of, meters_named

Reason = UsageCeiling.Reason


def set_ceilings(member: RolloutMember, now: datetime) -> None:
    """Give a member that has moved the limits that it chose, or its old ceilings unless it acknowledged.

    What the running period had used before the move counts against them.
    """
    limits = ceilings_of(member) if member.introduces_overage or member.limits else {}
    meters = meters_named(limits)
    period = _period_at(member)
    for key in sorted(limits.keys() & meters.keys()):
        UsageCeiling.objects.create(
            customer_id=member.customer_id,
            subscription_id=member.subscription_id,
            version_id=member.to_version_id,
            meter=meters[key],
            member=member,
            limit=Decimal(limits[key]),
            period=period,
            used_before=ZERO if period is None else _used_before(member, meters[key], period),
            reason=Reason.CHOSEN if member.limits else Reason.OLD_CEILING,
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


def _used_before(member: RolloutMember, meter: Meter, period: BillingPeriod) -> Decimal:
    """What the period's segments on other versions counted of a meter.

    Components of one meter count the same; of a component with groups, the groups are added up.
    """
    used = ZERO
    for segment in Segment.objects.filter(period=period).exclude(version_id=member.to_version_id):
        components = Component.objects.filter(version_id=segment.version_id, meter=meter)
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
