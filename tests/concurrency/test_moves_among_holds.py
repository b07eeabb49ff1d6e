"""A workspace that moves to another division while calls of it are held, captured and charged.

Whatever comes first, each hold counts in the limit of where the workspace is, once, and no limit is passed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from accounts.models import Organization
from accounts.organizations import change_organization, create_organization
from accounts.workspaces import change_workspace
from billing.limits.verbs import create_limit, owner_of
from billing.models import Authorization, Charge, LimitCounter, LimitHold, SpendLimit
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.billing.world import make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.concurrency.callers import Api, call
from tests.concurrency.crowd import at_once
from tests.concurrency.test_second_payer import WAIT_SECONDS, Pause, second_payer, wait_until_it_waits

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
_clock = standing_at(datetime(2026, 1, 15, 12, tzinfo=UTC))


class World:
    """A customer with two divisions that each have a hard limit of 20; its workspace is in the first."""

    def __init__(self) -> None:
        make_meter()
        version = make_version([PER_TOKEN])
        self.tenant = make_tenant(version, balance="100000", overdraft=Decimal(0))
        self.left, self.joined = (self._division(name) for name in ("left", "joined"))
        self.of_left, self.of_joined = (
            create_limit(owner_of(organization=division), Decimal(20))
            for division in (self.left, self.joined)
        )
        self.tenant.workspace = change_workspace(self.tenant.workspace, organization=self.left)

    def _division(self, name: str) -> Organization:
        return create_organization(customer=self.tenant.customer, name=name)

    def move(self) -> None:
        """Let the workspace move to the other division."""
        change_workspace(self.tenant.workspace, organization=self.joined)

    def back_and_forth(self) -> None:
        """Let it move there, back, and there again."""
        for division in (self.joined, self.left, self.joined):
            change_workspace(self.tenant.workspace, organization=division)

    def below(self) -> None:
        """Let its division move below the other one."""
        change_organization(self.left, parent=self.joined)


@pytest.fixture
def world() -> World:
    return World()


def used(limit: SpendLimit) -> Decimal:
    return LimitCounter.objects.filter(counter=limit.counter).aggregate(sum=Sum("used"))["sum"] or Decimal(0)


def held(limit: SpendLimit) -> Decimal:
    return LimitHold.objects.filter(counter=limit.counter).aggregate(sum=Sum("amount"))["sum"] or Decimal(0)


def truth() -> tuple[Decimal, Decimal]:
    """What was charged, and what is held."""
    charged = Charge.objects.aggregate(sum=Sum("amount"))["sum"]
    open_now = Authorization.objects.filter(status="authorized").aggregate(sum=Sum("held"))["sum"]
    return charged or Decimal(0), open_now or Decimal(0)


def passed(answers: list[Any]) -> int:
    return sum(getattr(answer, "status_code", 0) == 201 for answer in answers)


@pytest.mark.parametrize("move", [World.move, World.back_and_forth])
def test_holds_that_are_asked_meanwhile_count_where_the_workspace_is(
    world: World, api: Api, move: Callable[[World], None]
) -> None:
    for number in range(8):
        assert api.authorize(call(world.tenant, f"before-{number}")).status_code == 201
    asking: list[Callable[[], Any]] = [
        partial(api.authorize, call(world.tenant, f"h{number}")) for number in range(24)
    ]
    asking.insert(random.Random(move.__name__).randrange(24), partial(move, world))
    answers = at_once(asking)
    assert (held(world.of_left), held(world.of_joined)) == (0, 20)
    assert truth() == (0, 20) == (0, 8 + passed(answers))
    assert api.authorize(call(world.tenant, "one-more")).status_code == 402
    assert broken_invariants(driver()) == []


def test_holds_that_end_meanwhile_are_counted_once(world: World, api: Api) -> None:
    holds = [api.authorize(call(world.tenant, f"k{number}")).json()["id"] for number in range(18)]
    works: list[Callable[[], Any]] = [partial(api.capture, one, 1) for one in holds[:8]]
    works += [partial(api.void, one) for one in holds[8:12]]
    works += [partial(api.charge, call(world.tenant, f"c{number}")) for number in range(4)]
    works.insert(7, world.move)
    at_once(works)
    assert (held(world.of_left), held(world.of_joined)) == (0, 6)
    assert (used(world.of_left) + used(world.of_joined), held(world.of_joined)) == truth()
    assert broken_invariants(driver()) == []


def test_two_things_that_move_at_once_leave_no_hold_behind(world: World, api: Api) -> None:
    for number in range(6):
        assert api.authorize(call(world.tenant, f"k{number}")).status_code == 201
    at_once([world.below, world.move])
    assert (held(world.of_left), held(world.of_joined)) == (0, 6)


@pytest.mark.parametrize("path", ["charge", "authorize"])
def test_who_waits_for_a_move_is_counted_where_it_ends(world: World, api: Api, path: str) -> None:
    assert api.authorize(call(world.tenant, "held", 15)).status_code == 201
    answer = during(world.move, partial(getattr(api, path), call(world.tenant, "next", 6)))
    assert (answer.status_code, answer.json()["denial"]["used"]) == (402, "15")
    assert answer.json()["denial"]["id"] == world.joined.public_id
    assert (held(world.of_left), held(world.of_joined)) == (0, 15)


@pytest.mark.parametrize("path", ["charge", "authorize"])
def test_a_move_waits_for_who_was_first_and_takes_its_hold_along(
    world: World, api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause = Pause(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(closing, partial(getattr(api, path), call(world.tenant, "first", 6)))
        assert pause.is_reached.wait(WAIT_SECONDS)
        moved = pool.submit(closing, world.move)
        wait_until_it_waits(moved)
        pause.may_go_on.set()
        assert first.result(WAIT_SECONDS).status_code == 201
        moved.result(WAIT_SECONDS)
    wanted = {"charge": ((6, 0), (0, 0)), "authorize": ((0, 0), (0, 6))}[path]
    assert tuple((used(limit), held(limit)) for limit in (world.of_left, world.of_joined)) == wanted
    assert broken_invariants(driver()) == []


def test_a_payer_without_an_account_waits_for_the_move(world: World, api: Api) -> None:
    second = second_payer(world.tenant, world.left)
    create_limit(owner_of(organization=world.joined), Decimal(5), window="day")
    answer = during(world.below, partial(api.authorize, call(second, "new", 6)))
    assert answer.json()["denial"]["id"] == world.joined.public_id, answer.content


def during(move: Callable[[], None], work: Callable[[], Any]) -> Any:
    """What the work gives that comes when the move has locked and done everything but its commit."""
    has_moved, may_commit = Event(), Event()

    def moves() -> None:
        with transaction.atomic():
            move()
            has_moved.set()
            assert may_commit.wait(WAIT_SECONDS)

    with ThreadPoolExecutor(2) as pool:
        moved = pool.submit(closing, moves)
        assert has_moved.wait(WAIT_SECONDS)
        waiting = pool.submit(closing, work)
        wait_until_it_waits(waiting)
        assert not waiting.done()
        may_commit.set()
        moved.result(WAIT_SECONDS)
        return waiting.result(WAIT_SECONDS)


def closing(work: Callable[[], Any]) -> Any:
    """Do it in a thread of its own."""
    try:
        return work()
    finally:
        connection.close()
