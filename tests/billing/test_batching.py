"""Group commit: single charges that come at the same time share a transaction, and none an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from threading import Event, Lock
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from billing.charging import Charged, Denied, Failed, Outcome, batching
from billing.charging.batching import BATCH_MAX, ChargeQueue, charge_one
from billing.charging.path import charge_batch
from billing.charging.queues import Ticket
from billing.charging.requests import Asked, ChargeRequest
from billing.models import Charge
from core.sql import driver
from pricing.models import PlanVersion
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db(transaction=True)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
LOCK = "SELECT 1 FROM billing_ledgeraccount WHERE billing_entity_id = %s FOR UPDATE"
WAIT = 20
Numbered = tuple[int, ChargeRequest]


class Gate:
    """Stands before `charge_batch`: notes each batch's keys, and can hold batches up or break them."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open, self.reached = Event(), Event()
        self.open.set()
        self.error: BaseException | None = None
        self._lock = Lock()
        self.running = self.most_running = 0

    def __call__(self, requests: Sequence[Numbered], *, skip_locked: bool) -> dict[int, Outcome]:
        with self._lock:
            self.batches.append([one.event.idempotency_key for _, one in requests])
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        self.reached.set()
        try:
            assert self.open.wait(WAIT)
            if self.error is not None:
                raise self.error
            return charge_batch(requests, skip_locked=skip_locked)
        finally:
            with self._lock:
                self.running -= 1


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(batching, "charge_batch", gate)
    return gate


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(BATCH_MAX + 12) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _books_agree_and_nobody_leads(transactional_db: None) -> Iterator[None]:
    yield
    assert broken_invariants(driver()) == []
    assert batching._everyone.is_idle
    assert not batching._everyone._waiting
    assert batching._lanes == {}


def call(tenant: Tenant, key: str, tokens: int = 1) -> Callable[[], Outcome]:
    """A charge in a thread of its own, on its own connection."""
    wanted = request(tenant, key, properties={"tokens": tokens})

    def run() -> Outcome:
        try:
            return charge_one(wanted)
        finally:
            connection.close()

    return run


def queued(count: int, queue: ChargeQueue | None = None) -> None:
    """Wait until so many charges stand in the queue."""
    queue, pause = queue or batching._everyone, Event()
    for _ in range(WAIT * 100):
        if len(queue._waiting) == count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{len(queue._waiting)} wait, not {count}")


@contextmanager
def held_up(gate: Gate, pool: ThreadPoolExecutor, first: Callable[[], Outcome]) -> Iterator[Future[Outcome]]:
    """While the first charge stands in its transaction; what is submitted meanwhile queues up."""
    gate.open.clear()
    leader = pool.submit(first)
    try:
        assert gate.reached.wait(WAIT)
        yield leader
    finally:
        gate.open.set()


@contextmanager
def locked_elsewhere(tenant: Tenant) -> Iterator[None]:
    """While another process's transaction holds the payer's wallet."""
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: params[name] for name in names if name in params}) as other:
        other.execute(LOCK, (tenant.payer.pk,))
        yield


