"""Moving what is due, batch after batch, by any number of workers, restartable at any point."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from django.db import transaction

from billing.rollouts.moving import MOVING, move_members, note_failure
from billing.rollouts.notices import send_notices
from pricing.models import Rollout, RolloutMember
from pricing.rollouts import WAITING

BATCH: Final = 50
"""How many subscriptions move in one transaction: few enough not to hold payers' wallets for long."""
Status = Rollout.Status
logger = logging.getLogger(__name__)


def execute_rollouts(now: datetime) -> int:
    """Give the notices that are due and move the subscriptions that are; gives how many moved.

    A rollout that fails is logged and does not keep the others from theirs.
    """
    moved = 0
    for rollout in Rollout.objects.filter(status__in=MOVING).order_by("pk"):
        try:
            moved += execute_rollout(rollout, now)
        except Exception:
            logger.exception("%s could not go on", rollout.public_id)
    return moved


def execute_rollout(rollout: Rollout, now: datetime) -> int:
    """The same for one rollout."""
    assert rollout.notice_at is not None
    if rollout.notice_at <= now:
        send_notices(rollout, now)
    moved = 0
    for batch in _due_batches(rollout, now):
        announced = Rollout.objects.filter(pk=rollout.pk, status=Status.ANNOUNCED)
        announced.update(status=Status.RUNNING, started_at=now)
        moved += _try_to_move(batch, now)
    _finish(rollout, now)
    return moved


def _due_batches(rollout: Rollout, now: datetime) -> Iterator[list[int]]:
    """The ids of members that are due, each once, read as the work goes on."""
    due = RolloutMember.objects.filter(WAITING, rollout=rollout, effective_at__lte=now).order_by("pk")
    last = 0
    while batch := list(due.filter(pk__gt=last).values_list("pk", flat=True)[:BATCH]):
        yield batch
        last = batch[-1]


def _try_to_move(pks: Sequence[int], now: datetime) -> int:
    """Move members together. Where that fails, by halves, so that one that cannot move is left alone."""
    try:
        return move_members(pks, now)
    except Exception as error:
        if len(pks) == 1:
            logger.exception("the member %s of a rollout could not be moved", pks[0])
            note_failure(pks[0], error, now)
            return 0
    half = len(pks) // 2
    return _try_to_move(pks[:half], now) + _try_to_move(pks[half:], now)


def _finish(rollout: Rollout, now: datetime) -> None:
    """Note that nobody is left to move, held out until a date neither."""
    with transaction.atomic():
        locked = Rollout.objects.select_for_update(no_key=True).get(pk=rollout.pk)
        waits = RolloutMember.objects.filter(WAITING, rollout=rollout).exists()
        if locked.status in MOVING and not waits:
            locked.status, locked.done_at = Status.DONE, now
            locked.save(update_fields=["status", "done_at"])
