"""Sealing and erasing beside charging, by several at once, killed in the middle: one chain that fits."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from io import StringIO
from threading import Event
from urllib.parse import urlencode

import pytest
from django.core.management import call_command
from django.db import connection

from billing.charging import Charged, Mode
from billing.erasures import request_erasure, run_erasures
from billing.models import ErasedRecord, Erasure, LedgerAccount, Seal
from billing.seals import sealing
from billing.seals.sealing import seal_due
from billing.seals.verifying import Verification
from config.environment import BASE_DIR
from core import clock
from core.sql import driver
from metering.models import UsageEvent
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.concurrency.crowd import at_once

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
CALLS = 12
KILLS = 2
PATIENCE_SECONDS = 60


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="1000")


def use(tenant: Tenant, prefix: str, times: int = CALLS) -> None:
    for number in range(times):
        outcome = charge(
            tenant,
            f"{prefix}-{number}",
            Mode.REPORT,
            properties={"tokens": 1, "mail": "o@example.com"},
            user="olga",
        )
        assert isinstance(outcome, Charged)


def assert_chain(tenant: Tenant) -> None:
    """Every number is sealed once, and every row fits."""
    payer = (tenant.customer.pk, tenant.payer.pk)
    seals = Seal.objects.filter(billing_entity_id=payer[1]).order_by("from_seq")
    ranges = list(seals.values_list("from_seq", "to_seq"))
    last = LedgerAccount.objects.get(billing_entity_id=payer[1], kind="wallet").seq
    assert [low for low, _ in ranges] == [1, *(high + 1 for _, high in ranges[:-1])]
    assert ranges[-1][1] == last
    run = Verification(driver(), [(*payer, 0)])
    assert list(run.misfits()) == []
    assert run.seals == len(ranges)


def test_sealing_beside_charging_leaves_one_chain_over_everything(tenant: Tenant) -> None:
    done = Event()
    users = [partial(use, tenant, f"u{number}") for number in range(3)]

    def seal() -> None:
        while not done.is_set():
            seal_due(clock.now())

    def use_all() -> None:
        try:
            at_once(users)
        finally:
            done.set()

    works: list[Callable[[], None]] = [use_all, seal, seal]
    at_once(works)
    assert Seal.objects.count() > 1, "some were sealed while others were charged"
    seal_due(clock.now())
    assert_chain(tenant)


def test_several_sealers_at_once_seal_everything_once(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 3)
    monkeypatch.setattr(sealing, "BATCH_NUMBERS", 5)
    others = [make_tenant(None, balance=str(number + 1)) for number in range(6)]
    use(tenant, "u")
    sealed = at_once([partial(seal_due, clock.now()) for _ in range(5)])
    assert sum(each.rows for each in sealed) == 3 * CALLS + 1 + len(others)
    for one in [tenant, *others]:
        assert_chain(one)


def start_worker(numbers: int) -> subprocess.Popen[bytes]:
    settings = connection.settings_dict
    where = urlencode({name: settings[name.upper()] for name in ("host", "port") if settings[name.upper()]})
    account = f"{settings['USER']}:{settings['PASSWORD']}".rstrip(":")
    environment = os.environ | {"DATABASE_URL": f"postgres://{account}@/{settings['NAME']}?{where}"}
    command = [sys.executable, "-m", "tests.concurrency.seal_worker", str(numbers)]
    return subprocess.Popen(command, cwd=BASE_DIR, env=environment)


def test_a_sealer_that_is_killed_leaves_whole_seals_and_the_next_goes_on(tenant: Tenant) -> None:
    dice = random.Random(7)
    use(tenant, "u", 60)
    for _ in range(KILLS):
        before, deadline = Seal.objects.count(), time.monotonic() + PATIENCE_SECONDS
        worker = start_worker(1)
        while Seal.objects.count() < before + dice.randint(1, 5) and worker.poll() is None:
            assert time.monotonic() < deadline, "the worker does not get on"
        worker.kill()
        worker.wait()
        if Seal.objects.count() < 61:
            run = Verification(driver(), [(tenant.customer.pk, tenant.payer.pk, 0)])
            assert list(run.misfits()) == []
    assert 0 < Seal.objects.count() <= 61
    seal_due(clock.now())
    assert_chain(tenant)


def test_erasing_beside_charging_and_sealing_leaves_what_fits(tenant: Tenant) -> None:
    use(tenant, "before")
    for _ in range(2):
        request_erasure(tenant.customer, user="olga", properties=["mail"], reason="r")
    works: list[Callable[[], object]] = [
        partial(run_erasures, clock.now()),
        partial(run_erasures, clock.now()),
        partial(seal_due, clock.now()),
        partial(use, tenant, "beside"),
    ]
    at_once(works)
    run_erasures(clock.now())
    assert set(Erasure.objects.values_list("status", flat=True)) == {"done"}
    assert not UsageEvent.objects.filter(idempotency_key__startswith="before", user="olga").exists()
    assert ErasedRecord.objects.count() >= CALLS
    seal_due(clock.now())
    assert_chain(tenant)


def test_a_person_is_erased_once_by_two_at_it(tenant: Tenant) -> None:
    use(tenant, "u")
    erasure = request_erasure(tenant.customer, user="olga", reason="r")
    assert sum(at_once([partial(run_erasures, clock.now()) for _ in range(4)])) == 1
    erasure.refresh_from_db()
    assert (erasure.events, erasure.parts) == (CALLS, CALLS)


def test_verifying_and_exporting_while_calls_are_charged_sees_one_instant(tenant: Tenant) -> None:
    use(tenant, "before")
    done = Event()

    def use_all() -> None:
        try:
            use(tenant, "beside", 3 * CALLS)
        finally:
            done.set()

    def verify() -> int:
        rounds = 0
        while not done.is_set():
            call_command("verify", stdout=StringIO(), stderr=StringIO())
            out = StringIO()
            call_command("export_ledger", "--payer", tenant.payer.public_id, stdout=out, stderr=StringIO())
            assert '"type": "end"' in out.getvalue()
            rounds += 1
        return rounds

    works: list[Callable[[], object]] = [use_all, verify]
    assert at_once(works)[1]
