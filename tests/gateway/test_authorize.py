"""The gateway's check in-process: what it asks, holds and answers; three answers only, whatever comes in."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from accounts.keys import issue_api_key, register_fingerprint, revoke_api_key
from accounts.models import BillingEntity
from accounts.secrets import fingerprint
from billing.api import gateway
from billing.authorizations import void
from billing.models import Authorization, Denial
from core import clock
from core.database_errors import Unavailable
from tests.api_client import Api
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.lane_client import LaneClient

pytestmark = pytest.mark.django_db
PATH = "/v1/gateway/authorize"
PER_UNIT = {"key": "calls", "meter": "quantity", "model": "per_unit", "unit_price": "0.5"}


@pytest.fixture
def tenant() -> Tenant:
    make_meter("quantity", event="api_call")
    return make_tenant(make_version([PER_UNIT]), balance="10", overdraft=Decimal(0))


class Gate:
    """A gateway with a caller behind it; `ask` names what differs from a good request."""

    def __init__(self, tenant: Tenant, *scopes: str) -> None:
        self.api, self.client = Api(*scopes or ("charges:write",)), LaneClient(raise_request_exception=False)
        self.issued = issue_api_key(workspace=tenant.workspace, name="caller")
        self.headers = {
            "X-Tollgate-Key": self.api.secret,
            "Authorization": f"Bearer {self.issued.secret}",
            "X-Tollgate-Event": "api_call",
            "X-Tollgate-Quantity": "2",
            "X-Request-Id": "r1",
        }

    def ask(self, path: str = PATH, method: str = "GET", **headers: Any) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (self.headers | named).items() if value is not None}
        return self.client.generic(method, path, headers=sent)


@pytest.fixture
def gate(tenant: Tenant) -> Gate:
    return Gate(tenant)


def told(answer: Any) -> tuple[int, str, str]:
    """Status, X-Tollgate-Status and -Reason."""
    return answer.status_code, answer["X-Tollgate-Status"], answer.headers.get("X-Tollgate-Reason", "")


def test_a_call_that_its_payer_can_pay_is_held_and_may_go_on(gate: Gate) -> None:
    answer = gate.ask(X_Tollgate_User="ada")
    assert told(answer) == (200, "200", "")
    assert answer.content == b""
    assert answer["X-Tollgate-Balance"] == "9"
    assert answer["X-Request-Id"] == "r1"
    row = Authorization.objects.get()
    assert answer["X-Tollgate-Authorization"] == row.public_id
    assert (row.amount, row.idempotency_key, row.event) == (Decimal(1), "r1", "api_call")
    assert (row.payload["user"], row.payload["properties"]) == ("ada", {"quantity": 2})
    assert row.expires_at - row.authorized_at == timedelta(seconds=600)


def test_how_long_a_hold_stands_is_a_setting(gate: Gate, settings: Any) -> None:
    settings.GATEWAY_HOLD = timedelta(seconds=30)
    gate.ask()
    assert Authorization.objects.get().expires_in == 30


def test_further_properties_are_rated_too(gate: Gate) -> None:
    answer = gate.ask(X_Tollgate_Properties='{"model": "large", "quantity": 100}', X_Tollgate_Quantity="4")
    assert answer["X-Tollgate-Balance"] == "8"
    answer = gate.ask(X_Tollgate_Properties='{"quantity": 6.5}', X_Tollgate_Quantity=None, X_Request_Id="r2")
    assert answer["X-Tollgate-Balance"] == "4.75"


def test_where_the_events_meters_measure_one_property_the_quantity_is_that(tenant: Tenant) -> None:
    make_meter("tokens", event="chat")
    gate = Gate(make_tenant(make_version([PER_UNIT | {"meter": "tokens"}]), balance="10"))
    assert gate.ask(X_Tollgate_Event="chat")["X-Tollgate-Balance"] == "9"
    assert Authorization.objects.get().payload["properties"] == {"quantity": 2, "tokens": 2}
    said = gate.ask(X_Tollgate_Event="chat", X_Tollgate_Properties='{"tokens": 4}', X_Request_Id="r2")
    assert said["X-Tollgate-Balance"] == "7"
    make_meter("images", event="chat")
    third = gate.ask(X_Tollgate_Event="chat", X_Request_Id="r3")
    assert third["X-Tollgate-Balance"] == "7", "two: neither, from the next call on"
    assert Authorization.objects.get(idempotency_key="r3").payload["properties"] == {"quantity": 2}


def test_what_it_cannot_pay_is_403_with_402_inside_and_a_denial_is_kept(gate: Gate) -> None:
    answer = gate.ask(X_Tollgate_Quantity="21")
    assert told(answer) == (403, "402", "insufficient_funds")
    assert answer["X-Tollgate-Balance"] == "10"
    body = json.loads(answer.content)
    assert body["error"]["type"] == "payment_required"
    assert body["denial"]["reason"] == "insufficient_funds"
    assert Denial.objects.get().expected_amount == Decimal("10.5")
    assert told(gate.ask())[0] == 200, "a refusal uses no key up"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("suspended", (403, "402", "suspended")),
        ("closed", (403, "403", "closed")),
        ("past_due", (200, "200", "")),
    ],
)
def test_the_payers_state_is_answered(
    gate: Gate, tenant: Tenant, status: str, expected: tuple[int, str, str]
) -> None:
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status=status)
    assert told(gate.ask()) == expected


def test_without_a_subscription_it_is_refused(gate: Gate) -> None:
    bare = Gate(make_tenant(balance="10"))
    assert told(bare.ask()) == (403, "402", "no_subscription")


@pytest.mark.parametrize(
    "header",
    ["Bearer {}", "bearer  {}", "{}", "Token {}", "ApiKey {}"],
)
def test_the_callers_key_is_found_however_it_is_presented(gate: Gate, header: str) -> None:
    assert told(gate.ask(Authorization=header.format(gate.issued.secret)))[0] == 200


def test_the_callers_key_may_be_the_user_of_basic_or_stand_in_x_api_key(gate: Gate) -> None:
    basic = base64.b64encode(f"{gate.issued.secret}:".encode()).decode()
    assert told(gate.ask(Authorization=f"Basic {basic}"))[0] == 200
    own = gate.ask(Authorization="Bearer a.users.token", X_Api_Key=gate.issued.secret, X_Request_Id="r2")
    assert told(own)[0] == 200


def test_the_operators_own_keys_are_known_by_their_fingerprint(gate: Gate, tenant: Tenant) -> None:
    own = "clé-d'accès"
    register_fingerprint(workspace=tenant.workspace, name="own", fingerprint=fingerprint(own))
    as_latin_1 = own.encode().decode("latin-1")
    assert told(gate.ask(X_Api_Key=as_latin_1))[0] == 200


def test_neither_the_id_nor_the_fingerprint_of_a_key_opens_anything(gate: Gate) -> None:
    for known in (gate.issued.key.public_id, fingerprint(str(gate.issued.secret))):
        assert told(gate.ask(Authorization=f"Bearer {known}")) == (401, "401", "unknown_key")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic !!!", "Basic Og==", "x" * 600])
def test_without_a_key_the_caller_hears_so(gate: Gate, header: str | None) -> None:
    answer = gate.ask(Authorization=header)
    assert told(answer)[:2] == (401, "401")
    assert answer.headers["X-Tollgate-Reason"] in ("missing_key", "unknown_key")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_a_revoked_key_is_a_401_at_once(gate: Gate) -> None:
    assert told(gate.ask())[0] == 200
    revoke_api_key(gate.issued.key)
    assert told(gate.ask(X_Request_Id="r2")) == (401, "401", "key_revoked")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, (401, "401", "not_authenticated")),
        ("  ", (401, "401", "not_authenticated")),
        ("tg_nonsense", (401, "401", "invalid_key")),
        ("\xff\xfe", (401, "401", "invalid_key")),
        ("x" * 5000, (401, "401", "invalid_key")),
    ],
)
def test_the_gateway_itself_has_to_be_known(
    gate: Gate, key: str | None, expected: tuple[int, str, str]
) -> None:
    assert told(gate.ask(X_Tollgate_Key=key)) == expected


def test_the_gateways_key_needs_the_scope_to_charge(tenant: Tenant) -> None:
    assert told(Gate(tenant, "read").ask()) == (403, "403", "missing_scope")


@pytest.mark.parametrize(
    ("reason", "headers"),
    [
        ("missing_field", {"X_Tollgate_Event": None}),
        ("missing_field", {"X_Tollgate_Event": "  "}),
        ("invalid_length", {"X_Tollgate_Event": "e" * 300}),
        ("invalid_utf8", {"X_Tollgate_Event": "\xe9"}),
        ("invalid_length", {"X_Tollgate_User": "u" * 300}),
        ("invalid_utf8", {"X_Tollgate_User": "\xff"}),
        ("invalid_decimal", {"X_Tollgate_Quantity": "many"}),
        ("invalid_decimal", {"X_Tollgate_Quantity": "1e3"}),
        ("invalid_decimal", {"X_Tollgate_Quantity": "\xb2"}),
        ("number_out_of_range", {"X_Tollgate_Quantity": "9" * 40}),
        ("negative_quantity", {"X_Tollgate_Quantity": "-1"}),
        ("invalid_json", {"X_Tollgate_Properties": "{"}),
        ("invalid_json", {"X_Tollgate_Properties": '{"a": NaN}'}),
        ("invalid_type", {"X_Tollgate_Properties": "[1]"}),
        ("too_deep", {"X_Tollgate_Properties": '{"a":' + "[" * 5000 + "]" * 5000 + "}"}),
        ("invalid_text", {"X_Tollgate_Properties": '{"a": "\\u0000"}'}),
        ("invalid_text", {"X_Tollgate_Properties": '{"\\ud800": 1}'}),
    ],
)
def test_headers_that_say_nonsense_are_403_with_400_inside(
    gate: Gate, reason: str, headers: dict[str, Any]
) -> None:
    answer = gate.ask(**headers)
    assert told(answer) == (403, "400", reason)
    assert json.loads(answer.content)["error"]["code"] == reason
    assert not Authorization.objects.exists()


@pytest.mark.parametrize("request_id", ["no spaces please", "x" * 129, "", "\xff", "a/b"])
def test_a_request_id_that_is_no_plain_one_is_replaced_and_told(gate: Gate, request_id: str) -> None:
    answer = gate.ask(X_Request_Id=request_id)
    assert told(answer)[0] == 200
    assert len(answer["X-Request-Id"]) == 32
    assert Authorization.objects.get().idempotency_key == answer["X-Request-Id"]


@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND", "X"]
)
@pytest.mark.parametrize("path", ["", "/", "/v1/chat/completions?stream=1", "/../../x", "/%00/%ff", "//"])
def test_any_method_and_any_path_below_is_answered(gate: Gate, method: str, path: str) -> None:
    assert told(gate.ask(PATH + path, method)) == (200, "200", "")
    refused = gate.ask(PATH + path, method, X_Tollgate_Quantity="1000", X_Request_Id="r2")
    assert told(refused) == (403, "402", "insufficient_funds")
    assert bool(refused.content) is (method != "HEAD")


def test_what_only_begins_like_it_is_another_address(gate: Gate) -> None:
    for path in ("/v1/gateway/authorizes", "/v1/gateway", "/v1/gateway/authorize-x"):
        assert gate.ask(path).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "no spaces please", "[::1", "a/b", "\xff"])
def test_the_host_does_not_matter(gate: Gate, host: str) -> None:
    assert told(gate.ask(Host=host))[0] == 200
    assert told(gate.ask(Host=host, X_Tollgate_Quantity="1000", X_Request_Id="r2"))[:2] == (403, "402")


def test_asked_again_for_the_same_call_it_is_the_same_hold(gate: Gate) -> None:
    first, again = gate.ask(), gate.ask()
    assert told(again)[0] == 200
    assert again["X-Tollgate-Authorization"] == first["X-Tollgate-Authorization"]
    assert Authorization.objects.count() == 1
    assert told(gate.ask(X_Tollgate_Quantity="3")) == (403, "409", "idempotency_conflict")


def test_a_request_id_whose_call_is_over_opens_nothing_any_more(gate: Gate) -> None:
    gate.ask()
    void(Authorization.objects.get())
    assert told(gate.ask()) == (403, "409", "authorization_voided")


def test_a_hold_whose_time_is_over_is_not_given_again(gate: Gate) -> None:
    start = clock.now()
    try:
        clock.use(lambda: start)
        assert told(gate.ask())[0] == 200
        clock.use(lambda: start + timedelta(seconds=600))
        assert told(gate.ask()) == (403, "409", "authorization_expired")
    finally:
        clock.use(None)


@pytest.mark.parametrize(
    "fault", [OperationalError("away"), Unavailable("unavailable", "away"), KeyError("x")]
)
def test_a_fault_of_ours_answers_as_the_fail_mode_says(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, settings: Any, fault: Exception
) -> None:
    def fail(*arguments: Any) -> Any:
        raise fault

    monkeypatch.setattr(gateway, "charge_one", fail)
    closed, passed = (403, "503", "unavailable"), (200, "503", "fail_open")
    assert told(gate.ask()) == closed
    assert told(gate.ask(X_Tollgate_Fail="open")) == passed
    assert told(gate.ask(X_Tollgate_Fail="perhaps")) == closed
    settings.GATEWAY_FAIL_OPEN = True
    assert told(gate.ask()) == passed
    assert told(gate.ask(X_Tollgate_Fail=" Closed ")) == closed


def test_failing_open_lets_nobody_pass_who_was_decided_on(gate: Gate) -> None:
    assert told(gate.ask(X_Tollgate_Fail="open", X_Tollgate_Quantity="1000"))[:2] == (403, "402")
    assert told(gate.ask(X_Tollgate_Fail="open", Authorization="Bearer unknown"))[0] == 401
    assert told(gate.ask(X_Tollgate_Fail="open", X_Tollgate_Event=None))[:2] == (403, "400")


def test_even_an_answer_that_cannot_be_written_is_one_of_three(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> Any:
        raise ValueError("no such answer")

    monkeypatch.setattr(gateway, "render_notated", fail)
    for mode in ("open", "closed"):  # it is a refusal all the same
        refused = gate.ask(X_Tollgate_Quantity="1000", X_Tollgate_Fail=mode)
        assert told(refused) == (403, "402", "insufficient_funds")
        assert told(gate.ask(Authorization="Bearer unknown", X_Tollgate_Fail=mode))[0] == 401
        assert told(gate.ask(X_Tollgate_Event=None, X_Tollgate_Fail=mode))[:2] == (403, "400")
    monkeypatch.setattr(gateway, "plain", fail)
    assert told(gate.ask()) == (403, "503", "unavailable")
    assert told(gate.ask(X_Tollgate_Fail="open")) == (200, "503", "fail_open")


def test_no_content_type_lets_a_refused_caller_pass(gate: Gate) -> None:
    """A gateway that passes all headers on passes this one, too."""
    odd = {"Content_Type": "text/plain; charset*=foo''%41"}
    for mode in ("open", "closed"):
        refused = gate.ask(X_Tollgate_Quantity="1000", X_Tollgate_Fail=mode, **odd)
        assert told(refused) == (403, "402", "insufficient_funds")
        assert json.loads(refused.content)["denial"]["reason"] == "insufficient_funds"


def test_behind_django_the_answers_are_the_same(gate: Gate) -> None:
    lane = gate.client
    gate.client = Client(raise_request_exception=False)  # type: ignore[assignment]
    for method in ("GET", "POST", "PROPFIND"):
        for path in (PATH, f"{PATH}/v1/chat/completions"):
            assert told(gate.ask(path, method)) == (200, "200", "")
    refused = gate.ask(X_Tollgate_Quantity="1000", X_Request_Id="no plain one")
    gate.client = lane
    other = gate.ask(X_Tollgate_Quantity="1000", X_Request_Id="r3")
    assert told(refused) == told(other) == (403, "402", "insufficient_funds")
    assert refused["X-Request-Id"] == json.loads(refused.content)["error"]["request_id"]
    assert Authorization.objects.count() == 1
