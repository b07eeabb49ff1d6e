"""Price changes with several at work at once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from billing.charging import Charged
from billing.models import Adjustment, MakeWholeCredit
from billing.rollouts import (
    acknowledge_member,
    cancel_rollout,
    execute_rollouts,
    executing,
    hold_out,
    make_whole,
    pause_rollout,
)
from core import clock
from core.errors import Conflict
from pricing.models import Rollout, RolloutMember, Subscription
from tests.billing.world import charge
from tests.concurrency.crowd import at_once
from tests.concurrency.rollouts import PriceChange, State, make_price_change


def test_four_workers_share_the_members_and_move_each_once() -> None:
    change = make_price_change(24)
    moved = at_once([lambda: execute_rollouts(clock.now())] * 4)
    execute_rollouts(clock.now())
    assert sum(moved) == 24
    change.check_moved_once()


def test_calls_go_on_while_their_payers_are_moved() -> None:
    change = make_price_change(6)

    def calls(number: int) -> list[Decimal]:
        amounts = []
        for index in range(12):
            outcome = charge(change.tenants[number], f"k{number}-{index}", properties={"tokens": 1})
            assert isinstance(outcome, Charged)
            amounts.append(outcome.amount)
        return amounts

    def work() -> list[Decimal]:
        execute_rollouts(clock.now())
        return []

    works: list[Callable[[], Any]] = [*(partial(calls, number) for number in range(6)), work]
    at_once(works)
    change.check_moved_once()


def test_nobody_moves_once_a_pause_has_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "BATCH", 2)
    change = make_price_change(40)
    seen: list[int] = []

    def pause() -> None:
        while change.moved() < 3:
            pass
        pause_rollout(change.rollout)
        seen.append(change.moved())

    def work() -> None:
        execute_rollouts(clock.now())
        seen.append(change.moved())

    at_once([pause, work])
    assert seen[0] == seen[1] == change.moved()
    assert change.moved() < 40
    assert Rollout.objects.get().status == Rollout.Status.PAUSED


def test_a_cancellation_and_a_worker_agree_on_each_member(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "BATCH", 2)
    change = make_price_change(30)

    def cancel() -> None:
        while change.moved() < 3:
            pass
        cancel_rollout(change.rollout)

    at_once([cancel, lambda: _run()])
    states = list(RolloutMember.objects.values_list("state", flat=True))
    assert set(states) == {State.MOVED, State.CANCELED}
    for member in RolloutMember.objects.select_related("subscription"):
        version = change.new if member.state == State.MOVED else change.old
        assert member.subscription.version_id == version.pk


def test_who_is_held_out_while_the_worker_runs_is_moved_or_held() -> None:
    change = make_price_change(12)
    subscriptions = [tenant.subscription for tenant in change.tenants if tenant.subscription is not None]

    def hold(number: int) -> bool:
        try:
            hold_out(change.rollout, [subscriptions[number]])
        except Conflict:
            return False
        return True

    works: list[Callable[[], bool]] = [*(partial(hold, number) for number in range(12)), _run]
    results = at_once(works)
    for held, subscription in zip(results, subscriptions, strict=False):
        subscription.refresh_from_db()
        assert subscription.version_id == (change.old if held else change.new).pk


def test_two_make_whole_at_once_credit_each_difference_once() -> None:
    change = _charged_after_the_move(5)
    credited = at_once([lambda: make_whole(change.rollout, by="a"), lambda: make_whole(change.rollout)])
    assert sum(len(rows) for rows in credited) == 5
    assert [row.amount for row in MakeWholeCredit.objects.all()] == [Decimal(10)] * 5
    assert [row.amount for row in Adjustment.objects.all()] == [Decimal(10)] * 5


def test_acknowledging_at_once_leaves_no_ceiling_and_moves_once() -> None:
    change = make_price_change(8)
    subscriptions = [tenant.subscription for tenant in change.tenants if tenant.subscription is not None]
    works: list[Callable[[], bool]] = [partial(_acknowledge, change, row) for row in subscriptions]
    at_once([*works, _run])
    _run()
    change.check_moved_once()
    assert RolloutMember.objects.filter(acknowledged_at=None).count() == 0


def test_what_is_acknowledged_after_its_move_has_moved_once() -> None:
    change = make_price_change(1)
    _run()
    (subscription,) = [tenant.subscription for tenant in change.tenants if tenant.subscription is not None]
    _acknowledge(change, subscription)
    change.check_moved_once()


def _run() -> bool:
    execute_rollouts(clock.now())
    return True


def _acknowledge(change: PriceChange, subscription: Subscription) -> bool:
    acknowledge_member(change.rollout, subscription)
    return True


def _charged_after_the_move(size: int) -> PriceChange:
    change = make_price_change(size, balance="100")
    execute_rollouts(clock.now())
    for number, tenant in enumerate(change.tenants):
        charge(tenant, f"k{number}", properties={"tokens": 10})
    return change
