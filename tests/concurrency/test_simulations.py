"""Simulations beside each other, beside cancellation and beside charges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from threading import Event
from typing import Any

import pytest
from django.db import connection

from billing.charging import Charged
from billing.simulations import cancel_simulation, request_simulation, run_simulation, running
from core import clock
from pricing.models import PlanVersion, Simulation, SimulationRow
from pricing.simulation import PayerRow, Simulator
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.concurrency.crowd import at_once

TOKENS = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
PAYERS = 12


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> PlanVersion:
    monkeypatch.setattr(running, "PAYERS_AT_ONCE", 2)
    make_meter()
    return make_version([TOKENS])


@pytest.fixture
def tenants(version: PlanVersion) -> list[Tenant]:
    """Customers who used 1, 2, 3... tokens."""
    made = [make_tenant(version, balance="100") for _ in range(PAYERS)]
    for number, tenant in enumerate(made, start=1):
        assert isinstance(charge(tenant, "k", properties={"tokens": number}), Charged)
    return made


def asked(version: PlanVersion) -> Simulation:
    now = clock.now()
    return request_simulation([version], starts_at=now - timedelta(days=40), ends_at=now)


def rows_of(simulation: Simulation) -> list[Decimal]:
    rows = SimulationRow.objects.filter(simulation=simulation)
    return sorted(rows.values_list("simulated", flat=True))


class Stop:
    """A point in the second step of a simulation: it says that it is there, and waits to be let on."""

    def __init__(self) -> None:
        self.is_there, self.may_go_on = Event(), Event()
        self.steps = 0

    def pass_by(self) -> None:
        self.steps += 1
        if self.steps == 2:
            self.is_there.set()
            assert self.may_go_on.wait(30)


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Stop:
    found, run = Stop(), Simulator.run

    def run_and_stop(self: Simulator, payers: Sequence[PayerRow]) -> Any:
        results = run(self, payers)
        found.pass_by()
        return results

    monkeypatch.setattr(Simulator, "run", run_and_stop)
    return found


def test_many_workers_do_each_payer_once(version: PlanVersion, tenants: list[Tenant]) -> None:
    simulation = asked(version)
    at_once([partial(run_simulation, simulation.pk)] * 4)
    run_simulation(simulation.pk)  # the last to come may have found it locked
    simulation.refresh_from_db()
    assert simulation.status == Simulation.Status.DONE
    assert simulation.payers_done == simulation.payers_total == PAYERS
    assert rows_of(simulation) == [Decimal(number) for number in range(1, PAYERS + 1)]


def test_another_worker_leaves_a_step_that_is_under_way_alone(
    version: PlanVersion, tenants: list[Tenant], stop: Stop
) -> None:
    simulation = asked(version)

    def second() -> int:
        assert stop.is_there.wait(30)
        run_simulation(simulation.pk)  # finds the row locked and goes
        done = SimulationRow.objects.filter(simulation=simulation).count()
        stop.may_go_on.set()
        return done

    _, done = at_once([_running(simulation), second])
    assert done == 2
    assert rows_of(simulation) == [Decimal(number) for number in range(1, PAYERS + 1)]


def test_calling_off_waits_for_the_step_and_ends_the_rest(
    version: PlanVersion, tenants: list[Tenant], stop: Stop
) -> None:
    simulation = asked(version)

    def cancel() -> int:
        assert stop.is_there.wait(30)
        stop.may_go_on.set()
        cancel_simulation(simulation)
        return 0

    at_once([_running(simulation), cancel])
    simulation.refresh_from_db()
    assert simulation.status == Simulation.Status.CANCELED
    assert 4 <= simulation.payers_done <= PAYERS
    assert len(rows_of(simulation)) == simulation.payers_done
    assert simulation.totals == []


def test_charges_do_not_wait_for_a_simulation(
    version: PlanVersion, tenants: list[Tenant], stop: Stop
) -> None:
    simulation = asked(version)

    def call() -> int:
        assert stop.is_there.wait(30)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        for tenant in tenants:
            assert isinstance(charge(tenant, "meanwhile", properties={"tokens": 1}), Charged)
        stop.may_go_on.set()
        return 0

    at_once([_running(simulation), call])
    simulation.refresh_from_db()
    assert simulation.status == Simulation.Status.DONE


def _running(simulation: Simulation) -> Callable[[], int]:
    """A worker that runs the simulation."""

    def run() -> int:
        run_simulation(simulation.pk)
        return 0

    return run
