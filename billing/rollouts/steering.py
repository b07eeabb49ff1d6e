"""A price change under way: pause, resume, cancel, roll back."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from billing.rollouts.announcing import announce_to
from billing.rollouts.cohort import Candidate, check_distance, effective_for
from billing.rollouts.locking import lock_rollout, lock_waiting
from billing.rollouts.notices import tell_canceled
from core import clock
from core.errors import Conflict, InvalidRequest
from pricing.models import Rollout, RolloutMember
from pricing.rollouts import OVER, trunk_of

Status, Timing, State = Rollout.Status, Rollout.Timing, RolloutMember.State


def pause_rollout(rollout: Rollout) -> Rollout:
    """Stop moving; once this returns nobody moves, not even by a worker that was about to."""
    with transaction.atomic():
        locked = lock_rollout(rollout, Status.ANNOUNCED, Status.RUNNING)
        locked.status, locked.paused_at = Status.PAUSED, clock.now()
        locked.save(update_fields=["status", "paused_at"])
        lock_waiting(locked)
    return locked


def resume_rollout(rollout: Rollout) -> Rollout:
    """Go on. Who should have moved in the meantime moves now, or at its next renewal; never backdated."""
    now = clock.now()
    with transaction.atomic():
        locked = lock_rollout(rollout, Status.PAUSED)
        for member in lock_waiting(locked):
            if member.effective_at < now:
                member.effective_at = effective_for(member.subscription, locked.timing, now)
                member.save(update_fields=["effective_at"])
        locked.status = Status.ANNOUNCED if locked.started_at is None else Status.RUNNING
        locked.save(update_fields=["status"])
    return locked


def cancel_rollout(rollout: Rollout) -> Rollout:
    """Call off what has not taken effect: who has moved stays moved, the others stay where they are.

    Customers who were told of the change are told that it does not come. A draft is simply given up.
    """
    now = clock.now()
    with transaction.atomic():
        locked = lock_rollout(rollout, Status.ANNOUNCED, Status.RUNNING, Status.PAUSED, Status.DRAFT)
        locked.status, locked.canceled_at = Status.CANCELED, now
        locked.save(update_fields=["status", "canceled_at"])
        waiting = lock_waiting(locked)
        tell_canceled(locked, waiting, now)
        pks = [member.pk for member in waiting]
        RolloutMember.objects.filter(pk__in=pks).update(state=State.CANCELED)
    return locked


def roll_back_rollout(
    rollout: Rollout,
    *,
    reason: str,
    timing: str = Timing.IMMEDIATELY,
    effective_at: datetime | None = None,
    by: str = "",
) -> Rollout:
    """Announce a rollout back: who was moved, and is still there, returns to the version it came from.

    Who has not moved stays: the original is canceled if it is still under way. Raises Conflict when nothing
    has been moved, or when it is rolled back already.
    """
    now = clock.now()
    check_distance(effective_at, now, "effective_at")
    with transaction.atomic():
        original = lock_rollout(
            rollout, Status.RUNNING, Status.PAUSED, Status.ANNOUNCED, Status.DONE, Status.CANCELED
        )
        if original.status not in (Status.DONE, Status.CANCELED):
            original = cancel_rollout(original)
        if original.rollbacks.exclude(status=Status.CANCELED).exists():
            raise Conflict("rolled_back_already", f"{original.public_id} is rolled back already.")
        if timing == Timing.IMMEDIATELY:
            if effective_at is not None:
                raise InvalidRequest("not_applicable", "immediately means now.", "effective_at")
            effective_at = now
        if effective_at is None or effective_at < now:
            raise InvalidRequest("in_past", "Say from when, now or later.", "effective_at")
        back = Rollout(
            name=f"{original.name}, back"[:200],
            rollback_of=original,
            cohort={"rollout": original.public_id},
            timing=timing,
            effective_at=effective_at,
            notice_at=now,
            created_at=now,
            created_by=by,
        )
        found = _to_return(original, timing, effective_at)
        if not found:
            raise Conflict("nothing_moved", f"Nobody is where {original.public_id} moved them.")
        back.save()
        return announce_to(back, found, reason=reason, by=by, now=now)


def _to_return(original: Rollout, timing: str, effective_at: datetime) -> list[Candidate]:
    rows = RolloutMember.objects.filter(rollout=original, state=State.MOVED).select_related(
        "from_version__plan", "to_version", "subscription__version__plan", "subscription__billing_entity"
    )
    return [
        Candidate(
            member.subscription,
            effective_for(member.subscription, timing, effective_at),
            member.from_version,
        )
        for member in rows.order_by("customer_id", "subscription_id")
        if trunk_of(member.subscription.version) == trunk_of(member.to_version)
        and member.subscription.status not in OVER
    ]
