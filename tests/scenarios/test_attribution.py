"""Who pays: dated stories through the public API, all of them about the gap between a call and its payer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.secrets import fingerprint
from billing.models import Charge, LedgerAccount
from core import clock
from core.ids import row_id
from metering.models import UsageEvent
from tests.api_client import Api
from tests.billing.world import make_meter, make_version

pytestmark = pytest.mark.django_db


class Story:
    """A calendar, an operator's key, and a price of 0.01 per token."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, tzinfo=UTC)
        clock.use(lambda: self.now)
        self.api = Api()
        make_meter()
        component = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
        self.version = make_version([component]).public_id

    def at(self, day: int, hour: int = 12) -> None:
        self.now = datetime(2026, 3, day, hour, tzinfo=UTC)

    def customer(self, name: str) -> str:
        return str(self.api.make("/v1/customers", name=name, external_id=name)["id"])

    def payer(self, customer: str, name: str, top_up: str = "100") -> str:
        payer = self.api.make(
            "/v1/billing-entities",
            customer=customer,
            name=name,
            external_id=name,
            currency="USD",
            settlement="wallet_only",
            overdraft="0",
        )["id"]
        self.api.make("/v1/subscriptions", billing_entity=payer, plan_version=self.version)
        self.api.make("/v1/top-ups", billing_entity=payer, amount=top_up)
        return str(payer)

    def workspace(self, customer: str, name: str, payer: str) -> str:
        body = {"customer": customer, "name": name, "external_id": name, "billing_entity": payer}
        return str(self.api.make("/v1/workspaces", **body)["id"])

    def key(self, workspace: str, secret: str, user: str | None = None) -> None:
        body = {"workspace": workspace, "name": secret, "fingerprint": fingerprint(secret)}
        self.api.make("/v1/api-keys", **body, **({"user": user} if user else {}))

    def call(self, key: str, tokens: int = 100, **fields: Any) -> Any:
        body = {"idempotency_key": key, "event": "completion", "properties": {"tokens": tokens}, **fields}
        return self.api.post("/v1/charges", body)


@pytest.fixture
def story() -> Iterator[Story]:
    yield Story()
    clock.use(None)


def wallet(payer: str) -> Decimal:
    balance: Decimal = LedgerAccount.objects.get(billing_entity_id=row_id("be", payer), kind="wallet").balance
    return balance


def test_two_users_behind_one_address_have_two_payers(story: Story) -> None:
    customer = story.customer("office")
    design, research = story.payer(customer, "design"), story.payer(customer, "research")
    story.key(story.workspace(customer, "ws-design", design), "anna-key", user="anna")
    story.key(story.workspace(customer, "ws-research", research), "bert-key", user="bert")
    assert story.call("1", api_key="anna-key").json()["billing_entity"] == design
    assert story.call("2", api_key="bert-key", tokens=300).json()["billing_entity"] == research
    assert (wallet(design), wallet(research)) == (99, 97)


def test_one_user_in_two_workspaces_is_paid_for_by_each_in_turn(story: Story) -> None:
    customer = story.customer("agency")
    first, second = story.payer(customer, "client-a"), story.payer(customer, "client-b")
    a, b = story.workspace(customer, "ws-a", first), story.workspace(customer, "ws-b", second)
    assert story.call("1", workspace=a, user="carol").json()["billing_entity"] == first
    assert story.call("2", workspace=b, user="carol").json()["billing_entity"] == second
    assert {event.user for event in UsageEvent.objects.all()} == {"carol"}


def test_two_hundred_keys_map_to_forty_payers(story: Story) -> None:
    payers = []
    for number in range(40):
        customer = story.customer(f"c-{number}")
        payers.append(story.payer(customer, f"p-{number}", top_up="10"))
        workspace = story.workspace(customer, f"w-{number}", payers[-1])
        for key in range(5):
            story.key(workspace, f"secret-{number}-{key}", user=f"user-{key}")
    events = [
        {
            "idempotency_key": f"call-{number}-{key}",
            "event": "completion",
            "api_key": f"secret-{number}-{key}",
            "properties": {"tokens": number + 1},
        }
        for key in range(5)
        for number in range(40)
    ]
    answer = story.api.post("/v1/events", {"events": events}).json()
    assert (answer["accepted"], answer["rejected"], answer["quarantined"]) == (200, 0, 0)
    for number, payer in enumerate(payers):
        assert wallet(payer) == 10 - 5 * Decimal(number + 1) / 100
    assert not any("secret-" in str(event.properties) for event in UsageEvent.objects.all())


