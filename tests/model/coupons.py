"""What coupons take off a period's lines, after docs/algorithms/coupons.md: pure, and who gets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from tests.model.days import Span
from tests.model.parties import Answer, Coupon, Payer, Segment, error
from tests.model.prices import ZERO, Component, rounded

Place = tuple[Segment, str]
"""A line of a period: a component of a segment."""


class Change(NamedTuple):
    """By how much what coupons take off a line is to change."""

    segment: Segment
    key: str
    amount: Decimal


def taken_off(coupons: Sequence[Coupon], lines: Sequence[tuple[str, Decimal]]) -> list[Decimal]:
    """What coupons take off each line (key, amount), one after the other, each of what is left."""
    left = [amount for _, amount in lines]
    for coupon in coupons:
        rest = coupon.amount or ZERO
        for at, (key, _) in enumerate(lines):
            if left[at] <= 0 or (coupon.components and key not in coupon.components):
                continue
            if coupon.percent is not None:
                left[at] -= rounded(left[at] * coupon.percent / 100)
            else:
                part = min(rest, left[at])
                rest, left[at] = rest - part, left[at] - part
    return [amount - last for (_, amount), last in zip(lines, left, strict=True)]


def redeem(payer: Payer, coupon: Coupon, now: datetime) -> Answer:
    """`POST /v1/coupons/{key}/redeem`: once per subscription, while it runs."""
    if payer.version_at(now) is None:
        return error(409, "not_active")
    if any(one is coupon for one, _ in payer.redeemed):
        return error(409, "coupon_redeemed")
    payer.redeemed.append((coupon, now))
    return 201, {}


def coupons_in(payer: Payer, period: Span) -> list[Coupon]:
    """Those that hold in a period: from the one in which they were redeemed, in so many as they last.

    One that was redeemed when the last period had just ended with the payer's subscription holds in none.
    """
    found = []
    for coupon, at in payer.redeemed:
        first, count = payer.period_at(at), 0
        if at > payer.last_of(first):
            continue
        while first[0] <= period[0] and (coupon.periods is None or count < coupon.periods):
            if first == period:
                found.append(coupon)
            first, count = payer.period_at(first[1]), count + 1
    return found


def settle(payer: Payer, period: Span, now: datetime) -> None:
    """Give back what coupons take off a closed period's lines, or have it paid again where they take less."""
    for change in _changes(payer, period, {}):
        _book(payer, period, change)
        payer.wallet.expire(now)


def take_back(payer: Payer, falls: Mapping[Place, Decimal]) -> None:
    """Before lines change by so much, those that then get less off are paid again, where one falls."""
    falling = {segment for (segment, _), amount in falls.items() if amount < 0 and segment.is_closed}
    if not any(segment.credited for segment in falling):
        return
    for period in {segment.period for segment in falling}:
        for change in _changes(payer, period, falls):
            if change.amount < 0:
                _book(payer, period, change)


def _changes(payer: Payer, period: Span, falls: Mapping[Place, Decimal]) -> list[Change]:
    segments = [one for one in payer.segments.values() if one.period == period]
    places = [
        (segment, component)
        for segment in sorted(segments, key=lambda one: one.starts_at)
        for component in segment.components
    ]
    lines = [
        (one["key"], _line(segment, one) + falls.get((segment, one["key"]), ZERO)) for segment, one in places
    ]
    found = taken_off(coupons_in(payer, period), lines)
    changes = [
        Change(segment, one["key"], amount - segment.credited.get(one["key"], ZERO))
        for (segment, one), amount in zip(places, found, strict=True)
    ]
    return [change for change in changes if change.amount]


def _line(segment: Segment, component: Component) -> Decimal:
    """What the payer has paid for, without what the operator bears."""
    return segment.cost(component, segment.events) - segment.payments.borne.get(component["key"], ZERO)


def _book(payer: Payer, period: Span, change: Change) -> None:
    segment, key, amount = change
    if amount > 0:
        parts = segment.payments.give_back(key, amount)
    else:
        parts = payer.wallet.burn([(key, -amount)], payer.last_of(period), keeps=False)
    payer.wallet.apply(parts)
    segment.payments.note(parts)
    segment.credited[key] = segment.credited.get(key, ZERO) + amount
