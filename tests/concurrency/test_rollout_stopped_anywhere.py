"""A price change that stops at any statement of any of its steps, and goes on from there: nobody is half
moved, nobody is moved or told twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from billing.models import BookedFee, OutboxMessage
from billing.rollouts import execute_rollouts, executing
from core import clock
from core.sql import driver
from pricing.models import RolloutMember, Segment, SubscriptionChange
from tests.billing.invariants import broken_invariants
from tests.concurrency.rollouts import PriceChange, make_price_change

SIZE = 5


class Stopped(BaseException):
    """The worker is gone; no handler of errors may take it for a failure."""


@contextmanager
def stopping_at(number: int) -> Iterator[None]:
    """Stop at the statement of this number."""
    left = number

    def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stopped
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield


def check_nobody_is_half_moved(change: PriceChange) -> None:
    """Who is moved has its change and its segment; who is not has neither. Told once, at most."""
    moved = set(
        RolloutMember.objects.filter(rollout=change.rollout, state="moved").values_list(
            "subscription_id", flat=True
        )
    )
    changed = SubscriptionChange.objects.filter(version=change.new).values_list("subscription_id", flat=True)
    on_it = Segment.objects.filter(version=change.new).values_list("subscription_id", flat=True)
    assert sorted(changed) == sorted(on_it) == sorted(moved)
    assert OutboxMessage.objects.filter(kind="rollout.notice").count() <= len(change.tenants)
    assert not RolloutMember.objects.filter(state="failed").exists()
    assert broken_invariants(driver()) == []


@pytest.mark.parametrize(("seed", "batch"), [(1, 1), (2, 1), (3, 2), (4, SIZE)])
def test_it_goes_on_from_wherever_it_stopped(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, seed: int, batch: int
) -> None:
    monkeypatch.setattr(executing, "BATCH", batch)
    dice = random.Random(seed)
    change = make_price_change(SIZE, balance="100")
    stops, moved = 0, [0]
    while True:
        try:
            with stopping_at(dice.randint(1, 200 // batch)):
                execute_rollouts(clock.now())
        except Stopped:
            stops += 1
            check_nobody_is_half_moved(change)
            moved.append(change.moved())
            assert stops < 200, "it does not get on"
            continue
        break
    assert stops >= 1
    assert moved == sorted(moved), "what is moved stays moved"
    execute_rollouts(clock.now())
    change.check_moved_once()
    assert not BookedFee.objects.exists()
