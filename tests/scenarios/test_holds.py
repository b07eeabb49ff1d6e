"""Between an authorization and its capture payers move, plans change, grants expire, usage is reported."""

from __future__ import annotations

from typing import Any

import pytest

from billing.authorizations import expire_due
from billing.models import Authorization
from tests.scenarios.life import LifeStory
from tests.scenarios.money import Story

pytestmark = pytest.mark.django_db


def per_token(price: str, **fields: Any) -> dict[str, Any]:
    return {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": price} | fields


class Calls:
    """Authorizations and captures of one story, under keys of their own."""

    def __init__(self, story: Story) -> None:
        self.story, self._number = story, 0

    def authorize(self, payer: str, **fields: Any) -> Any:
        self._number += 1
        body = {"idempotency_key": f"hold-{self._number}", "event": "call", "workspace": f"w-{payer}"}
        return self.story.api.post("/v1/authorizations", body | fields)

    def hold(self, payer: str, tokens: int, **fields: Any) -> str:
        answer = self.authorize(payer, properties={"tokens": tokens}, **fields)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def capture(self, hold: str, tokens: int, **fields: Any) -> Any:
        body = {"properties": {"tokens": tokens}} | fields
        return self.story.api.post(f"/v1/authorizations/{hold}/capture", body)


@pytest.fixture
def calls(money: Story) -> Calls:
    money.meter("tokens")
    return Calls(money)


def test_a_capture_is_charged_to_the_payer_held_though_another_pays_by_now(
    money: Story, calls: Calls
) -> None:
    version = money.plan(per_token("0.01"))
    first, second = money.payer(version, top_up="10"), money.payer(version, top_up="10")
    customer = money.api.get(f"/v1/billing-entities/{first}").json()["customer"]
    body = {"customer": customer, "currency": "USD", "name": "Heir", "overdraft": "0"}
    heir = money.api.make("/v1/billing-entities", settlement="wallet_only", **body)["id"]
    money.subscribe(heir, version)
    money.at(3, 10)
    hold = calls.hold(first, 300)
    money.api.make(
        "/v1/payer-assignments", workspace=f"w-{first}", billing_entity=heir, starts_at="2026-03-10T00:00:00Z"
    )
    assert money.balance(first)["held"] == "3"
    answer = calls.capture(hold, 200)
    assert answer.status_code == 201
    assert answer.json()["billing_entity"] == first
    assert (money.balance(first)["settled"], money.balance(heir)["settled"]) == ("8", "0")
    assert calls.authorize(first, properties={"tokens": 1}).status_code == 402  # the heir has nothing
    assert money.balance(second)["settled"] == "10"


def test_a_report_under_the_calls_key_finds_the_payer_held_too(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version, top_up="10")
    customer = money.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    heir = money.api.make("/v1/billing-entities", customer=customer, currency="USD", name="Heir")["id"]
    hold = calls.hold(payer, 300)
    space = f"w-{payer}"
    money.api.make(
        "/v1/payer-assignments", workspace=space, billing_entity=heir, starts_at=money.now.isoformat()
    )
    money.at(3, 2)
    event = {"idempotency_key": "hold-1", "event": "call", "workspace": space, "properties": {"tokens": 400}}
    assert money.api.post("/v1/events", {"events": [event]}).json()["accepted"] == 1
    assert (money.settled(payer), money.settled(heir)) == (6, 0)
    assert money.api.get(f"/v1/authorizations/{hold}").json()["status"] == "captured"


def test_a_call_that_began_before_a_plan_change_costs_what_it_cost_then(life: LifeStory) -> None:
    life.meter("tokens")
    calls = Calls(life)
    old, new = life.plan(per_token("0.01")), life.plan(per_token("0.02"))
    payer = life.payer(old, top_up="100")
    life.at(3, 10, 12)
    before = calls.hold(payer, 300, expires_in=7200)
    (subscription,) = life.api.get("/v1/subscriptions", billing_entity=payer).json()["data"]
    life.at(3, 10, 13)
    change = life.api.post(f"/v1/subscriptions/{subscription['id']}/change", {"plan_version": new})
    assert change.status_code in (200, 201), change.content
    after = calls.hold(payer, 300)
    assert life.api.get(f"/v1/authorizations/{after}").json()["amount"] == "6"
    assert calls.capture(before, 300).json()["amount"] == "3"
    assert calls.capture(after, 300).json()["amount"] == "6"
    later = calls.hold(payer, 300)
    assert calls.capture(later, 300, occurred_at="2026-03-10T12:30:00Z").json()["amount"] == "3"


def test_the_price_of_a_hold_and_of_its_capture_are_those_of_their_positions(
    money: Story, calls: Calls
) -> None:
    tiers = [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.001"}]
    version = money.plan({"key": "tok", "meter": "tokens", "model": "graduated", "tiers": tiers})
    payer = money.payer(version, top_up="20")
    hold = calls.hold(payer, 1000)
    assert money.balance(payer)["held"] == "10"
    assert money.charge(payer, tokens=900) == "9"
    body = calls.capture(hold, 1000).json()
    assert (body["amount"], body["lines"][0]["position"]) == ("1.9", {"from": "900", "to": "1900"})


def test_value_under_an_open_hold_does_not_expire_before_the_hold_ends(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version)
    money.grant(payer, "10", expires_at="2026-03-01T12:00:00Z")
    money.at(3, 1, 11, 50)
    hold = calls.hold(payer, 400, expires_in=3600)
    money.at(3, 1, 12)
    assert money.balance(payer) | {"settled": "4", "held": "4", "available": "0"} == money.balance(payer)
    assert money.refused(payer, tokens=1) == "insufficient_funds"
    assert (money.settled(payer), money.account(payer, "breakage")) == (4, 6)
    assert calls.capture(hold, 300).json()["amount"] == "3"
    assert (money.settled(payer), money.account(payer, "breakage")) == (0, 7)


def test_value_under_a_hold_that_runs_out_expires_with_it(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version)
    money.grant(payer, "10", expires_at="2026-03-01T12:00:00Z")
    money.at(3, 1, 11, 50)
    calls.hold(payer, 400, expires_in=3600)
    money.at(3, 1, 12, 50)
    assert (money.balance(payer)["settled"], money.balance(payer)["held"]) == ("0", "0")
    assert money.refused(payer, tokens=1) == "insufficient_funds"
    assert money.account(payer, "breakage") == 10


def test_a_hold_of_nothing_is_over_at_its_time_too(money: Story, calls: Calls) -> None:
    payer = money.payer(money.plan(per_token("0.01")), top_up="10")
    hold = calls.hold(payer, 0, expires_in=600)
    lease = str(money.api.make("/v1/leases", workspace=f"w-{payer}", amount="1", expires_in=600)["id"])
    call = {"idempotency_key": "its", "event": "call", "workspace": f"w-{payer}"}
    calls_of_lease = {"events": [call | {"properties": {"tokens": 120}}]}
    assert money.api.post(f"/v1/leases/{lease}/report", calls_of_lease).json()["accepted"] == 1
    money.at(3, 1, 0, 10)
    assert money.balance(payer)["held"] == "0"
    for verb, body in (("void", {}), ("extend", {"expires_in": 60})):
        answer = money.api.post(f"/v1/authorizations/{hold}/{verb}", body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "authorization_expired")
    assert money.api.post(f"/v1/leases/{lease}/return", {}).json()["status"] == "expired"


@pytest.mark.parametrize("others", [0, 1])
def test_the_worker_ends_holds_of_nothing_too(money: Story, calls: Calls, others: int) -> None:
    payer = money.payer(money.plan(per_token("0.01")), top_up="10")
    calls.hold(payer, 0, expires_in=600)
    for _ in range(others):
        calls.hold(payer, 100, expires_in=3600)
    money.at(3, 1, 0, 10)
    assert (expire_due(money.now), expire_due(money.now)) == (1, 0)
    assert Authorization.objects.filter(status=Authorization.Status.EXPIRED).count() == 1


def test_value_that_a_void_frees_is_gone_when_its_grant_is_over(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version)
    money.grant(payer, "10", expires_at="2026-03-01T12:00:00Z")
    money.at(3, 1, 11, 50)
    hold = calls.hold(payer, 400, expires_in=3600)
    money.at(3, 1, 12, 10)
    assert money.api.post(f"/v1/authorizations/{hold}/void", {}).json()["balance"]["held"] == "0"
    assert (money.settled(payer), money.account(payer, "breakage")) == (0, 10)


def test_a_grant_for_other_components_promises_nothing(money: Story, calls: Calls) -> None:
    money.meter("images")
    version = money.plan(
        per_token("0.01"), {"key": "img", "meter": "images", "model": "per_unit", "unit_price": "1"}
    )
    payer = money.payer(version)
    money.grant(payer, "5", components=["img"])
    money.grant(payer, "3")
    assert calls.authorize(payer, properties={"tokens": 301}).status_code == 402
    tokens = calls.hold(payer, 200)
    assert calls.authorize(payer, properties={"tokens": 101}).status_code == 402
    images = calls.authorize(payer, properties={"images": 5})
    assert images.status_code == 201
    assert calls.authorize(payer, properties={"images": 1}).status_code == 201
    assert money.refused(payer, tokens=1) == "insufficient_funds"
    assert calls.capture(tokens, 200).json()["amount"] == "2"
    body = {"properties": {"images": 5}}
    captured = money.api.post(f"/v1/authorizations/{images.json()['id']}/capture", body)
    assert captured.json()["amount"] == "5"
    assert money.balance(payer)["settled"] == "1"


def test_holds_count_against_the_credit_of_who_pays_by_invoice(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version, settlement="invoice_only", overdraft=None, credit_limit="10")
    money.charge(payer, tokens=400)
    hold = calls.hold(payer, 500)
    assert money.refused(payer, tokens=101) == "insufficient_funds"
    assert money.charge(payer, tokens=100) == "1"
    assert calls.capture(hold, 501, over="overdraft").status_code == 402
    assert calls.capture(hold, 500).status_code == 201
    assert money.account(payer, "receivable") == -10
    assert money.balance(payer)["available"] == "0"


def test_a_promise_is_kept_to_who_is_suspended_since(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version, top_up="10")
    hold, other = calls.hold(payer, 300), calls.hold(payer, 300, expires_in=60)
    suspended = money.api.client.patch(
        f"/v1/billing-entities/{payer}",
        {"status": "suspended"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {money.api.secret}"},
    )
    assert suspended.status_code == 200
    refused = calls.authorize(payer, properties={"tokens": 1})
    assert (refused.status_code, refused.json()["denial"]["reason"]) == (402, "suspended")
    assert calls.capture(hold, 300).status_code == 201
    money.at(3, 1, 0, 5)
    assert calls.capture(other, 300).status_code == 409
    assert money.settled(payer) == 7


def test_reported_usage_may_eat_what_was_promised_and_the_promise_is_kept(money: Story, calls: Calls) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version, top_up="10")
    hold = calls.hold(payer, 800)
    money.report(payer, {"tokens": 900})
    assert money.balance(payer) | {"settled": "1", "held": "8", "available": "-7"} == money.balance(payer)
    assert calls.capture(hold, 800).status_code == 201
    assert money.settled(payer) == -7


def test_a_grant_that_came_after_the_authorization_pays_where_others_used_the_older_one(
    money: Story, calls: Calls
) -> None:
    version = money.plan(per_token("0.01"))
    payer = money.payer(version, top_up="3")
    money.at(3, 2)
    hold = calls.hold(payer, 300, expires_in=7200)
    money.at(3, 2, 1)
    money.top_up(payer, "3")
    assert money.charge(payer, tokens=300) == "3"
    assert money.remaining(payer) == ["0", "3"]
    assert calls.capture(hold, 300).status_code == 201
    assert money.balance(payer)["settled"] == "0"
    assert money.api.get("/v1/charges", billing_entity=payer).json()["data"][0]["lines"][0]["amount"] == "3"


def test_usage_reported_in_a_pause_under_the_calls_key_ends_the_hold_and_costs_nothing(
    life: LifeStory,
) -> None:
    life.meter("tokens")
    calls = Calls(life)
    payer = life.payer(life.plan(per_token("0.01")), top_up="10")
    hold = calls.hold(payer, 300, expires_in=86400)
    (subscription,) = life.api.get("/v1/subscriptions", billing_entity=payer).json()["data"]
    life.at(3, 1, 1)
    life.do(subscription["id"], "pause")
    life.at(3, 1, 2)
    event = {
        "idempotency_key": "hold-1",
        "event": "call",
        "workspace": f"w-{payer}",
        "properties": {"tokens": 200},
    }
    counts = life.api.post("/v1/events", {"events": [event]}).json()
    assert (counts["accepted"], counts["unpriced"]) == (1, 1)
    assert (life.balance(payer)["settled"], life.balance(payer)["held"]) == ("10", "0")
    again = calls.capture(hold, 200)
    assert (again.status_code, again.json()["status"]) == (200, "recorded")
    shown = life.api.get(f"/v1/authorizations/{hold}").json()
    assert (shown["status"], shown["charge"]) == ("captured", None)
    assert life.api.get("/v1/charges", billing_entity=payer).json()["data"] == []
