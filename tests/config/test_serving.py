"""What a web process is tuned for, seen in one that loaded the application."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from config.environment import BASE_DIR

POLICY = "import os; print(os.sched_getscheduler(0))"
ASKED = "import os; os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0));"


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system schedules otherwise")
def test_a_web_process_interrupts_nobody() -> None:
    allowed = run(ASKED + POLICY)
    if allowed.returncode:
        pytest.skip("this machine lets no process choose how it is scheduled")
    assert run("import config.wsgi;" + POLICY).stdout == allowed.stdout == f"{os.SCHED_BATCH}\n"


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system schedules otherwise")
def test_who_leads_charges_interrupts_as_ever() -> None:
    leader = "import config.wsgi, os; from billing.charging import batching\n"
    asked = "print(batching._everyone._leaders.submit(os.sched_getscheduler, 0).result())"
    assert run(leader + asked).stdout == run(POLICY).stdout


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system schedules otherwise")
def test_what_is_started_to_run_when_nobody_else_does_stays_so() -> None:
    idle = ASKED.replace("BATCH", "IDLE")
    leader = "import config.wsgi; from billing.charging import batching\n"
    asked = "print(batching._everyone._leaders.submit(os.sched_getscheduler, 0).result())"
    assert run(idle + leader + asked).stdout == run(idle + POLICY).stdout


def test_a_machine_that_forbids_it_serves_all_the_same() -> None:
    forbid = "import os\ndef no(*a): raise PermissionError\nos.sched_setscheduler = no\n"
    done = run(forbid + "import config.wsgi; print(callable(config.wsgi.application))")
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
