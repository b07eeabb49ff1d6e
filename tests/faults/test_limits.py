"""Limits, states and keys on a real server of two processes: hard under load, obeyed by the next call."""

from __future__ import annotations

import http.client
import json
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from benchmarks.installation import HOST, Installation
from tests.faults.limits_world import KEY_LIMIT, ORGANIZATION_LIMIT, WORKSPACE_LIMIT

WRITERS, CALLS_EACH = 8, 75
PROBES = 16
"""Each on a connection of its own; the system deals these to both processes."""
SPENT = """
    SELECT w.external_id, e.api_key_id IS NOT NULL, sum(c.amount)
    FROM billing_charge c
    JOIN metering_usageevent e ON e.customer_id = c.customer_id AND e.id = c.event_id
    JOIN accounts_workspace w ON w.id = c.workspace_id
    WHERE w.external_id IN ('north', 'south') GROUP BY 1, 2"""
THEIRS = "(SELECT customer_id FROM accounts_workspace WHERE external_id = 'north')"
COUNTED = f"""
    SELECT l.level, sum(c.used) FROM billing_spendlimit l
    JOIN billing_limitcounter c ON c.customer_id = l.customer_id AND c.counter = 'lim:' || l.id
    WHERE l.customer_id = {THEIRS} GROUP BY 1"""
LEFT_OVER = f"""
    SELECT (SELECT count(*) FROM billing_limithold WHERE customer_id = {THEIRS}),
        (SELECT sum(held) FROM billing_ledgeraccount WHERE customer_id = {THEIRS})"""


