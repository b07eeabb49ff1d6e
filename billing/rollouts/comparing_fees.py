"""Base fees of whole periods: as they were booked, and as they would have been without a price change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from billing.base_fees import fees_in_period
from billing.models import BookedFee
from core.numbers import CONTEXT, ZERO
from pricing.models import BillingPeriod, RolloutMember
from pricing.rollouts import trunk_of
from pricing.timeline import Timeline, timelines_of


def compare_fees(
    member: RolloutMember, periods: Iterable[BillingPeriod], now: datetime
) -> tuple[Decimal, Decimal]:
    """(old, new): what a member's fees of these periods would have come to by now, and what was booked."""
    rows = list(periods)
    subscription = member.subscription
    timeline = _without(member, timelines_of([subscription], until=now)[subscription.pk])
    old = new = ZERO
    for period in rows:
        for fee in fees_in_period(period, timeline):
            old = CONTEXT.add(old, fee.amount if fee.due_at <= now else ZERO)
    booked = BookedFee.objects.filter(period_id__in=[period.pk for period in rows])
    for amount in booked.values_list("amount", flat=True):
        new = CONTEXT.add(new, amount)
    return old, new


def _without(member: RolloutMember, timeline: Timeline) -> Timeline:
    """What the subscription went through, with the old version where the move has put the new one."""
    moved_to = trunk_of(member.to_version)
    spans = [
        replace(span, version=member.from_version) if trunk_of(span.version) == moved_to else span
        for span in timeline.spans
    ]
    return replace(timeline, spans=tuple(spans))
