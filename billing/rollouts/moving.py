"""One subscription's move, in its own transaction: change it, keep its old ceilings, note what happened."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction

from billing.ledger import lock_accounts
from billing.rollouts.ceilings import restore_ceilings, set_ceilings
from billing.subscriptions import change_subscription
from core.instants import instant_text
from core.sql import driver
from pricing.models import Rollout, RolloutMember, Subscription
from pricing.rollouts import OVER, WAITING, trunk_of

State = RolloutMember.State
MOVING: Final = (Rollout.Status.ANNOUNCED, Rollout.Status.RUNNING)
NOTED: Final = ("state", "moved_at", "result", "from_version")


def move_member(pk: int, now: datetime) -> bool:
    """Move a member that is due; gives whether it has moved.

    Its state changes in the transaction of the move, so it moves once however often this is tried and
    wherever it is interrupted. Not moved: one that another transaction holds, that is no longer due, whose
    customer has not been told, or whose rollout is paused or canceled.
    """
    with transaction.atomic():
        told = RolloutMember.objects.filter(WAITING, pk=pk, notified_at__isnull=False)
        rows = told.filter(effective_at__lte=now).select_related(
            "rollout", "from_version__plan", "to_version__plan"
        )
        member = rows.select_for_update(of=("self",), no_key=True, skip_locked=True).first()
        if member is None or not _goes_on(member.rollout_id):
            return False
        lock_accounts(driver(), [(member.customer_id, member.billing_entity_id)])
        subscription = Subscription.objects.select_related("version__plan", "billing_entity").get(
            pk=member.subscription_id
        )
        gone = _why_it_stays(member, subscription)
        if gone:
            member.state, member.result = State.LEFT, gone
        else:
            _move(member, subscription, now)
        member.save(update_fields=NOTED)
    return member.state == State.MOVED


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


def _goes_on(rollout_pk: int) -> bool:
    """Asked under the member's lock: who pauses changes the status, then waits for the members' locks."""
    return Rollout.objects.filter(pk=rollout_pk, status__in=MOVING).exists()


def _why_it_stays(member: RolloutMember, subscription: Subscription) -> str:
    if subscription.status in OVER:
        return f"The subscription is {subscription.status}."
    if subscription.ends_at is not None and subscription.ends_at <= member.effective_at:
        return f"The subscription ends at {instant_text(subscription.ends_at)}."
    if trunk_of(subscription.version) != trunk_of(member.from_version):
        return f"The subscription is on {subscription.version} by then."
    return ""


def _move(member: RolloutMember, subscription: Subscription, now: datetime) -> None:
    member.from_version = subscription.version  # a ramp may have gone on since the announcement
    change_subscription(
        subscription, version=member.to_version, at=member.effective_at, reason=member.rollout.name
    )
    member.state, member.moved_at = State.MOVED, now
    member.result = f"{member.from_version} to {member.to_version} from {instant_text(member.effective_at)}"
    original = member.rollout.rollback_of_id
    if original is None:
        set_ceilings(member, now)
        return
    before = RolloutMember.objects.select_related("rollout").get(
        rollout_id=original, subscription_id=member.subscription_id
    )
    before.state, before.rolled_back_at = State.ROLLED_BACK, now
    before.save(update_fields=["state", "rolled_back_at"])
    restore_ceilings(member, before, now)