class Caller:
    """Calls on one connection of its own, or each on a new one."""

    def __init__(self, installation: Installation, world: dict[str, Any], *, keeps: bool = False) -> None:
        self.port, self.world, self._keeps = installation.port, world, keeps
        self._kept: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and body of the answer."""
        connection = self._kept or http.client.HTTPConnection(HOST, self.port, timeout=60)
        headers = {
            "Authorization": f"Bearer {self.world['admin']}",
            "Content-Type": "application/json",
            "Connection": "keep-alive" if self._keeps else "close",
        }
        connection.request(method, path, json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.read()
        if self._keeps:
            self._kept = connection
        return response.status, json.loads(answer)

    def charge(self, **caller: str) -> tuple[int, Any]:
        """Charge a call, which costs 1."""
        return self.send("POST", "/v1/charges", self.event(**caller))

    def authorize(self, **caller: str) -> tuple[int, Any]:
        """Hold what a call costs."""
        return self.send("POST", "/v1/authorizations", self.event(**caller))

    def settle(self, authorization: str, verb: str) -> int:
        """Capture or void a hold."""
        return self.send("POST", f"/v1/authorizations/{authorization}/{verb}", {})[0]

    def event(self, **caller: str) -> dict[str, Any]:
        """An event under a new key."""
        return {"idempotency_key": str(uuid4()), "event": "call", **caller}


@pytest.fixture
def caller(installation: Installation, world: dict[str, Any]) -> Caller:
    """One who opens a connection for each call."""
    return Caller(installation, world)


def test_limits_at_three_levels_are_hard_for_8_writers_on_two_processes(
    installation: Installation, world: dict[str, Any]
) -> None:
    """A random mix of charges, holds that are captured and holds that are voided, of two payers."""
    ways = ({"api_key": world["secret"]}, {"workspace": "north"}, {"workspace": "south"})

    def work(number: int) -> Counter[str]:
        chance, client, seen = random.Random(number), Caller(installation, world, keeps=True), Counter[str]()
        for _ in range(CALLS_EACH):
            way, kind = chance.choice(ways), chance.choice(("charge", "charge", "capture", "void"))
            status, body = client.charge(**way) if kind == "charge" else client.authorize(**way)
            if status == 402:
                assert body["denial"]["reason"] == "spend_limit", body
                seen[body["denial"]["level"]] += 1
                continue
            assert status == 201, body
            if kind != "charge":
                assert client.settle(body["id"], kind) in (200, 201)
            seen["spent"] += kind != "void"
        return seen

    with ThreadPoolExecutor(WRITERS) as pool:
        seen = sum(pool.map(work, range(WRITERS)), Counter[str]())
    spent, counted, left_over = _books(installation)
    by_key = spent.get(("north", True), Decimal(0))
    north = by_key + spent.get(("north", False), Decimal(0))
    everything = sum(spent.values())
    assert counted == {"api_key": by_key, "workspace": north, "organization": everything}
    assert by_key <= KEY_LIMIT
    assert north <= WORKSPACE_LIMIT
    assert everything == ORGANIZATION_LIMIT == seen["spent"]  # the last call that fits is let through
    assert left_over == (0, 0)
    assert seen["organization"] > 0
    status, body = Caller(installation, world).charge(workspace="south")
    assert (status, body["denial"]["level"], body["denial"]["used"]) == (402, "organization", "240")


def test_a_limit_that_is_changed_is_obeyed_by_the_very_next_call_on_both(caller: Caller) -> None:
    limit = f"/v1/spend-limits/{caller.world['limits']['organization']}"
    for amount, expected in (("100000", 201), ("1", 402), ("100000", 201)):
        assert caller.send("PATCH", limit, {"amount": amount})[0] == 200
        assert _statuses(lambda: caller.charge(workspace="south")) == {expected: PROBES}
        assert _statuses(lambda: caller.authorize(workspace="south")) == {expected: PROBES}


def test_a_limit_that_is_set_and_ended_is_obeyed_by_the_very_next_call_on_both(caller: Caller) -> None:
    assert _statuses(lambda: caller.charge(workspace="south")) == {201: PROBES}
    status, made = caller.send("POST", "/v1/spend-limits", {"workspace": "south", "amount": "0"})
    assert status == 201
    assert _statuses(lambda: caller.charge(workspace="south")) == {402: PROBES}
    assert caller.send("POST", f"/v1/spend-limits/{made['id']}/end", {})[0] == 200
    assert _statuses(lambda: caller.charge(workspace="south")) == {201: PROBES}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"status": "suspended", "status_reason": "unpaid"}, 402),
        ({"status": "past_due", "suspends_at": "2999-01-01T00:00:00Z"}, 201),
        ({"status": "past_due", "suspends_at": "2026-01-01T00:00:00Z"}, 402),
        ({"status": "active"}, 201),
    ],
)
def test_a_state_is_obeyed_by_the_very_next_call_on_both(
    caller: Caller, state: dict[str, str], expected: int
) -> None:
    payer = f"/v1/billing-entities/{caller.world['payers']['south']}"
    assert caller.send("PATCH", payer, state)[0] == 200
    assert _statuses(lambda: caller.charge(workspace="south")) == {expected: PROBES}
    assert _statuses(lambda: caller.authorize(workspace="south")) == {expected: PROBES}


def test_a_revoked_key_is_refused_by_the_very_next_call_on_both(caller: Caller) -> None:
    status, key = caller.send("POST", "/v1/api-keys", {"workspace": "south", "name": "k"})
    assert status == 201
    assert _statuses(lambda: caller.charge(api_key=key["secret"])) == {201: PROBES}
    assert caller.send("POST", f"/v1/api-keys/{key['id']}/revoke", {})[0] == 200
    assert _statuses(lambda: caller.charge(api_key=key["secret"])) == {403: PROBES}
    assert _statuses(lambda: caller.authorize(api_key=key["secret"])) == {403: PROBES}


def test_who_is_closed_is_refused_by_right_on_both(caller: Caller) -> None:
    """The last of them: what is closed stays closed."""
    payer = f"/v1/billing-entities/{caller.world['payers']['south']}"
    assert caller.send("PATCH", payer, {"status": "closed"})[0] == 200
    assert _statuses(lambda: caller.charge(workspace="south")) == {403: PROBES}
    assert _statuses(lambda: caller.authorize(workspace="south")) == {403: PROBES}


def _statuses(call: Callable[[], tuple[int, Any]]) -> Counter[int]:
    return Counter(call()[0] for _ in range(PROBES))


def _books(installation: Installation) -> tuple[dict[Any, Decimal], dict[str, Decimal], tuple[Any, ...]]:
    """(spent by workspace and whether by key, counted by level, holds and money left over)."""
    with psycopg.connect(installation.postgres.dsn) as connection:
        spent = {(row[0], row[1]): row[2] for row in connection.execute(SPENT)}
        counted = {row[0]: row[1] for row in connection.execute(COUNTED)}
        return spent, counted, connection.execute(LEFT_OVER).fetchall()[0]
