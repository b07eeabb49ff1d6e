"""Reconciliation beside calls, killed, and by two workers: it finds nothing, and looks at all once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from threading import Event, Thread
from urllib.parse import urlencode

from django.db import IntegrityError, connection, connections

from billing.models import ReconciliationRun
from billing.reconciliation.runs import request_run
from config.environment import BASE_DIR
from core import clock
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

CUSTOMERS = 12
CALLS = 3
PATIENCE_SECONDS = 120
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.5"}


def start_worker() -> subprocess.Popen[bytes]:
    """A real process that works on this test's database."""
    settings = connection.settings_dict
    where = urlencode({name: settings[name.upper()] for name in ("host", "port") if settings[name.upper()]})
    account = f"{settings['USER']}:{settings['PASSWORD']}".rstrip(":")
    environment = os.environ | {"DATABASE_URL": f"postgres://{account}@/{settings['NAME']}?{where}"}
    module = "tests.concurrency.reconciliation_worker"
    return subprocess.Popen([sys.executable, "-m", module], cwd=BASE_DIR, env=environment)


def make_customers() -> list[Tenant]:
    make_meter()
    version = make_version([PER_TOKEN])
    tenants = [make_tenant(version, balance="1000") for _ in range(CUSTOMERS)]
    for number, tenant in enumerate(tenants):
        for call in range(CALLS):
            charge(tenant, f"{number}-{call}", properties={"tokens": 1})
    return tenants


def done(run: ReconciliationRun) -> int:
    run.refresh_from_db()
    return run.customers_done


def test_a_killed_run_goes_on_where_it_was_and_looks_at_each_customer_once() -> None:
    make_customers()
    run, dice = request_run(ReconciliationRun.Kind.FULL), random.Random(4)
    stops = []
    for _ in range(2):
        worker, before = start_worker(), done(run)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while done(run) <= before and worker.poll() is None:
            assert time.monotonic() < deadline, "the worker does not get on"
        time.sleep(dice.random() * 0.05)
        worker.kill()
        worker.wait()
        stops.append(done(run))
    assert 0 < stops[0] <= stops[1]
    assert start_worker().wait(PATIENCE_SECONDS) == 0
    run.refresh_from_db()
    assert (run.status, run.customers_done, run.events_checked) == ("done", CUSTOMERS, CUSTOMERS * CALLS)
    assert run.found == 0


def test_two_workers_beside_calls_find_nothing_and_do_no_customer_twice() -> None:
    tenants = make_customers()
    over = Event()

    def call() -> None:
        for number in range(10_000):
            if over.is_set():
                break
            charge(tenants[number % CUSTOMERS], f"beside-{number}", properties={"tokens": 1})
        connections.close_all()

    run = request_run(ReconciliationRun.Kind.FULL)
    caller = Thread(target=call)
    caller.start()
    try:
        workers = [start_worker(), start_worker()]
        assert [worker.wait(PATIENCE_SECONDS) for worker in workers] == [0, 0]
    finally:
        over.set()
        caller.join()
    run.refresh_from_db()
    assert (run.status, run.customers_done, run.found) == ("done", CUSTOMERS, 0)
    assert run.events_checked >= CUSTOMERS * CALLS


def test_the_database_allows_one_unfinished_run() -> None:
    made, refused = [], []

    def make() -> None:
        try:
            made.append(ReconciliationRun.objects.create(created_at=clock.now()))
        except IntegrityError:
            refused.append(True)
        connections.close_all()

    threads = [Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 3)
