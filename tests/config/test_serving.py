"""How a web process is scheduled, seen in one that loaded the application."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from config.environment import BASE_DIR

BEGIN = """
import os, subprocess, sys, threading, time
from core import scheduling
scheduling.EVERY_SECONDS = scheduling.QUIET_SECONDS = 0.2
scheduling.BUSY = 0.02
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # whatever tests are run as
"""
SERVE = """
import config.wsgi
from billing.charging import batching
leader = batching._everyone._leaders
def policy():
    return os.sched_getscheduler(0)
def child():
    with scheduling.starting_a_program():
        said = subprocess.check_output([sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"])
    return int(said)
def policies():
    return policy(), leader.submit(policy).result(), child()
def until(wanted, wait):
    end = time.monotonic() + SECONDS_MAX
    while policy() != wanted and time.monotonic() < end:
        wait()
    print(*policies())
SECONDS_MAX = 20
"""
LIVE = "until(os.SCHED_BATCH, lambda: None); until(os.SCHED_OTHER, lambda: time.sleep(0.5))"
FEW_SECONDS = "SECONDS_MAX = 1\n"
ALLOWED = "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))"
needs_linux = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="Linux schedules so")


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)


@needs_linux
def test_a_busy_process_interrupts_nobody_but_its_leaders_and_what_it_starts_do() -> None:
    if run(ALLOWED).returncode:
        pytest.skip("this machine lets no process choose how it is scheduled")
    done = run(BEGIN + SERVE + LIVE)
    usual, batch = os.SCHED_OTHER, os.SCHED_BATCH
    assert done.stdout.splitlines() == [f"{batch} {usual} {usual}", f"{usual} {usual} {usual}"], done.stderr


@needs_linux
def test_what_an_operator_starts_to_run_when_nobody_else_does_stays_so() -> None:
    idle = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
    done = run(BEGIN + idle + SERVE + FEW_SECONDS + LIVE)
    assert done.stdout.splitlines() == [f"{os.SCHED_IDLE} {os.SCHED_IDLE} {os.SCHED_IDLE}"] * 2, done.stderr


@needs_linux
def test_a_machine_that_forbids_it_serves_all_the_same() -> None:
    forbid = "def no(*a): raise PermissionError\nos.sched_setscheduler = no"
    done = run(BEGIN + forbid + SERVE + FEW_SECONDS + LIVE + "\nprint(callable(config.wsgi.application))")
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr
