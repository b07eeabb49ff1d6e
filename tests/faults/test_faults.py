"""Real servers and processes, killed or changed in the middle of a load.

What was acknowledged is there once, and after a retry the rest is too. In one file, because all share one
installation, which takes long to make.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.request import urlopen

import psutil
import psycopg

from accounts.secrets import INTEGRATION, new_secret
from benchmarks.calls import Callers
from benchmarks.installation import HOST, Installation
from config.supervisor.groups import signal_group
from tests.faults.clients import Client, Crowd

STORED = """
    SELECT e.idempotency_key, c.amount FROM metering_usageevent e
    LEFT JOIN billing_charge c ON c.customer_id = e.customer_id AND c.event_id = e.id
    WHERE e.idempotency_key LIKE %s"""
SUSPEND = """
    UPDATE accounts_billingentity SET status = %s WHERE customer_id =
        (SELECT customer_id FROM accounts_workspace WHERE external_id = %s)"""
ISSUE = """
    INSERT INTO accounts_integrationkey (name, prefix, fingerprint, scopes, created_at)
    SELECT 'Second', prefix, %s, scopes, created_at FROM accounts_integrationkey LIMIT 1"""
REVOKE = "UPDATE accounts_integrationkey SET revoked_at = created_at WHERE fingerprint = %s"
CALLS = 16
"""Each on a connection of its own; the system deals these to both processes."""

_numbers = count()


def test_a_killed_web_worker_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "worker") as crowd:
        crowd.wait_for(30)
        for _ in range(2):
            _workers(installation)[0].kill()
            crowd.wait_for(30)
    _check_acknowledged(installation, crowd, "worker")


def test_a_killed_web_server_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "server") as crowd:
        crowd.wait_for(30)
        signal_group(installation.web_group, signal.SIGKILL)
        installation.stop_web()
        installation.start_web()
        crowd.wait_for(30)
    _check_acknowledged(installation, crowd, "server")


def test_a_killed_postgres_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "postgres") as crowd:
        crowd.wait_for(30)
        installation.postgres.kill9()
        installation.postgres.start()
        crowd.wait_for(30)
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


def test_without_redis_charges_and_events_go_on(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "redis") as crowd:
        crowd.wait_for(20)
        installation.redis.kill9()
        crowd.wait_for(40)
        with urlopen(f"http://{HOST}:{installation.port}/readyz", timeout=10) as response:
            ready = json.loads(response.read())
        installation.redis.start()
        crowd.wait_for(20)
    assert crowd.failures == []
    assert "redis" in json.dumps(ready)


def test_a_suspended_payer_is_refused_by_every_process(installation: Installation, callers: Callers) -> None:
    assert _statuses(installation, callers) == {201: CALLS}
    _change(installation, SUSPEND, "suspended", callers.workspaces[0])
    assert _statuses(installation, callers) == {402: CALLS}
    _change(installation, SUSPEND, "active", callers.workspaces[0])
    assert _statuses(installation, callers) == {201: CALLS}


def test_a_revoked_integration_key_is_refused_by_every_process(
    installation: Installation, callers: Callers
) -> None:
    second = new_secret(INTEGRATION)
    _change(installation, ISSUE, second.fingerprint)
    callers = replace(callers, secret=second.text)
    assert _statuses(installation, callers) == {201: CALLS}
    _change(installation, REVOKE, second.fingerprint)
    assert _statuses(installation, callers) == {401: CALLS}


def _change(installation: Installation, statement: str, *values: Any) -> None:
    with psycopg.connect(installation.postgres.dsn) as connection:
        assert connection.execute(statement.encode(), values).rowcount == 1


def _statuses(installation: Installation, callers: Callers) -> Counter[int]:
    statuses: Counter[int] = Counter()
    for _ in range(CALLS):
        client = Client("processes", installation, callers)
        status, _ = client.post("/v1/charges", client.event(f"processes-{next(_numbers)}", 0))
        statuses[status] += 1
    return statuses


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
