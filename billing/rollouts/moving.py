"""Subscriptions' moves, many in one transaction: change them, keep their old ceilings, note what happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from django.db import transaction

from billing.ledger import lock_accounts
from billing.rollouts.ceilings import restore_ceilings, set_ceilings
from billing.subscriptions.changing import wanted_change
from billing.subscriptions.moving import move_many
from core.instants import instant_text
from core.sql import driver
from pricing.models import Rollout, RolloutMember, Subscription
from pricing.rollouts import OVER, WAITING, trunk_of

State = RolloutMember.State
MOVING: Final = (Rollout.Status.ANNOUNCED, Rollout.Status.RUNNING)
NOTED: Final = ("state", "moved_at", "result", "from_version")


def move_members(pks: Sequence[int], now: datetime) -> int:
    """Move the members that are due, all or none; gives how many have moved.

    Their state changes in the transaction of the move, so each moves once however often this is tried and
    wherever it is interrupted. Not moved: one that another transaction holds, that is no longer due, whose
    customer has not been told, or whose rollout is paused or canceled. The number of statements is that of
    one.
    """
    with transaction.atomic():
        members = _locked(pks, now)
        lock_accounts(driver(), sorted({(each.customer_id, each.billing_entity_id) for each in members}))
        rows = Subscription.objects.select_related("version__plan", "billing_entity")
        subscriptions = rows.in_bulk([member.subscription_id for member in members])
        going = []
        for member in members:
            subscription = subscriptions[member.subscription_id]
            gone = _why_it_stays(member, subscription)
            if gone:
                member.state, member.result = State.LEFT, gone
            else:
                member.from_version = subscription.version  # a ramp may have gone on since the announcement
                member.subscription = subscription
                going.append(member)
        _move(going, now)
        RolloutMember.objects.bulk_update(members, NOTED)
    return len(going)


def note_failure(pk: int, error: Exception, now: datetime) -> None:
    """Keep why a move failed. The member waits on, and the next run tries again."""
    with transaction.atomic():
        rows = RolloutMember.objects.filter(WAITING, pk=pk)
        member = rows.select_for_update(no_key=True, skip_locked=True).first()
        if member is None:
            return
        member.state, member.failed_at, member.attempts = State.FAILED, now, member.attempts + 1
        member.result = str(error)[:1000] or type(error).__name__
        member.save(update_fields=["state", "failed_at", "attempts", "result"])


def _locked(pks: Sequence[int], now: datetime) -> list[RolloutMember]:
    """Those of the members that are to move now, locked.

    Whether their rollout goes on is asked under the locks: who pauses it changes its status, then waits for
    the members'.
    """
    told = RolloutMember.objects.filter(WAITING, pk__in=pks, notified_at__isnull=False)
    rows = told.filter(effective_at__lte=now).select_related(
        "rollout", "from_version__plan", "to_version__plan"
    )
    members = list(rows.order_by("pk").select_for_update(of=("self",), no_key=True, skip_locked=True))
    moving = Rollout.objects.filter(pk__in={each.rollout_id for each in members}, status__in=MOVING)
    going_on = set(moving.values_list("pk", flat=True)) if members else set()
    return [member for member in members if member.rollout_id in going_on]


def _why_it_stays(member: RolloutMember, subscription: Subscription) -> str:
    if subscription.status in OVER:
        return f"The subscription is {subscription.status}."
    if subscription.ends_at is not None and subscription.ends_at <= member.effective_at:
        return f"The subscription ends at {instant_text(subscription.ends_at)}."
    if trunk_of(subscription.version) != trunk_of(member.from_version):
        return f"The subscription is on {subscription.version} by then."
    return ""


def _move(members: Sequence[RolloutMember], now: datetime) -> None:
    if not members:
        return
    wanted = [
        wanted_change(each.subscription, each.to_version, at=each.effective_at, reason=each.rollout.name)
        for each in members
    ]
    move_many(wanted, now)
    for member in members:
        member.state, member.moved_at = State.MOVED, now
        at = instant_text(member.effective_at)
        member.result = f"{member.from_version} to {member.to_version} from {at}"
    set_ceilings([member for member in members if member.rollout.rollback_of_id is None], now)
    _roll_back([member for member in members if member.rollout.rollback_of_id is not None], now)


def _roll_back(members: Sequence[RolloutMember], now: datetime) -> None:
    """Note at the original moves that these took them back, and let stand the ceilings from before them."""
    if not members:
        return
    originals = {member.rollout.rollback_of_id or 0 for member in members}
    subscriptions = [member.subscription_id for member in members]
    rows = RolloutMember.objects.filter(rollout_id__in=originals, subscription_id__in=subscriptions)
    moved = {(row.rollout_id, row.subscription_id): row for row in rows.select_related("rollout")}
    before = [moved[member.rollout.rollback_of_id or 0, member.subscription_id] for member in members]
    for row in before:
        row.state, row.rolled_back_at = State.ROLLED_BACK, now
    RolloutMember.objects.bulk_update(before, ["state", "rolled_back_at"])
    restore_ceilings(list(zip(members, before, strict=True)), now)
