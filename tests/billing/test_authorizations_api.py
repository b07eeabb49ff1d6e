"""`/v1/authorizations` through the public API: keys, states, time, and what becomes of the money."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from billing.authorizations import expire_due
from billing.models import Authorization, Charge, Denial, LedgerAccount, Overspend
from metering.models import IdempotencyKey, UsageEvent
from tests.billing.authorizing import NOW, Desk, desks, error_of
from tests.billing.world import make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _books() -> Iterator[None]:
    yield from desks()  # type: ignore[misc]


def test_an_expected_event_is_priced_by_the_server_and_held() -> None:
    desk = Desk("10")
    answer = desk.authorize(250)
    assert answer.status_code == 201
    body = answer.json()
    assert body["id"].startswith("auth_")
    assert (body["status"], body["amount"], body["currency"]) == ("authorized", "2.5", "USD")
    assert body["expires_at"] == "2026-01-15T12:10:00Z"
    assert body["billing_entity"] == desk.tenant.payer.public_id
    assert body["balance"] == {"available": "7.5", "settled": "10", "held": "2.5"}
    assert desk.balance() == ("10", "2.5", "7.5")
    assert not UsageEvent.objects.exists()
    assert not Charge.objects.exists()


def test_an_amount_is_held_as_it_is_with_an_event_or_without() -> None:
    desk = Desk("10")
    assert desk.authorize(1, amount="4.25").json()["amount"] == "4.25"
    alone = {"idempotency_key": "alone", "workspace": desk.tenant.workspace.external_id, "amount": "5.75"}
    assert desk.api.post("/v1/authorizations", alone | {"amount": "5.76"}).status_code == 402
    answer = desk.api.post("/v1/authorizations", alone)
    assert (answer.status_code, answer.json()["balance"]["available"]) == (201, "0")
    hold = answer.json()["id"]
    assert desk.shown(hold)["event_name"] is None
    assert error_of(desk.capture(hold, 100)) == (400, "missing_field")
    assert desk.capture(hold, 100, event="completion").json()["amount"] == "1"


def test_a_refusal_names_the_money_and_uses_no_key() -> None:
    desk = Desk("1")
    answer = desk.authorize(101, idempotency_key="k")
    assert answer.status_code == 402
    denial = answer.json()["denial"]
    assert (denial["reason"], denial["level"], denial["id"]) == (
        "insufficient_funds",
        "billing_entity",
        desk.tenant.payer.public_id,
    )
    assert Denial.objects.get().expected_amount == Decimal("1.01")
    assert not IdempotencyKey.objects.filter(key="k").exists()
    assert desk.authorize(100, idempotency_key="k").status_code == 201


def test_the_same_key_again_gets_the_first_answer_whatever_became_of_the_hold() -> None:
    desk = Desk("10")
    event = desk.event(100, expires_in=60)
    first = desk.api.post("/v1/authorizations", event)
    assert desk.extend(first.json()["id"], 600).status_code == 200
    assert desk.capture(first.json()["id"], 100).status_code == 201
    desk.later(hours=1)
    again = desk.api.post("/v1/authorizations", event | {"properties": {"tokens": "100.0"}})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again["Idempotent-Replayed"] == "true"
    assert Authorization.objects.count() == 1


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"properties": {"tokens": 101}}, "properties.tokens"),
        ({"amount": "3"}, "amount"),
        ({"expires_in": 61}, "expires_in"),
        ({"event": "other"}, "event"),
    ],
)
def test_another_payload_under_the_key_is_a_conflict_that_names_the_field(
    changed: dict[str, Any], param: str
) -> None:
    desk = Desk("10")
    event = desk.event(100, amount="2.50", expires_in=60)
    assert desk.api.post("/v1/authorizations", event).status_code == 201
    answer = desk.api.post("/v1/authorizations", event | changed)
    assert (*error_of(answer), answer.json()["error"]["param"]) == (409, "idempotency_conflict", param)
    assert desk.api.post("/v1/authorizations", event | {"amount": "2.5"}).status_code == 200


@pytest.mark.parametrize("held_by", ["workspace", "api_key"])
def test_a_capture_may_say_again_who_calls_by_any_name(held_by: str) -> None:
    desk, other = Desk("10"), make_tenant()
    workspace, payer = desk.tenant.workspace, desk.tenant.payer
    key = desk.api.make("/v1/api-keys", workspace=workspace.external_id, name="caller")
    stranger = desk.api.make("/v1/api-keys", workspace=other.workspace.external_id, name="stranger")
    names: dict[str, list[Any]] = {
        "workspace": [workspace.external_id, workspace.public_id],
        "billing_entity": [payer.external_id, payer.public_id],
    }
    others: dict[str, list[Any]] = {
        "workspace": [other.workspace.external_id, other.workspace.public_id, "nobody"],
        "billing_entity": [other.payer.public_id, "nobody"],
        "api_key": [stranger["secret"], stranger["id"], "nobody"],
    }
    if held_by == "api_key":
        fingerprint = sha256(key["secret"].encode()).hexdigest()
        names |= {"api_key": [key["secret"], key["id"], fingerprint]}
    else:
        others["api_key"].append(key["secret"])
    by = {"workspace": None, "api_key": key["secret"]} if held_by == "api_key" else {}
    for name, value in ((name, value) for name, values in others.items() for value in values):
        answer = desk.capture(desk.hold(1, **by), 1, **{name: value})
        assert (*error_of(answer), answer.json()["error"]["param"]) == (422, "mismatch", name), value
    for name, value in ((name, value) for name, values in names.items() for value in values):
        hold = desk.hold(1, **by)
        first, again = (desk.capture(hold, 1, **{name: value}) for _ in range(2))
        assert (first.status_code, again.status_code) == (201, 200), (name, value, first.content)
        assert desk.capture(hold, 1).json() == first.json()


def test_keys_are_shared_with_charges_and_events() -> None:
    desk = Desk("10")
    hold = desk.hold(100, idempotency_key="held")
    assert error_of(desk.charge(100, idempotency_key="held")) == (409, "idempotency_conflict")
    assert desk.charge(100, idempotency_key="charged").status_code == 201
    assert error_of(desk.authorize(100, idempotency_key="charged")) == (409, "idempotency_conflict")
    assert error_of(desk.capture(hold, 100, idempotency_key="charged")) == (409, "idempotency_conflict")
    assert desk.shown(hold)["status"] == "authorized"
    assert desk.balance() == ("9", "1", "8")


def test_a_header_that_differs_from_the_key_is_an_error() -> None:
    desk = Desk("10")
    headers = {"Idempotency-Key": "another"}
    answer = desk.api.post("/v1/authorizations", desk.event(1), **headers)
    assert error_of(answer) == (400, "idempotency_key_mismatch")
    hold = desk.hold(1)
    path, body = f"/v1/authorizations/{hold}/capture", {"properties": {"tokens": 1}}
    assert error_of(desk.api.post(path, body, **headers)) == (400, "idempotency_key_mismatch")
    assert desk.api.post(path, body, **{"Idempotency-Key": hold}).status_code == 201


def test_a_capture_is_the_charge_of_the_real_usage() -> None:
    desk = Desk("10")
    hold = desk.hold(300, user="u", trace="t")
    body = desk.capture(hold, 200).json()
    assert body["id"].startswith("ch_")
    assert (body["status"], body["amount"], body["authorization"]) == ("charged", "2", hold)
    assert body["lines"][0]["quantity"] == "200"
    shown = desk.shown(hold)
    assert (shown["status"], shown["charge"], shown["captured_amount"]) == ("captured", body["id"], "2")
    assert (shown["held"], shown["amount"]) == ("0", "3")
    explained = desk.api.get(f"/v1/charges/{body['id']}").json()
    assert explained["event"]["idempotency_key"] == hold
    assert (explained["event"]["user"], explained["event"]["trace"]) == ("u", "t")
    assert explained["event"]["workspace"] == desk.tenant.workspace.public_id
    assert explained["balance"] == {"available": "8", "settled": "8", "held": "0"}
    proof = desk.api.post(f"/v1/charges/{body['id']}/recompute", {})
    assert proof.json()["matches"]


def test_a_capture_without_properties_is_what_was_expected() -> None:
    desk = Desk("10")
    cost = [{"vendor": "v", "amount": "0.1", "currency": "USD"}]
    body = desk.capture(desk.hold(300, costs=cost)).json()
    assert (body["amount"], body["cost"]) == ("3", "0.1")


def test_a_replayed_capture_gets_the_first_answer() -> None:
    desk = Desk("10")
    hold = desk.hold(300, idempotency_key="call")
    first = desk.capture(hold, 200)
    assert desk.charge(100).status_code == 201
    again = desk.capture(hold, "200.0")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert desk.capture(hold, 200, idempotency_key="call").json() == first.json()
    assert error_of(desk.capture(hold, 201)) == (409, "idempotency_conflict")
    assert error_of(desk.capture(hold, 200, idempotency_key="another")) == (409, "authorization_captured")
    assert Charge.objects.count() == 2


def test_a_capture_may_bear_a_key_of_its_own() -> None:
    desk = Desk("10")
    hold = desk.hold(300)
    first = desk.capture(hold, 200, idempotency_key="mine")
    assert desk.capture(hold, 200, idempotency_key="mine").json() == first.json()
    assert error_of(desk.capture(hold, 200)) == (409, "authorization_captured")
    assert UsageEvent.objects.get().idempotency_key == "mine"


def test_a_capped_capture_answers_again_with_what_was_charged() -> None:
    desk = Desk("10")
    hold = desk.hold(300)
    first = desk.capture(hold, 450, over="cap").json()
    assert (first["amount"], first["absorbed"]) == ("3", "1.5")
    assert desk.capture(hold, 450, over="cap").json() == first
    explained = desk.api.get(f"/v1/charges/{first['id']}").json()
    assert (explained["amount"], explained["absorbed"]) == ("3", "1.5")
    assert {(part["account"], part["amount"]) for part in explained["funding"]} == {
        ("wallet", "3"),
        ("leakage", "1.5"),
    }
    assert desk.api.post(f"/v1/charges/{first['id']}/recompute", {}).json()["matches"]
    assert LedgerAccount.objects.get(kind="leakage").balance == Decimal("-1.5")
    later = desk.charge(100).json()
    assert (later["amount"], later["lines"][0]["position"]) == ("1", {"from": "450", "to": "550"})


@pytest.mark.parametrize("name", ["own", "id"])
def test_a_reversed_capture_gives_each_back_what_it_bore(name: str) -> None:
    desk = Desk("10")
    hold = desk.hold(300, idempotency_key="call")
    desk.capture(hold, 450, over="cap")
    body = {
        "idempotency_key": "taken-back",
        "event": {"own": "call", "id": hold}[name],
        "customer": desk.tenant.customer.public_id,
        "reason": "It was not theirs",
    }
    answer = desk.api.post("/v1/reversals", body)
    assert answer.status_code == 201, answer.content
    assert desk.balance() == ("10", "0", "10")
    assert LedgerAccount.objects.get(kind="leakage").balance == 0
    rows = desk.api.get("/v1/charges", billing_entity=desk.tenant.payer.public_id).json()["data"]
    taken = min(rows, key=lambda row: Decimal(row["amount"]))
    assert (taken["amount"], taken["absorbed"]) == ("-3", "-1.5")
    proof = desk.api.post(f"/v1/charges/{taken['id']}/recompute", {})
    assert proof.json()["matches"]
    assert desk.shown(hold)["status"] == "captured"


def test_a_void_frees_the_money_and_again_changes_nothing() -> None:
    desk = Desk("10")
    hold = desk.hold(300)
    first = desk.void(hold)
    assert (first.status_code, first.json()["status"]) == (200, "voided")
    assert first.json()["balance"] == {"available": "10", "settled": "10", "held": "0"}
    assert desk.void(hold).json() == first.json()
    assert error_of(desk.capture(hold, 100)) == (409, "authorization_voided")
    assert error_of(desk.extend(hold, 60)) == (409, "authorization_voided")
    captured = desk.hold(100)
    assert desk.capture(captured).status_code == 201
    assert error_of(desk.void(captured)) == (409, "authorization_captured")


def test_a_hold_ends_at_its_instant_though_no_worker_runs() -> None:
    desk = Desk("10")
    hold = desk.hold(1000, expires_in=60)
    desk.later(seconds=59, microseconds=999_999)
    assert desk.balance() == ("10", "10", "0")
    assert desk.charge(1).status_code == 402
    desk.later(microseconds=1)
    assert desk.balance() == ("10", "0", "10")
    assert desk.shown(hold)["status"] == "expired"
    assert desk.shown(hold)["settled_at"] == "2026-01-15T12:01:00Z"
    assert Authorization.objects.get().status == "authorized"  # nobody has written it down
    assert desk.charge(1000).status_code == 201
    assert (Authorization.objects.get().status, Authorization.objects.get().held) == ("expired", 0)
    assert error_of(desk.void(hold)) == (409, "authorization_expired")
    assert error_of(desk.extend(hold, 60)) == (409, "authorization_expired")


def test_the_due_task_writes_down_what_is_over() -> None:
    desk = Desk("10")
    for _ in range(3):
        desk.hold(100, expires_in=60)
    kept = desk.hold(100, expires_in=61)
    desk.later(seconds=60)
    assert expire_due(desk.now) == 1
    assert expire_due(desk.now) == 0
    assert sorted(Authorization.objects.values_list("status", flat=True)) == ["authorized"] + ["expired"] * 3
    assert desk.shown(kept)["status"] == "authorized"
    assert LedgerAccount.objects.get(kind="wallet").held == 1


def test_an_extended_hold_lasts_longer_and_never_shorter() -> None:
    desk = Desk("10")
    hold = desk.hold(100, expires_in=60)
    assert desk.extend(hold, 120).json()["expires_at"] == "2026-01-15T12:02:00Z"
    assert desk.extend(hold, 5).json()["expires_at"] == "2026-01-15T12:02:00Z"
    desk.later(seconds=119)
    assert desk.capture(hold, 100).status_code == 201


@pytest.mark.parametrize("key", ["id", "own", "refused"])
def test_usage_whose_capture_came_too_late_is_recorded_under_each_of_its_keys(key: str) -> None:
    desk = Desk("10")
    hold = desk.hold(1000, idempotency_key="call", expires_in=60)
    desk.later(minutes=2)
    assert desk.charge(1000).status_code == 201
    refused = desk.capture(hold, 500, idempotency_key="mine")
    assert error_of(refused) == (409, "authorization_expired")
    name = {"id": hold, "own": "call", "refused": "mine"}[key]
    assert desk.report(500, idempotency_key=name)["accepted"] == 1
    assert desk.report(500, idempotency_key=name)["duplicates"] == 1
    assert [(row.cause, row.amount) for row in Overspend.objects.all()] == [("late_capture", 5)]
    assert desk.shown(hold)["status"] == "captured"
    assert desk.balance() == ("-5", "0", "-5")


def test_a_report_under_the_calls_key_captures_an_open_hold() -> None:
    desk = Desk("10")
    hold = desk.hold(1000, idempotency_key="call")
    assert desk.report(300, idempotency_key="call")["accepted"] == 1
    assert desk.shown(hold)["status"] == "captured"
    assert desk.balance() == ("7", "0", "7")
    answer = desk.report(300, idempotency_key="call", event="other")
    assert (answer["rejected"], answer["errors"][0]["error"]["code"]) == (1, "idempotency_conflict")


def test_reported_usage_of_a_voided_call_is_recorded_all_the_same() -> None:
    desk = Desk("10")
    hold = desk.hold(1000, idempotency_key="call")
    desk.void(hold)
    assert desk.report(300, idempotency_key="call")["accepted"] == 1
    assert desk.shown(hold)["status"] == "voided"
    assert desk.balance() == ("7", "0", "7")


def test_the_list_shows_each_hold_in_the_state_of_now() -> None:
    desk = Desk("10")
    over = desk.hold(1, expires_in=30)
    still = desk.hold(2, expires_in=90)
    captured, voided = desk.hold(3), desk.hold(4)
    desk.capture(captured)
    desk.void(voided)
    desk.later(seconds=30)
    payer = desk.tenant.payer.public_id

    def ids(**params: str) -> list[str]:
        answer = desk.api.get("/v1/authorizations", billing_entity=payer, **params)
        return [row["id"] for row in answer.json()["data"]]

    assert set(ids()) == {over, still, captured, voided}
    assert ids(status="authorized") == [still]
    assert ids(status="expired") == [over]
    assert ids(status="captured") == [captured]
    assert ids(status="voided") == [voided]
    assert ids(authorized_from="2026-01-15T12:00:01Z") == []
    assert desk.now > NOW
    assert desk.api.get("/v1/authorizations/auth_1").status_code == 404


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"expires_in": 0}, "invalid_expires_in", "expires_in"),
        ({"expires_in": 86_401}, "invalid_expires_in", "expires_in"),
        ({"expires_in": "60"}, "invalid_expires_in", "expires_in"),
        ({"expires_in": True}, "invalid_expires_in", "expires_in"),
        ({"amount": "0"}, "invalid_amount", "amount"),
        ({"amount": "-1"}, "invalid_amount", "amount"),
        ({"amount": 5}, "invalid_type", "amount"),
        ({"over": "cap"}, "unknown_field", "over"),
        ({"event": None}, "missing_field", "event"),
        ({"idempotency_key": None}, "missing_field", "idempotency_key"),
    ],
)
def test_a_bad_authorization_names_its_field(fields: dict[str, Any], code: str, param: str) -> None:
    answer = Desk("10").authorize(1, **fields)
    assert (*error_of(answer), answer.json()["error"]["param"]) == (400, code, param)


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"over": "yes"}, 400, "invalid_choice", "over"),
        ({"over": ["cap"]}, 400, "invalid_choice", "over"),
        ({"event": "other"}, 422, "mismatch", "event"),
        ({"workspace": "elsewhere"}, 422, "mismatch", "workspace"),
        ({"billing_entity": "other"}, 422, "mismatch", "billing_entity"),
        ({"amount": "1"}, 400, "unknown_field", "amount"),
        ({"properties": []}, 400, "invalid_type", "properties"),
    ],
)
def test_a_bad_capture_names_its_field_and_leaves_the_hold(
    fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    desk = Desk("10")
    hold = desk.hold(1)
    answer = desk.capture(hold, **fields)
    assert (*error_of(answer), answer.json()["error"]["param"]) == (status, code, param)
    assert desk.shown(hold)["status"] == "authorized"
