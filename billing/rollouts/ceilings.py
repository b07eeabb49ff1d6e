"""Ceilings that keep a price change from charging for what was included or blocked, until it is accepted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from core.errors import Unprocessable
from core.numbers import ZERO, plain
from metering.models import Meter
from pricing.models import BillingPeriod, Component, Counter, RolloutMember, Segment, UsageCeiling
from pricing.rollouts import ceilings_of, meters_named

Reason = UsageCeiling.Reason


class Bound(NamedTuple):
    """A quantity that a subscription is to be held to, and why."""

    limit: Decimal
    reason: str


def set_ceilings(members: Sequence[RolloutMember], now: datetime) -> None:
    """Give members that have moved the limits that they chose, or their old ceilings unless acknowledged.

    What an earlier price change left standing goes with it, unless this one was acknowledged. What the
    running period had used before the move counts against them all. The members are of different
    subscriptions; the number of statements is that of one.
    """
    if not members:
        return
    by_subscription = {member.subscription_id: member for member in members}
    standing = UsageCeiling.objects.filter(subscription_id__in=by_subscription, lifted_at=None)
    carried: dict[int, list[UsageCeiling]] = {member.pk: [] for member in members}
    lifted: dict[str, list[int]] = {}
    for row in standing:
        member = by_subscription[row.subscription_id]
        lifted.setdefault(member.rollout.public_id, []).append(row.pk)
        if member.acknowledged_at is None or row.reason == Reason.CHOSEN:
            carried[member.pk].append(row)
    for by, pks in lifted.items():
        UsageCeiling.objects.filter(pk__in=pks).update(lifted_at=now, lifted_by=by)
    _create(members, carried, now)


def restore_ceilings(pairs: Sequence[tuple[RolloutMember, RolloutMember]], now: datetime) -> None:
    """After moves back: end what the original moves brought, and let stand again what they had ended.

    `pairs` are (move back, original).
    """
    carried = {}
    for back, original in pairs:
        lift_ceilings(original, now, by=back.rollout.public_id)
        ended = UsageCeiling.objects.filter(
            subscription_id=back.subscription_id, lifted_by=original.rollout.public_id
        )
        carried[back.pk] = list(ended.exclude(member=original))
    _create([back for back, _ in pairs], carried, now)


def _create(
    members: Sequence[RolloutMember], carried: Mapping[int, Iterable[UsageCeiling]], now: datetime
) -> None:
    limits = {
        member.pk: ceilings_of(member) if member.introduces_overage or member.limits else {}
        for member in members
    }
    meters = (
        meters_named({key: None for each in limits.values() for key in each}) if any(limits.values()) else {}
    )
    priced: dict[int, set[int]] = {}
    if meters or any(carried.values()):
        rows = Component.objects.filter(version_id__in={member.to_version_id for member in members})
        for version_id, meter_id in rows.values_list("version_id", "meter_id"):
            priced.setdefault(version_id, set()).add(meter_id)
    bounds = {}
    for member in members:
        found = _bounds(member, carried.get(member.pk, ()), limits[member.pk], meters)
        there = priced.get(member.to_version_id, set())
        bounds[member.pk] = {pk: bound for pk, bound in sorted(found.items()) if pk in there}
    bound_ones = [member for member in members if bounds[member.pk]]
    if not bound_ones:
        return
    periods = _periods_at(bound_ones)
    used = _used_before(bound_ones, periods)
    UsageCeiling.objects.bulk_create(
        UsageCeiling(
            customer_id=member.customer_id,
            subscription_id=member.subscription_id,
            version_id=member.to_version_id,
            meter_id=meter_id,
            member=member,
            limit=bound.limit,
            period=periods.get(member.pk),
            used_before=used.get((member.pk, meter_id), ZERO),
            reason=bound.reason,
            created_at=now,
        )
        for member in bound_ones
        for meter_id, bound in bounds[member.pk].items()
    )


def _bounds(
    member: RolloutMember,
    carried: Iterable[UsageCeiling],
    limits: Mapping[str, str],
    meters: Mapping[str, Meter],
) -> dict[int, Bound]:
    """By meter: the lowest of the old ceilings, or what was chosen."""
    bounds = {row.meter_id: Bound(row.limit, row.reason) for row in carried}
    reason = Reason.CHOSEN if member.limits else Reason.OLD_CEILING
    for key, limit in limits.items():
        if key not in meters:
            continue
        pk, bound = meters[key].pk, Bound(Decimal(limit), reason)
        known = bounds.get(pk)
        bounds[pk] = bound if known is None or member.limits else min(known, bound)
    return bounds


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


def _periods_at(members: Sequence[RolloutMember]) -> dict[int, BillingPeriod]:
    """By member, the period in which it moves."""
    instants = [member.effective_at for member in members]
    rows = BillingPeriod.objects.filter(
        subscription_id__in=[member.subscription_id for member in members],
        starts_at__lte=max(instants),
        ends_at__gt=min(instants),
    )
    by_subscription: dict[int, list[BillingPeriod]] = {}
    for row in rows:
        by_subscription.setdefault(row.subscription_id, []).append(row)
    return {
        member.pk: row
        for member in members
        for row in by_subscription.get(member.subscription_id, ())
        if row.starts_at <= member.effective_at < row.ends_at
    }


def _used_before(
    members: Sequence[RolloutMember], periods: Mapping[int, BillingPeriod]
) -> dict[tuple[int, int], Decimal]:
    """By (member, meter), what the segments of its period before the move counted; two statements.

    Components of one meter count the same; of a component with groups, the groups are added up.
    """
    owners = {periods[member.pk].pk: member for member in members if member.pk in periods}
    segments = {
        segment.pk: owners[segment.period_id]
        for segment in Segment.objects.filter(period_id__in=owners)
        if segment.starts_at < owners[segment.period_id].effective_at
    }
    counted: dict[tuple[int, int], Decimal] = {}
    customers = {member.customer_id for member in members}
    rows = Counter.objects.filter(customer_id__in=customers, segment_id__in=segments) if segments else ()
    for row in rows:
        key = row.segment_id, row.component_id
        counted[key] = counted.get(key, ZERO) + row.quantity
    meters = dict(
        Component.objects.filter(pk__in={component_id for _, component_id in counted}).values_list(
            "pk", "meter_id"
        )
        if counted
        else ()
    )
    highest: dict[tuple[int, int], Decimal] = {}
    for (segment_id, component_id), quantity in counted.items():
        place = segment_id, meters[component_id]
        highest[place] = max(highest.get(place, quantity), quantity)
    used: dict[tuple[int, int], Decimal] = {}
    for (segment_id, meter_id), quantity in highest.items():
        key = segments[segment_id].pk, meter_id
        used[key] = used.get(key, ZERO) + quantity
    return {key: max(quantity, ZERO) for key, quantity in used.items()}
