"""A change is obeyed by the very next charge, authorization, gateway check and lease draw on both processes.

No call sleeps, none is sent again: a change is answered, and the next request of each kind goes to each of
the two processes on a connection that is known to be its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from benchmarks.installation import Installation
from tests.faults.both_processes import Both

DOORS = ("charge", "authorization", "gateway", "lease")
OK = {"charge": "201", "authorization": "201", "gateway": "200 200", "lease": "201"}


class World:
    """A customer of its own: a payer, a workspace with a key, and a limit that bounds nothing."""

    def __init__(self, both: Both, world: dict[str, Any]) -> None:
        self.both, name = both, f"next-{uuid4()}"
        customer = both.once("POST", "/v1/customers", {"name": name})["id"]
        made = {"customer": customer, "name": name}
        money = {"currency": "USD", "settlement": "wallet_only", "overdraft": "0"}
        self.payer = both.once("POST", "/v1/billing-entities", made | money)["id"]
        space = made | {"external_id": name, "billing_entity": self.payer}
        self.workspace = both.once("POST", "/v1/workspaces", space)["external_id"]
        subscribed = {"billing_entity": self.payer, "plan_version": world["version"]}
        both.once("POST", "/v1/subscriptions", subscribed)
        both.once("POST", "/v1/top-ups", {"billing_entity": self.payer, "amount": "100000"})
        limited = {"workspace": self.workspace, "amount": "100000"}
        self.limit = both.once("POST", "/v1/spend-limits", limited)["id"]
        self.key = both.once("POST", "/v1/api-keys", {"workspace": self.workspace, "name": "k"})
        self.integration = both.once(
            "POST", "/v1/integration-keys", {"name": name, "scopes": ["charges:write"]}
        )

    def said(self, door: str) -> set[str]:
        """What both processes answer at a door; a set of one where they agree."""
        call = {"event": "call", "api_key": self.key["secret"]}
        caller = self.both.as_key(self.integration["secret"])
        if door == "charge":
            return caller.post("/v1/charges", call)
        if door == "authorization":
            return caller.post("/v1/authorizations", call)
        if door == "lease":
            return caller.post("/v1/leases", {"api_key": self.key["secret"], "amount": "1"})
        headers = {"X-Tollgate-Key": self.integration["secret"], "X-Api-Key": self.key["secret"]}
        return caller.check(**headers, **{"X-Tollgate-Event": "call"})

    def is_served(self) -> None:
        """Both let every kind of call through, and have all of it in their caches."""
        assert {door: self.said(door) for door in DOORS} == {door: {OK[door]} for door in DOORS}


@pytest.fixture(scope="module")
def both(_started: tuple[Installation, Any], world: dict[str, Any]) -> Iterator[Both]:
    made = Both(_started[0], world["admin"])
    yield made
    made.close()


def refused(reason: str) -> dict[str, str]:
    """A refusal about money at each door."""
    return dict.fromkeys(DOORS, f"402 {reason}") | {"gateway": f"403 402 {reason}"}


def forbidden(code: str, gateway: str) -> dict[str, str]:
    """A refusal by right at each door."""
    return dict.fromkeys(DOORS, f"403 {code}") | {"gateway": gateway}


def suspend(at: World) -> None:
    at.both.once("PATCH", f"/v1/billing-entities/{at.payer}", {"status": "suspended"})


def activate(at: World) -> None:
    at.both.once("PATCH", f"/v1/billing-entities/{at.payer}", {"status": "active"})


def overdue(at: World) -> None:
    body = {"status": "past_due", "suspends_at": "2026-01-01T00:00:00Z"}
    at.both.once("PATCH", f"/v1/billing-entities/{at.payer}", body)


def close(at: World) -> None:
    at.both.once("PATCH", f"/v1/billing-entities/{at.payer}", {"status": "closed"})


def revoke(at: World) -> None:
    at.both.once("POST", f"/v1/api-keys/{at.key['id']}/revoke", {})


def revoke_integration(at: World) -> None:
    at.both.once("POST", f"/v1/integration-keys/{at.integration['id']}/revoke", {})


def lower(at: World) -> None:
    at.both.once("PATCH", f"/v1/spend-limits/{at.limit}", {"amount": "1"})


def raise_again(at: World) -> None:
    at.both.once("PATCH", f"/v1/spend-limits/{at.limit}", {"amount": "100000"})


def bound_payer(at: World) -> None:
    at.both.once("POST", "/v1/spend-limits", {"billing_entity": at.payer, "amount": "1"})


Change = Callable[[World], None]
NO_KEY = dict.fromkeys(DOORS, "401 key_ended") | {"gateway": "401 401 key_ended"}


@pytest.mark.parametrize(
    ("change", "answers", "back"),
    [
        pytest.param(suspend, refused("suspended"), activate, id="suspended"),
        pytest.param(overdue, refused("suspended"), activate, id="past its time"),
        pytest.param(close, forbidden("closed", "403 403 closed"), None, id="closed"),
        pytest.param(revoke, forbidden("key_revoked", "401 401 key_revoked"), None, id="key revoked"),
        pytest.param(revoke_integration, NO_KEY, None, id="integration key revoked"),
        pytest.param(lower, refused("spend_limit"), raise_again, id="limit lowered"),
        pytest.param(bound_payer, refused("spend_limit"), None, id="limit set"),
    ],
)
def test_the_very_next_call_obeys_on_both(
    installation: Installation,
    both: Both,
    world: dict[str, Any],
    change: Change,
    answers: dict[str, str],
    back: Change | None,
) -> None:
    """A world for each door, for only the first call after a change can meet what a process remembers."""
    for door in DOORS:
        at = World(both, world)
        at.is_served()
        change(at)
        assert at.said(door) == {answers[door]}, door
        if back is not None:
            back(at)
            assert at.said(door) == {OK[door]}, door
