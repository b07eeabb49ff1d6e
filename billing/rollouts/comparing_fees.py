"""Base fees of whole periods: as they were booked, and as they would have been without a price change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from billing.base_fees import trial_end_of
from billing.models import BookedFee
from core.numbers import CONTEXT, ZERO
from pricing.cycles import Period
from pricing.fee_schedule import FeeSpan, scheduled_fees
from pricing.models import BillingPeriod, RolloutMember
from pricing.terms import terms_of
from pricing.timeline import Timeline, timelines_of


def compare_fees(
    member: RolloutMember, periods: Iterable[BillingPeriod], now: datetime
) -> tuple[Decimal, Decimal]:
    """(old, new): what a member's fees of these periods would have come to by now, and what was booked."""
    rows = list(periods)
    subscription = member.subscription
    timeline = timelines_of([subscription], until=now)[subscription.pk]
    old = ZERO
    for period in rows:
        due = scheduled_fees(
            _spans_without(member, timeline),
            Period(period.starts_at, period.ends_at),
            begins_at=trial_end_of(subscription, timeline),
            ends_at=subscription.ends_at,
            advance_until=period.ends_at,
        )
        for fee in due:
            old = CONTEXT.add(old, fee.amount if fee.due_at <= now else ZERO)
    new = ZERO
    booked = BookedFee.objects.filter(period_id__in=[period.pk for period in rows])
    for amount in booked.values_list("amount", flat=True):
        new = CONTEXT.add(new, amount)
    return old, new


def _spans_without(member: RolloutMember, timeline: Timeline) -> list[FeeSpan]:
    """What the subscription went through, with the old version where the move has put the new one."""
    ends_at = member.subscription.ends_at
    return [
        FeeSpan(
            span.starts_at,
            None if span.ends_at == ends_at else span.ends_at,
            terms_of(member.from_version if span.version.pk == member.to_version_id else span.version),
            span.quantities,
            timeline.cycle_of(span),
        )
        for span in timeline.spans
        if not span.is_paused
    ]