def test_a_workspace_moves_to_its_parents_payer_and_a_retry_gets_the_first_answer(story: Story) -> None:
    customer = story.customer("group")
    own, parents = story.payer(customer, "division"), story.payer(customer, "holding")
    workspace = story.workspace(customer, "ws", own)
    story.at(10)
    first = story.call("job-1", workspace=workspace)
    assert first.status_code == 201
    story.at(15, 0)
    move = {"workspace": workspace, "billing_entity": parents, "starts_at": "2026-03-15T00:00:00Z"}
    story.api.make("/v1/payer-assignments", **move)
    during = story.call("job-1", workspace=workspace)
    story.at(20)
    after = story.call("job-1", workspace=workspace)
    assert first.json()["billing_entity"] == own
    assert [(again.status_code, again.json()) for again in (during, after)] == [(200, first.json())] * 2
    assert Charge.objects.count() == 1
    assert (wallet(own), wallet(parents)) == (99, 100)
    assert story.call("job-2", workspace=workspace).json()["billing_entity"] == parents


def test_a_late_call_is_paid_by_who_paid_when_it_happened(story: Story) -> None:
    customer = story.customer("group")
    own, parents = story.payer(customer, "division"), story.payer(customer, "holding")
    workspace = story.workspace(customer, "ws", own)
    story.at(15, 0)
    move = {"workspace": workspace, "billing_entity": parents, "starts_at": "2026-03-15T00:00:00Z"}
    story.api.make("/v1/payer-assignments", **move)
    story.at(20)
    late = story.call("late", workspace=workspace, occurred_at="2026-03-14T23:59:59.999Z")
    assert late.json()["billing_entity"] == own
    sharp = story.call("sharp", workspace=workspace, occurred_at="2026-03-15T00:00:00Z")
    assert sharp.json()["billing_entity"] == parents


def test_an_unknown_keys_events_wait_in_quarantine_and_charge_once_when_released(story: Story) -> None:
    customer = story.customer("late-comer")
    payer = story.payer(customer, "payer")
    workspace = story.workspace(customer, "ws", payer)
    event = {
        "idempotency_key": "k",
        "event": "completion",
        "api_key": "not-known-yet",
        "properties": {"tokens": 100},
        "occurred_at": (story.now + timedelta(hours=1)).isoformat(),
    }
    story.at(3)
    assert story.api.post("/v1/events", {"events": [event, event]}).json()["quarantined"] == 2
    (row,) = story.api.get("/v1/quarantine").json()["data"]
    assert row["reason"] == "unknown_key"
    assert story.api.post(f"/v1/quarantine/{row['id']}/release", {}).status_code == 409
    story.key(workspace, "not-known-yet")
    story.at(9)
    released = story.api.post(f"/v1/quarantine/{row['id']}/release", {})
    assert released.status_code == 200, released.content
    assert released.json()["status"] == "released"
    assert wallet(payer) == 99
    again = story.api.post("/v1/events", {"events": [event]}).json()
    assert (again["accepted"], again["duplicates"]) == (0, 1)
    assert wallet(payer) == 99


def test_a_batch_with_a_new_workspace_finds_the_old_ones_too(story: Story) -> None:
    customer = story.customer("acme")
    payer = story.payer(customer, "main")
    story.workspace(customer, "old", payer)
    body = {"event": "completion", "properties": {"tokens": 100}}
    first = body | {"idempotency_key": "k1", "workspace": "old"}
    assert story.api.post("/v1/charges", first).status_code == 201
    story.workspace(customer, "new", payer)
    events = [body | {"idempotency_key": f"k-{name}", "workspace": name} for name in ("old", "new", "old")]
    events[2]["idempotency_key"] = "k-again"
    answer = story.api.post("/v1/events", {"events": events}).json()
    assert (answer["accepted"], answer["quarantined"]) == (3, 0), answer
