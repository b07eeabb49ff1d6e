"""kill -9 in the middle of a load: what was acknowledged is there once, and after a retry the rest is too."""

from __future__ import annotations

import signal
from decimal import Decimal

import psutil
import psycopg

from benchmarks.calls import Callers
from benchmarks.installation import Installation
from config.supervisor.groups import signal_group
from tests.faults.clients import Crowd

STORED = """
    SELECT e.idempotency_key, c.amount FROM metering_usageevent e
    LEFT JOIN billing_charge c ON c.customer_id = e.customer_id AND c.event_id = e.id
    WHERE e.idempotency_key LIKE %s"""


def test_a_killed_web_worker_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "worker") as crowd:
        crowd.wait_for(30)
        for _ in range(2):
            _workers(installation)[0].kill()
            crowd.wait_for(30)
    assert crowd.failures, "calls were under way"
    _check_acknowledged(installation, crowd, "worker")


def test_a_killed_web_server_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "server") as crowd:
        crowd.wait_for(30)
        signal_group(installation.web_group, signal.SIGKILL)
        installation.stop_web()
        installation.start_web()
        crowd.wait_for(30)
    assert crowd.failures
    _check_acknowledged(installation, crowd, "server")


def test_a_killed_postgres_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "postgres") as crowd:
        crowd.wait_for(30)
        installation.postgres.kill9()
        installation.postgres.start()
        crowd.wait_for(30)
    assert crowd.failures
    _check_acknowledged(installation, crowd, "postgres")


def test_while_postgres_is_down_callers_hear_that_it_is_us(
    installation: Installation, callers: Callers
) -> None:
    with Crowd(installation, callers, "down", size=4) as crowd:
        crowd.wait_for(10)
        installation.postgres.kill9()
        installation.postgres.start()
        crowd.wait_for(10)
    assert all(failure.startswith("50") for failure in crowd.failures)
    assert not any("Traceback" in failure or "psycopg" in failure for failure in crowd.failures)


def _workers(installation: Installation) -> list[psutil.Process]:
    """The web server's worker processes, oldest first."""
    children = psutil.Process(installation.web_group).children()
    workers = [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]
    return sorted(workers, key=lambda worker: worker.create_time())


def _check_acknowledged(installation: Installation, crowd: Crowd, name: str) -> None:
    with psycopg.connect(installation.postgres.dsn) as connection:
        rows: list[tuple[str, Decimal]] = connection.execute(STORED, (f"{name}-%",)).fetchall()
    stored = dict(rows)
    assert len(rows) == len(stored), "each key once"
    assert stored.keys() == crowd.charged.keys() | set(crowd.reported)
    assert {key: stored[key] for key in crowd.charged} == crowd.charged
    assert None not in stored.values(), "each is charged"
