"""Rows of rollouts, locked: the rollout, then its members, the payer's wallet row, the subscription."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Conflict, Unprocessable
from core.ids import public_id
from pricing.models import Rollout, RolloutMember, Subscription
from pricing.rollouts import WAITING


def lock_rollout(rollout: Rollout, *allowed: str) -> Rollout:
    """The rollout as it is now, locked; raises Conflict unless its status is one of `allowed`."""
    locked = Rollout.objects.select_for_update(no_key=True).get(pk=rollout.pk)
    if locked.status not in allowed:
        raise Conflict(f"not_{allowed[0]}", f"{locked.public_id} is {locked.status}.")
    return locked


def lock_waiting(rollout: Rollout) -> list[RolloutMember]:
    """The members that are still to move, locked: none of them is being moved when this returns."""
    rows = RolloutMember.objects.filter(WAITING, rollout=rollout).select_related("subscription__version")
    return list(rows.order_by("pk").select_for_update(of=("self",), no_key=True))


def lock_members(rollout: Rollout, subscriptions: Sequence[Subscription]) -> list[RolloutMember]:
    """The members of these subscriptions, locked; raises Unprocessable for one that is none."""
    pks = [subscription.pk for subscription in subscriptions]
    rows = RolloutMember.objects.filter(rollout=rollout, subscription_id__in=pks).select_related(
        "rollout", "from_version", "to_version", "subscription__version", "subscription__billing_entity"
    )
    members = list(rows.order_by("pk").select_for_update(of=("self",), no_key=True))
    missing = set(pks) - {member.subscription_id for member in members}
    if missing:
        says = f"{public_id('sub', min(missing))} is not in {rollout.public_id}."
        raise Unprocessable("not_a_member", says, "subscriptions")
    return members
