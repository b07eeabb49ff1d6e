"""Reports that come at the same time share transactions, and none an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.models import IntegrationKey
from billing.charging import (
    Charged,
    Failed,
    Outcome,
    merging,
    report_together,
    shards,
)
from billing.charging.merging import FEW, ReportQueue
from billing.charging.path import charge_batch
from billing.charging.shards import Numbered
from billing.models import Charge
from core import clock
from core.sql import driver
from metering.events import EventInput, parse_event
from metering.models import UsageEvent
from pricing.models import PlanVersion
from tests.billing.invariants import broken_invariants
from tests.billing.test_batching import PER_TOKEN, WAIT, Gate, locked_elsewhere
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.concurrency.callers import Api, call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()
    monkeypatch.setattr(merging, "charge_batch", gate)
    return gate


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(12) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _books_agree_and_nobody_leads(transactional_db: None) -> Iterator[None]:
    yield
    assert broken_invariants(driver()) == []
    for queue in (merging._small, merging._large):
        assert queue.is_idle
        assert not queue.waiting


def events(*calls: dict[str, Any]) -> list[EventInput]:
    return [parse_event(one, clock.now()) for one in calls]


def closing(work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """A work for a thread of its own, on its own connection."""

    def run() -> Any:
        try:
            return work(*arguments)
        finally:
            connection.close()

    return run


@contextmanager
def held_up(gate: Gate, pool: ThreadPoolExecutor, first: Tenant) -> Iterator[Callable[..., Future[Any]]]:
    """While a report of one event, under the key "first", stands in its transaction: gives what submits a
    work and returns when it waits in the queue."""
    gate.open.clear()
    leader = pool.submit(closing(report_together, events(call(first, "first"))))
    queued = 0

    def submit(work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        nonlocal queued
        queued += 1
        future = pool.submit(closing(work, *arguments))
        until(lambda: merging._small.waiting == queued)
        return future

    try:
        assert gate.reached.wait(WAIT)
        yield submit
    finally:
        gate.open.set()
    leader.exception(WAIT)


def until(holds: Callable[[], bool]) -> None:
    for _ in range(WAIT * 100):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never held")


def kinds(outcomes: Sequence[Outcome]) -> list[type[Outcome]]:
    return [type(outcome) for outcome in outcomes]


def test_reports_that_queued_up_are_recorded_together_each_with_its_own_answer(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenants = [make_tenant(version, balance="10") for _ in range(3)]
    with held_up(gate, pool, tenants[0]) as submit:
        waiting = [
            submit(report_together, events(*(call(one, f"k{number}", number + 1) for one in tenants)))
            for number in range(4)
        ]
    for number, report in enumerate(waiting):
        outcomes = report.result(WAIT)
        assert [outcome.amount * 100 for outcome in outcomes] == [number + 1] * 3
        assert [outcome.billing_entity for outcome in outcomes] == [one.payer.public_id for one in tenants]
    assert gate.batches == [["first"], [f"k{number}" for number in range(4) for _ in tenants]]
    assert Charge.objects.values("recorded_at").distinct().count() == 2  # transactions
    assert balance(tenants[1]) == balance(tenants[2]) == Decimal("9.90")


def test_the_events_of_a_caller_keep_their_order(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_MAX", 4)
    tenants = [make_tenant(version, balance="10") for _ in range(3)]
    with held_up(gate, pool, tenants[0]) as submit:
        waiting = [
            submit(
                report_together,
                events(*(call(tenants[number % 3], f"{report}-{number}") for number in range(9))),
            )
            for report in range(3)
        ]
    assert all(kinds(report.result(WAIT)) == [Charged] * 9 for report in waiting)
    assert max(len(batch) for batch in gate.batches) == 4
    wanted = [f"{report}-{number}" for report in range(3) for number in range(9)]
    for place, tenant in enumerate(tenants):
        stored = UsageEvent.objects.filter(customer_id=tenant.customer.pk).order_by("seq")
        keys = [key for key in stored.values_list("idempotency_key", flat=True) if key != "first"]
        assert keys == [key for key in wanted if int(key[2:]) % 3 == place]


def test_a_caller_who_was_locked_elsewhere_has_no_later_call_recorded_before(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_MAX", 2)
    tenant = make_tenant(version, balance="10")
    times = 0

    def locked_at_first(requests: Sequence[Numbered], *, skip_locked: bool) -> dict[int, Outcome]:
        nonlocal times
        times += 1
        return {} if times == 1 else charge_batch(requests, skip_locked=skip_locked)

    monkeypatch.setattr(merging, "charge_batch", locked_at_first)
    keys = [f"k{number}" for number in range(4)]
    assert kinds(report_together(events(*(call(tenant, key) for key in keys)))) == [Charged] * 4
    stored = UsageEvent.objects.filter(customer_id=tenant.customer.pk).order_by("seq")
    assert list(stored.values_list("idempotency_key", flat=True)) == keys


def test_a_key_in_two_reports_counts_in_the_first_and_is_known_or_in_conflict_in_the_others(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenant = make_tenant(version, balance="10")
    with held_up(gate, pool, tenant) as submit:
        first = submit(report_together, events(call(tenant, "a", 5), call(tenant, "own-1")))
        again = submit(report_together, events(call(tenant, "own-2"), call(tenant, "a", 5)))
        other = submit(report_together, events(call(tenant, "a", 6), call(tenant, "first")))
    taken, known, (conflict, replay) = (one.result(WAIT) for one in (first, again, other))
    assert [outcome.is_replay for outcome in taken] == [False, False]
    assert [outcome.is_replay for outcome in known] == [False, True]
    assert known[1].id == taken[0].id
    assert isinstance(conflict, Failed)
    assert (conflict.error.code, conflict.error.param) == ("idempotency_conflict", "properties.tokens")
    assert replay.is_replay
    assert balance(tenant) == Decimal("9.92")


def test_what_is_wrong_with_a_report_is_told_to_nobody_else(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenant, good, revoked = make_tenant(version, balance="10"), Api(), Api()
    assert revoked.report([call(tenant, "before")]).status_code == 200
    unknown = call(tenant, "unknown") | {"workspace": "nowhere"}
    early = call(tenant, "early") | {"occurred_at": "2999-01-01T00:00:00Z"}
    with held_up(gate, pool, tenant) as submit:
        one = submit(good.report, [call(tenant, "a"), call(tenant, "b")])
        two = submit(revoked.report, [call(tenant, "c")])
        three = submit(good.report, [unknown, call(tenant, "d"), early, {"event": "completion"}])
        IntegrationKey.objects.filter(pk=revoked.key.pk).update(revoked_at=clock.now())
    assert one.result(WAIT).json()["accepted"] == 2
    assert two.result(WAIT).status_code == 401
    answer = three.result(WAIT).json()
    assert (answer["accepted"], answer["quarantined"], answer["rejected"]) == (1, 2, 1)
    assert [error["index"] for error in answer["errors"]] == [3]
    assert not UsageEvent.objects.filter(idempotency_key="c").exists()


def test_a_leader_that_fails_tells_all_who_wait_and_the_next_one_leads(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    tenant, api = make_tenant(version, balance="10"), Api()
    with held_up(gate, pool, tenant) as submit:
        gate.error = psycopg.OperationalError("the disk is full")
        waiting = [submit(api.report, [call(tenant, f"k{number}")]) for number in range(3)]
    assert [one.result(WAIT).status_code for one in waiting] == [503] * 3
    gate.error = None
    assert pool.submit(closing(api.report, [call(tenant, "k0")])).result(WAIT).json()["accepted"] == 1
    assert balance(tenant) == Decimal("9.99")


def test_a_report_waits_for_its_own_locked_payers_only(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor
) -> None:
    hot, other = make_tenant(version, balance="10"), make_tenant(version, balance="10")
    with locked_elsewhere(hot):
        with held_up(gate, pool, other) as submit:
            mixed = submit(report_together, events(call(other, "m0"), call(hot, "m1"), call(hot, "m2")))
            free = submit(report_together, events(call(other, "f0")))
        assert kinds(free.result(WAIT)) == [Charged]
        later = pool.submit(closing(report_together, events(call(other, "f1"))))
        assert kinds(later.result(WAIT)) == [Charged]
        assert not mixed.done()
    assert kinds(mixed.result(WAIT)) == [Charged] * 3
    stored = UsageEvent.objects.filter(customer_id=hot.customer.pk).order_by("seq")
    assert list(stored.values_list("idempotency_key", flat=True)) == ["m1", "m2"]


def test_a_small_report_does_not_stand_behind_a_large_one(
    version: PlanVersion, gate: Gate, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, other = make_tenant(version, balance="10"), make_tenant(version, balance="10")
    large = events(*(call(tenant, f"k{number}") for number in range(FEW + 1)))

    def work(batch: Sequence[Any]) -> None:
        assert gate.open.wait(WAIT)
        ReportQueue.work(merging._large, batch)

    monkeypatch.setattr(merging._large, "work", work)
    gate.open.clear()
    slow = pool.submit(closing(report_together, large))
    until(lambda: not merging._large.is_idle)
    monkeypatch.setattr(merging, "charge_batch", charge_batch)
    assert kinds(report_together(events(call(other, "a")))) == [Charged]
    assert not slow.done()
    gate.open.set()
    assert kinds(slow.result(WAIT)) == [Charged] * (FEW + 1)
