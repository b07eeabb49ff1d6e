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


def start_worker() -> subprocess.Popen[bytes]:
    """A real process that works on this test's database."""
    settings = connection.settings_dict
    where = urlencode({name: settings[name.upper()] for name in ("host", "port") if settings[name.upper()]})
    account = f"{settings['USER']}:{settings['PASSWORD']}".rstrip(":")
    environment = os.environ | {"DATABASE_URL": f"postgres://{account}@/{settings['NAME']}?{where}"}
    module = "tests.concurrency.rollout_worker"
    return subprocess.Popen([sys.executable, "-m", module], cwd=BASE_DIR, env=environment)


def kill_after(worker: subprocess.Popen[bytes], change: PriceChange, moved: int, delay: float) -> None:
    """Kill it (SIGKILL) a moment after it has come so far, unless it was faster."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while change.moved() < moved and worker.poll() is None:
        assert time.monotonic() < deadline, "the worker does not get on"
    time.sleep(delay)
    worker.kill()
    worker.wait()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_worker_moves_each_subscription_once(seed: int) -> None:
    dice = random.Random(seed)
    change = make_price_change(SIZE)
    stops = []
    for _ in range(KILLS):
        before = change.moved()
        kill_after(start_worker(), change, before + dice.randint(1, 6), dice.random() * 0.03)
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


def test_two_workers_of_which_one_is_killed_move_each_subscription_once() -> None:
    change = make_price_change(SIZE)
    victim, survivor = start_worker(), start_worker()
    kill_after(victim, change, 5, 0.01)
    assert survivor.wait(PATIENCE_SECONDS) == 0
    assert start_worker().wait(PATIENCE_SECONDS) == 0
    change.check_moved_once()
