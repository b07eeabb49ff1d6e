"""Two web processes with warm caches: what one statement changes, the very next charge in each obeys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count
from typing import Any

import psycopg

from accounts.secrets import INTEGRATION, new_secret
from benchmarks.calls import Callers
from benchmarks.installation import Installation
from tests.faults.clients import Client

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