def test_what_queued_up_during_a_commit_is_the_next_batch(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenants = [make_tenant(version, balance="10") for _ in range(4)]
    with held_up(gate, pool, call(tenants[0], "first")) as leader:
        others = []
        for number in range(12):
            others.append(pool.submit(call(tenants[number % 4], f"k{number}", number)))
            queued(number + 1)
    assert isinstance(leader.result(WAIT), Charged)
    outcomes = [other.result(WAIT) for other in others]
    assert gate.batches == [["first"], [f"k{number}" for number in range(12)]]
    for number, outcome in enumerate(outcomes):
        assert isinstance(outcome, Charged)
        assert outcome.amount == Decimal(number) / 100
        assert outcome.billing_entity == tenants[number % 4].payer.public_id
        assert Charge.objects.get(id=outcome.id).amount == outcome.amount
    assert Charge.objects.values("recorded_at").distinct().count() == 2  # two transactions for thirteen


def test_each_waiter_gets_its_own_kind_of_answer(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    rich = make_tenant(version, balance="10")
    poor = make_tenant(version, balance="0.01", overdraft=Decimal(0))
    unknown = request(rich, "unknown", workspace="nowhere", properties={"tokens": 1})
    wanted: list[Callable[[], Outcome]] = [
        call(rich, "a", 7),
        call(poor, "b", 2),
        partial(charge_one, unknown),
        call(rich, "first", 5),
        call(poor, "c", 1),
    ]
    with held_up(gate, pool, call(rich, "first", 5)) as leader:
        waiting = []
        for number, work in enumerate(wanted):
            waiting.append(pool.submit(_closing(work)))
            queued(number + 1)
    first = leader.result(WAIT)
    charged, denied, failed, replayed, last = (one.result(WAIT) for one in waiting)
    assert isinstance(charged, Charged)
    assert charged.amount == Decimal("0.07")
    assert isinstance(denied, Denied)
    assert denied.available == Decimal("0.01")
    assert isinstance(failed, Failed)
    assert (failed.error.code, failed.error.status) == ("unknown_workspace", 404)
    assert isinstance(first, Charged)
    assert isinstance(replayed, Charged)
    assert replayed.is_replay
    assert replayed.id == first.id
    assert isinstance(last, Charged)
    assert last.settled == 0
    assert len(gate.batches) == 2


def test_an_error_reaches_every_waiter_of_its_batch_and_the_next_batch_goes_on(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenant = make_tenant(version, balance="10")
    with held_up(gate, pool, call(tenant, "first")) as leader:
        gate.error = psycopg.OperationalError("the disk is full")
        waiting = [pool.submit(call(tenant, f"k{number}")) for number in range(5)]
        queued(5)
    failed = [leader, *waiting]
    for one in failed:
        assert one.exception(WAIT) is gate.error
    assert balance(tenant) == 10
    gate.error = None
    assert isinstance(pool.submit(call(tenant, "k0")).result(WAIT), Charged)
    assert balance(tenant) == Decimal("9.99")


def test_a_batch_takes_no_more_than_its_bound_and_leadership_is_handed_over(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenant = make_tenant(version, balance="10")
    count = BATCH_MAX + 5
    with held_up(gate, pool, call(tenant, "first")):
        waiting = [pool.submit(call(tenant, f"k{number}")) for number in range(count)]
        queued(count)
    outcomes = [one.result(WAIT) for one in waiting]
    assert [len(batch) for batch in gate.batches] == [1, BATCH_MAX, 5]
    assert gate.most_running == 1
    assert sorted(key for batch in gate.batches for key in batch) == sorted(
        ["first", *(f"k{number}" for number in range(count))]
    )
    assert all(isinstance(outcome, Charged) for outcome in outcomes)
    assert balance(tenant) == 10 - Decimal(count + 1) / 100


def test_a_locked_payers_charges_wait_in_their_lane_while_others_pass(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    hot, other = make_tenant(version, balance="10"), make_tenant(version, balance="10")
    name = str(hot.workspace.external_id)
    with locked_elsewhere(hot):
        stuck = [pool.submit(call(hot, "h0"))]
        _until(lambda: name in batching._lanes)
        lane = batching._lanes[name]
        for number in range(1, 5):
            stuck.append(pool.submit(call(hot, f"h{number}", number)))
            queued(number, lane)
        passing = [pool.submit(call(other, f"o{number}")).result(WAIT) for number in range(3)]
        assert all(isinstance(outcome, Charged) for outcome in passing)
        assert not any(one.done() for one in stuck)
    outcomes = [one.result(WAIT) for one in stuck]
    assert [outcome.amount for outcome in outcomes if isinstance(outcome, Charged)] == [
        Decimal("0.01"),
        Decimal("0.01"),
        Decimal("0.02"),
        Decimal("0.03"),
        Decimal("0.04"),
    ]
    assert gate.batches[-1] == ["h1", "h2", "h3", "h4"]  # the lane too shares its commits
    assert balance(hot) == Decimal("9.89")


def test_after_the_lock_a_payer_is_among_all_again(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    hot, other = make_tenant(version, balance="10"), make_tenant(version, balance="10")
    with locked_elsewhere(hot):
        stuck = pool.submit(call(hot, "h0"))
        _until(lambda: str(hot.workspace.external_id) in batching._lanes)
    stuck.result(WAIT)
    gate.batches.clear()
    gate.reached.clear()
    with held_up(gate, pool, call(other, "first")):
        waiting = [pool.submit(call(hot, "h1")), pool.submit(call(other, "o1"))]
        queued(2)
    assert all(isinstance(one.result(WAIT), Charged) for one in waiting)
    assert [sorted(batch) for batch in gate.batches] == [["first"], ["h1", "o1"]]


def test_one_batch_holds_what_is_free_and_leaves_out_what_is_locked(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    hot, other = make_tenant(version, balance="10"), make_tenant(version, balance="10")
    with locked_elsewhere(hot):
        with held_up(gate, pool, call(other, "first")):
            mixed = [pool.submit(call(hot, "h0")), pool.submit(call(other, "o0"))]
            queued(2)
        assert isinstance(mixed[1].result(WAIT), Charged)
        assert not mixed[0].done()
    assert isinstance(mixed[0].result(WAIT), Charged)
    assert (balance(hot), balance(other)) == (Decimal("9.99"), Decimal("9.98"))


def test_a_charge_inside_somebodys_transaction_stays_in_it(version: PlanVersion, gate: Gate) -> None:
    tenant = make_tenant(version, balance="10")
    with transaction.atomic():
        assert isinstance(charge_one(request(tenant, "a", properties={"tokens": 1})), Charged)
        transaction.set_rollback(True)
    assert not Charge.objects.exists()
    assert balance(tenant) == 10


def test_an_error_in_a_lane_reaches_its_caller_and_the_lane_is_gone(
    version: PlanVersion, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant(version, balance="10")
    error = psycopg.OperationalError("gone")

    def broken(requests: Sequence[Numbered], *, skip_locked: bool) -> dict[int, Outcome]:
        if skip_locked:
            return {}  # its payer is locked elsewhere
        raise error

    monkeypatch.setattr(batching, "charge_batch", broken)
    with pytest.raises(psycopg.OperationalError) as caught:
        charge_one(request(tenant, "a", properties={"tokens": 1}))
    assert caught.value is error


def test_a_hundred_charges_of_fifty_threads_need_far_fewer_transactions(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenants = [make_tenant(version, balance="10") for _ in range(5)]
    works = [call(tenants[number % 5], f"k{number}", number) for number in range(100)]
    outcomes = list(pool.map(lambda work: work(), works))
    assert [outcome.amount for outcome in outcomes if isinstance(outcome, Charged)] == [
        Decimal(number) / 100 for number in range(100)
    ]
    assert len(gate.batches) < 100
    for rest, tenant in enumerate(tenants):
        assert balance(tenant) == 10 - Decimal(sum(range(rest, 100, 5))) / 100


def test_a_ticket_is_done_with_an_outcome_or_an_error(version: PlanVersion) -> None:
    ticket: Ticket[Asked, Outcome] = Ticket(request(make_tenant(version), "a"))
    assert not ticket.is_done
    ticket.error = KeyboardInterrupt()
    assert ticket.is_done


def _closing(work: Callable[[], Outcome]) -> Callable[[], Outcome]:
    def run() -> Outcome:
        try:
            return work()
        finally:
            connection.close()

    return run


def _until(holds: Callable[[], Any]) -> None:
    pause = Event()
    for _ in range(WAIT * 100):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it never held")
