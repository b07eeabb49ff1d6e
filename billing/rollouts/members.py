"""What becomes of single subscriptions in a price change: acknowledged, held out, excepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from billing.rollouts.ceilings import checked_limits, lift_ceilings, set_ceilings
from billing.rollouts.cohort import check_distance, effective_for
from billing.rollouts.locking import lock_members
from core import clock
from core.errors import Conflict, InvalidRequest, Unprocessable
from core.instants import instant_text
from pricing.models import Rollout, RolloutMember, Subscription

State = RolloutMember.State
TO_MOVE: Final = (State.PENDING, State.NOTIFIED, State.ACKNOWLEDGED, State.FAILED, State.HELD_OUT)
OPEN: Final = (Rollout.Status.ANNOUNCED, Rollout.Status.RUNNING, Rollout.Status.PAUSED)


def acknowledge_member(
    rollout: Rollout,
    subscription: Subscription,
    *,
    limits: Mapping[str, Decimal] | None = None,
    by: str = "",
) -> RolloutMember:
    """Accept a price change for one subscription, before its move or after; again changes the limits.

    Its old ceilings end. `limits` (meter key -> quantity per period) are what it wants instead. Raises
    Conflict for one that does not move.
    """
    now = clock.now()
    with transaction.atomic():
        (member,) = lock_members(rollout, [subscription])
        if member.state not in (*TO_MOVE, State.MOVED):
            raise Conflict("not_moving", f"{subscription.public_id} is {member.state}.", "subscription")
        member.limits = checked_limits(member, limits or {})
        member.acknowledged_at, member.acknowledged_by = now, by
        if member.state in (State.PENDING, State.NOTIFIED, State.FAILED):
            member.state = State.ACKNOWLEDGED
        member.save(update_fields=["limits", "acknowledged_at", "acknowledged_by", "state"])
        if member.state == State.MOVED:
            lift_ceilings(member, now, by=by)
            set_ceilings([member], now)
    return member


def hold_out(
    rollout: Rollout, subscriptions: Sequence[Subscription], *, until: datetime | None = None
) -> list[RolloutMember]:
    """Leave subscriptions on their version until an instant (None: for ever); later ones move then.

    With `at_renewal` that is at the first renewal from then on. Raises Conflict for one that has moved or
    does not move, InvalidRequest for an instant that holds nothing up.
    """
    now = clock.now()
    check_distance(until, now, "until")
    with transaction.atomic():
        members = _open_members(rollout, subscriptions)
        for member in members:
            assert member.rollout.effective_at is not None
            if until is not None and until <= max(now, member.rollout.effective_at):
                says = f"The change comes at {instant_text(member.rollout.effective_at)}: hold out beyond it."
                raise InvalidRequest("in_past", says, "until")
            member.state, member.held_until = State.HELD_OUT, until
            if until is not None:
                member.effective_at = effective_for(member.subscription, member.rollout.timing, until)
            member.save(update_fields=["state", "held_until", "effective_at"])
    return members


def except_members(
    rollout: Rollout, subscriptions: Sequence[Subscription], *, reason: str
) -> list[RolloutMember]:
    """Take subscriptions out of a price change for good, acknowledged ones too. `reason` is kept.

    Raises Conflict for one that has moved or does not move.
    """
    if not reason:
        raise Unprocessable("required", "Say why.", "reason")
    with transaction.atomic():
        members = _open_members(rollout, subscriptions)
        for member in members:
            member.state, member.result, member.held_until = State.EXCEPTED, reason, None
            member.save(update_fields=["state", "result", "held_until"])
    return members


def _open_members(rollout: Rollout, subscriptions: Sequence[Subscription]) -> list[RolloutMember]:
    members = lock_members(rollout, subscriptions)
    status = Rollout.objects.values_list("status", flat=True).get(pk=rollout.pk)
    if status not in OPEN:
        raise Conflict("not_announced", f"{rollout.public_id} is {status}.")
    for member in members:
        if member.state not in TO_MOVE:
            says = f"{member.subscription.public_id} is {member.state}."
            raise Conflict("not_moving", says, "subscriptions")
    return members
