"""Runs and discrepancies over HTTP: asked for, watched, taken on; for the operator alone."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import LedgerAccount
from billing.reconciliation.runs import run_unfinished
from tests.accounts.caller import caller_with
from tests.api_client import Api
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
RUNS, DISCREPANCIES = "/v1/reconciliation-runs", "/v1/discrepancies"
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.5"}


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    made = make_tenant(make_version([PER_TOKEN]), balance="10")
    charge(made, "a", properties={"tokens": 3})
    return made


def asked(**body: Any) -> Any:
    answer = caller_with("admin").post(RUNS, body)
    assert answer.status == 202, answer.body
    return answer.json


def bump(tenant: Tenant, balance: str) -> None:
    LedgerAccount.objects.filter(billing_entity_id=tenant.payer.pk, kind="cash").update(balance=balance)


def test_a_run_is_asked_for_and_looked_at_until_it_is_done(tenant: Tenant) -> None:
    run = asked(kind="full", customer=tenant.customer.public_id)
    assert (run["status"], run["kind"], run["customer"]) == ("queued", "full", tenant.customer.public_id)
    assert (run["as_of"], run["checks"], run["customers_total"]) == (None, [], None)
    run_unfinished()
    run = caller_with("read").get(f"{RUNS}/{run['id']}").json
    assert (run["status"], run["customers_done"], run["customers_total"]) == ("done", 1, 1)
    assert (run["events_checked"], run["found"], run["problem"]) == (1, 0, "")
    assert run["as_of"] == run["started_at"]
    keys = next(check for check in run["checks"] if check["link"] == "keys")
    assert keys == {"link": "keys", "rows": 1, "discrepancies": 0, "drift": {}}


def test_a_second_run_is_a_conflict_that_names_the_first(tenant: Tenant) -> None:
    first = asked()
    answer = caller_with("admin").post(RUNS, {"kind": "full"})
    assert (answer.status, answer.error["code"]) == (409, "reconciliation_running")
    assert first["id"] in answer.error["message"]
    assert caller_with("admin").post(f"{RUNS}/{first['id']}/cancel").json["status"] == "canceled"
    assert asked(kind="full")["status"] == "queued"


def test_the_same_request_again_asks_for_no_second_run(tenant: Tenant) -> None:
    api = Api("admin")
    answers = [api.post(RUNS, {"kind": "full"}, **{"Idempotency-Key": "once"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_a_discrepancy_says_both_sides_and_is_taken_on(tenant: Tenant) -> None:
    bump(tenant, "-5")
    run = asked()
    run_unfinished()
    caller = caller_with("admin")
    (shown,) = caller.get(DISCREPANCIES, status="open", link="balances").json["data"]
    assert (shown["expected"], shown["actual"], shown["amount"], shown["unit"]) == ("-10", "-5", "5", "USD")
    assert (shown["type"], shown["subject"]) == ("balance", "account cash")
    assert (shown["customer"], shown["billing_entity"]) == (
        tenant.customer.public_id,
        tenant.payer.public_id,
    )
    assert (shown["first_run"], shown["found_times"], shown["comments"]) == (run["id"], 1, [])
    address = f"{DISCREPANCIES}/{shown['id']}"
    changed = caller.patch(address, {"owner": "ada", "status": "investigating"}).json
    assert (changed["owner"], changed["status"]) == ("ada", "investigating")
    commented = caller.post(f"{address}/comments", {"text": "A script did it."})
    assert commented.status == 201
    assert [each["text"] for each in commented.json["comments"]] == ["A script did it."]
    assert caller.get(DISCREPANCIES, status="open").json["data"] == []
    assert len(caller.get(DISCREPANCIES, owner="ada", type="balance").json["data"]) == 1


def test_nobody_resolves_one_by_hand(tenant: Tenant) -> None:
    bump(tenant, "-5")
    asked()
    run_unfinished()
    caller = caller_with("admin")
    (shown,) = caller.get(DISCREPANCIES).json["data"]
    refused = caller.patch(f"{DISCREPANCIES}/{shown['id']}", {"status": "resolved"})
    assert (refused.status, refused.error["param"]) == (400, "status")
    bump(tenant, "-10")
    asked()
    run_unfinished()
    resolved = caller.get(f"{DISCREPANCIES}/{shown['id']}").json
    assert (resolved["status"], resolved["resolved_by_run"] is not None) == ("resolved", True)
    late = caller.patch(f"{DISCREPANCIES}/{shown['id']}", {"owner": "bob"})
    assert (late.status, late.error["code"]) == (409, "discrepancy_resolved")


def test_a_customers_own_key_sees_none_of_it(tenant: Tenant) -> None:
    bump(tenant, "-5")
    asked()
    run_unfinished()
    body = {"workspace": tenant.workspace.external_id, "name": "k"}
    own = Api("admin").make("/v1/api-keys", **body)["secret"]
    api = Api("read")
    api.secret = own
    for address in (RUNS, DISCREPANCIES):
        answer = api.get(address)
        assert answer.status_code in (401, 403) or answer.json()["data"] == []
