"""The worker of a price change, killed at random points and started again: everybody is moved once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from urllib.parse import urlencode

import pytest
from django.db import connection

from billing.charging import Charged
from config.environment import BASE_DIR
from pricing.models import RolloutMember
from tests.billing.world import charge
from tests.concurrency.rollouts import PriceChange, make_price_change

SIZE = 40
KILLS = 4
PATIENCE_SECONDS = 60


def start_worker(batch: int = SIZE) -> subprocess.Popen[bytes]:
    """A real process that works on this test's database, and moves so many subscriptions at once."""
    settings = connection.settings_dict
    where = urlencode({name: settings[name.upper()] for name in ("host", "port") if settings[name.upper()]})
    account = f"{settings['USER']}:{settings['PASSWORD']}".rstrip(":")
    environment = os.environ | {"DATABASE_URL": f"postgres://{account}@/{settings['NAME']}?{where}"}
    module = "tests.concurrency.rollout_worker"
    return subprocess.Popen([sys.executable, "-m", module, str(batch)], cwd=BASE_DIR, env=environment)


def kill_after(worker: subprocess.Popen[bytes], change: PriceChange, moved: int, delay: float) -> None:
    """Kill it (SIGKILL) a moment after it has come so far, unless it was faster."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while change.moved() < moved and worker.poll() is None:
        assert time.monotonic() < deadline, "the worker does not get on"
    time.sleep(delay)
    worker.kill()
    worker.wait()


def wait_for_move(worker: subprocess.Popen[bytes]) -> None:
    """Return when a transaction of the worker's has begun to write to subscriptions, or it has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while worker.poll() is None:
        assert time.monotonic() < deadline, "the worker does not get on"
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE mode = 'RowExclusiveLock'"
                " AND relation = 'pricing_subscriptionchange'::regclass AND pid <> pg_backend_pid()"
            )
            if cursor.fetchone()[0]:
                return


@pytest.mark.parametrize(("seed", "batch"), [(1, 1), (2, 3)])
def test_a_killed_worker_moves_each_subscription_once(seed: int, batch: int) -> None:
    dice = random.Random(seed)
    change = make_price_change(SIZE)
    stops = []
    for _ in range(KILLS):
        before = change.moved()
        kill_after(start_worker(batch), change, before + dice.randint(1, 6), dice.random() * 0.03)
        stops.append(change.moved())
    assert stops == sorted(stops), "what is moved stays moved"
    assert stops[0] < SIZE, "the first one did not come to its end"
    worker = start_worker()
    assert worker.wait(PATIENCE_SECONDS) == 0
    change.check_moved_once()
    assert not RolloutMember.objects.exclude(attempts=0).exists(), "nothing failed on the way"
    for number, tenant in enumerate(change.tenants):
        outcome = charge(tenant, f"k{number}", properties={"tokens": 3})
        assert isinstance(outcome, Charged)
        assert outcome.amount == 6


def test_a_batch_that_is_killed_in_the_middle_leaves_nothing_behind() -> None:
    dice = random.Random(3)
    change = make_price_change(SIZE)
    stops = []
    for _ in range(KILLS):
        worker = start_worker()
        wait_for_move(worker)
        time.sleep(dice.random() * 0.05)
        worker.kill()
        worker.wait()
        stops.append(change.moved())
    assert set(stops) <= {0, SIZE}, "all of a batch or none of it"
    assert start_worker().wait(PATIENCE_SECONDS) == 0
    change.check_moved_once()


def test_two_workers_of_which_one_is_killed_move_each_subscription_once() -> None:
    change = make_price_change(SIZE)
    victim, survivor = start_worker(2), start_worker(2)
    kill_after(victim, change, 5, 0.01)
    assert survivor.wait(PATIENCE_SECONDS) == 0
    assert start_worker().wait(PATIENCE_SECONDS) == 0
    change.check_moved_once()
