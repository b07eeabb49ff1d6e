"""Old against new price of what one subscription used since a price change moved it.

New is what was charged: the lines of its segments on the new version, and the base fees of their periods. Old
is what the version that it came from would have charged, had it run on: the events of the running period from
before the move come first, so that tiers and allowances stand where they would have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from django.db.models import Exists, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast

from billing.models import Charge, Reversal
from billing.rollouts.comparing_fees import compare_fees
from core.jsonio import decode_json
from core.numbers import CONTEXT, ZERO
from metering.catalogue import compile_meter
from metering.models import UsageEvent
from pricing.models import Component, RolloutMember, Segment
from pricing.pricelist import compile_component
from pricing.repricing import Repricing
from pricing.rollouts import on_version, trunk_of

AT_ONCE: Final = 2000
"""Rows in memory at a time."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a member's usage since its move came to, on the old version and on the new one."""

    member: RolloutMember
    old_amount: Decimal
    new_amount: Decimal

    @property
    def difference(self) -> Decimal:
        """What the change has cost the customer; negative when it gained."""
        return CONTEXT.subtract(self.new_amount, self.old_amount)


def compare_member(member: RolloutMember, now: datetime) -> Comparison:
    """Both prices of a moved member, of all that is recorded by now. Writes nothing.

    `member` has its `subscription` (with version and payer) and both versions.
    """
    segments = _segments(member)
    if not segments:
        return Comparison(member, ZERO, ZERO)
    old_fees, new_fees = compare_fees(member, {segment.period for segment in segments}, now)
    return Comparison(
        member,
        CONTEXT.add(_old_usage(member, segments), old_fees),
        CONTEXT.add(_new_usage(member, segments), new_fees),
    )


def _segments(member: RolloutMember) -> list[Segment]:
    """Those on the new version since the move, in order."""
    rows = Segment.objects.filter(
        on_version(trunk_of(member.to_version)),
        subscription_id=member.subscription_id,
        ends_at__gt=member.effective_at,
    )
    return list(rows.select_related("period__subscription").order_by("starts_at"))


def _new_usage(member: RolloutMember, segments: Sequence[Segment]) -> Decimal:
    pks, amount = {segment.pk for segment in segments}, ZERO
    charges = Charge.objects.filter(
        customer_id=member.customer_id,
        billing_entity_id=member.billing_entity_id,
        occurred_at__gte=segments[0].starts_at,
    )
    for lines in charges.values_list("lines", flat=True).iterator(AT_ONCE):
        for line in lines:
            if line["segment"] in pks:
                amount = CONTEXT.add(amount, Decimal(line["amount"]))
    return amount


def _old_usage(member: RolloutMember, segments: Sequence[Segment]) -> Decimal:
    rows = Component.objects.filter(version_id=member.from_version_id).select_related("meter")
    components = [(compile_component(row), compile_meter(row.meter)) for row in rows.order_by("position")]
    amount = ZERO
    for _, theirs in groupby(segments, key=lambda segment: segment.period_id):
        period = list(theirs)
        before = Segment.objects.filter(
            on_version(trunk_of(member.from_version)),
            period_id=period[0].period_id,
            starts_at__lt=period[0].starts_at,
        )
        repricing = Repricing(components)
        _charge(repricing, member, before)
        amount = CONTEXT.add(amount, _charge(repricing, member, period))
    return amount


def _charge(
    repricing: Repricing, member: RolloutMember, segments: QuerySet[Segment] | Sequence[Segment]
) -> Decimal:
    amount = ZERO
    for segment in segments:
        for event in _events(member, segment.starts_at, segment.ends_at):
            properties: dict[str, Any] = decode_json(event.properties_text.encode())
            amount = CONTEXT.add(amount, repricing.charge(event.name, properties, event.cost))
    return amount


def _events(member: RolloutMember, start: datetime, end: datetime) -> Iterator[Any]:
    taken_back = Reversal.objects.filter(
        customer_id=OuterRef("customer_id"), event_id=OuterRef("id"), cause=Reversal.Cause.EVENT
    )
    rows = UsageEvent.objects.filter(
        ~Exists(taken_back),
        customer_id=member.customer_id,
        billing_entity_id=member.billing_entity_id,
        occurred_at__gte=start,
        occurred_at__lt=end,
    )
    return rows.annotate(properties_text=Cast("properties", TextField())).order_by("seq").iterator(AT_ONCE)
