"""Requests that are wrong around their body: keys, headers, methods, parameters, cursors, addresses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from accounts.keys import issue_api_key
from accounts.models import IntegrationKey
from billing.models import Charge, TopUp
from core import clock
from tests.accounts.caller import Answer, Caller, caller_with
from tests.api.doors import LISTS, World, bodies, is_documented, make_world
from tests.billing.world import make_tenant

pytestmark = pytest.mark.django_db
SERIES = ("usage", "costs", "margins")


@pytest.fixture
def world() -> World:
    return make_world()


def refused(answer: Answer, status: int) -> dict[str, Any]:
    assert is_documented(answer), answer.body
    assert answer.status == status, answer.body
    return answer.error


def everything(world: World) -> list[tuple[str, str]]:
    reads = [("GET", f"/v1/{noun}") for noun in (*LISTS, *SERIES, "balance")]
    return [*bodies(world), *reads]


def ask(caller: Caller, world: World, method: str, path: str, **headers: str) -> Answer:
    body = bodies(world).get((method, path))
    if method == "GET":
        return caller.request("GET", path, headers=headers)
    return (
        caller._send(method, path, body, None)
        if not headers
        else caller.request(method, path, b"{}", headers)
    )


@pytest.mark.parametrize(
    "header",
    [
        "Basic dGc6dGc=",
        "Bearer",
        "Bearer ",
        "Bearer tg_",
        "Bearer tg_notakey",
        "Bearer tk_abcdefgh",
        "Bearer \x7f\xff",
        "bearer a b c",
        "Token tg_x",
        "tg_x",
        "Digest username=x",
        "Bearer " + "x" * 5000,
    ],
)
def test_a_wrong_credential_is_401_everywhere(world: World, header: str) -> None:
    for method, path in everything(world):
        answer = Caller().request(method, path, b"{}" if method != "GET" else b"", {"Authorization": header})
        assert refused(answer, 401)["type"] == "authentication"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_no_credential_is_401_everywhere(world: World) -> None:
    for method, path in everything(world):
        assert refused(ask(Caller(), world, method, path), 401)["code"] == "not_authenticated"


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_an_ended_key_is_401_everywhere(world: World, field: str) -> None:
    past = clock.now() - timedelta(seconds=1)
    IntegrationKey.objects.update(**{field: past})
    for method, path in everything(world):
        refused(ask(world.caller, world, method, path), 401)
    assert not Charge.objects.exists()


ASKED_BY_POST = ("/v1/pricing/preview", "/v1/plans/validate", "/v1/plans/diff", "/upcoming", "/recompute")
"""Questions, most with a document that is too large for an address: who may read may ask them."""


def test_a_key_without_the_scope_is_403_everywhere(world: World) -> None:
    reader, writer = caller_with("read"), caller_with("events:write", "charges:write")
    for method, path in bodies(world):
        if path != "/v1/test-clock" and not path.endswith(ASKED_BY_POST):
            assert refused(ask(reader, world, method, path), 403)["code"] == "missing_scope", path
    for noun in (*LISTS, *SERIES, "balance"):
        refused(ask(writer, world, "GET", f"/v1/{noun}"), 403)
    refused(ask(caller_with("charges:write"), world, "POST", "/v1/events"), 403)
    refused(ask(caller_with("events:write"), world, "POST", "/v1/charges"), 403)


def test_a_customers_key_sees_its_own_workspace_and_nothing_else(world: World) -> None:
    own, other = world.tenant, make_tenant(None, balance="77")
    caller = Caller(issue_api_key(workspace=own.workspace, name="own").secret)
    assert caller.get("/v1/balance").json["settled"] == "1000"
    assert caller.get("/v1/usage").status == 200
    assert caller.get("/v1/balance", workspace=own.workspace.public_id).status == 200
    for name, row in (("workspace", other.workspace), ("billing_entity", other.payer)):
        for reference in (row.public_id, str(row.external_id)):
            refused(caller.get("/v1/balance", **{name: reference}), 404)
            refused(caller.get("/v1/usage", **{name: reference}), 404)
    refused(caller.get("/v1/usage", customer=other.customer.public_id), 404)
    for method, path in everything(world):
        if path not in ("/v1/balance", "/v1/usage"):
            answer = ask(caller, world, method, path)
            assert is_documented(answer)
            assert answer.status in (401, 403), (method, path, answer.status)


def test_a_header_key_that_differs_from_the_bodys_is_400(world: World) -> None:
    for path, body in (("/v1/charges", world.event("body")), ("/v1/events", world.event("body"))):
        answer = world.caller.post(path, body, key="header")
        assert refused(answer, 400)["code"] in ("idempotency_key_mismatch", "invalid_type")
    assert world.caller.post("/v1/charges", world.event("body"), key="body").status == 201
    assert Charge.objects.count() == 1


@pytest.mark.parametrize("key", ["", " " * 3 + "\x01", "x" * 256, "é", "\x7f"])
def test_an_idempotency_key_that_is_none_is_400_and_moves_no_money(world: World, key: str) -> None:
    body = {"billing_entity": world.payer, "amount": "5"}
    before = TopUp.objects.count()
    answer = world.caller.post("/v1/top-ups", body, key=key)
    assert refused(answer, 400)["param"] == "Idempotency-Key"
    assert TopUp.objects.count() == before


def test_an_idempotency_key_is_one_answer_and_another_body_a_409(world: World) -> None:
    before = TopUp.objects.count()
    body = {"billing_entity": world.payer, "amount": "5"}
    first = world.caller.post("/v1/top-ups", body, key="k")
    again = world.caller.post("/v1/top-ups", body | {"amount": "5.000"}, key="k")
    assert (first.status, again.status, first.json) == (201, 201, again.json)
    assert (
        refused(world.caller.post("/v1/top-ups", body | {"amount": "6"}, key="k"), 409)["param"] == "amount"
    )
    assert TopUp.objects.count() == before + 1


def test_a_bad_amount_uses_no_key_up(world: World) -> None:
    body = {"billing_entity": world.payer, "amount": "0"}
    refused(world.caller.post("/v1/top-ups", body, key="k"), 400)
    assert world.caller.post("/v1/top-ups", body | {"amount": "5"}, key="k").status == 201


def test_a_parameter_that_nobody_knows_is_400(world: World) -> None:
    for noun in (*LISTS, *SERIES, "balance"):
        assert refused(world.caller.get(f"/v1/{noun}", surprise="1"), 400)["param"] == "surprise"
        refused(world.caller.request("GET", f"/v1/{noun}?%00=1"), 400)
        refused(world.caller.request("GET", f"/v1/{noun}?%ff=%fe"), 400)


@pytest.mark.parametrize("limit", ["0", "-1", "501", "1e3", "", "٣", "9" * 400, "NaN"])
def test_a_limit_out_of_range_is_400(world: World, limit: str) -> None:
    for noun in LISTS:
        assert refused(world.caller.get(f"/v1/{noun}", limit=limit), 400)["param"] == "limit", noun


def test_a_cursor_that_was_tampered_with_is_400(world: World) -> None:
    for number in range(3):
        world.caller.made("/v1/customers", {"name": str(number)})
    cursor = world.caller.get("/v1/customers", limit="1").json["next_cursor"]
    head, middle, tail = cursor.rsplit(":", 2)
    bad = [
        "",
        "x",
        cursor[:-1],
        cursor + "x",
        f"{head[::-1]}:{middle}:{tail}",
        "\x00",
        "é",
        "a:b:c",
        "x" * 9000,
    ]
    for noun in LISTS:
        for text in bad if noun == "customers" else [cursor, "x"]:
            answer = world.caller.get(f"/v1/{noun}", cursor=text)
            assert refused(answer, 400)["param"] == "cursor", (noun, text, answer.body)
    assert world.caller.get("/v1/customers", limit="1", cursor=cursor).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE", "PROPFIND", "PATCH"])
def test_a_method_that_is_not_there_is_405(world: World, method: str) -> None:
    for noun in (*LISTS, *SERIES, "balance", "events", "pricing/preview", "backfills"):
        assert refused(world.caller.request(method, f"/v1/{noun}"), 405)["code"] == "method_not_allowed"
    refused(world.caller.request("GET", "/v1/events"), 405)


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "customers/",
        "charges/x/y",
        "wallets/%00",
        "%ff",
        "charges/%ff",
        "..%2f..%2fetc",
        "events/x",
        "x" * 3000,
    ],
)
def test_an_address_that_is_not_there_is_404(world: World, path: str) -> None:
    refused(world.caller.request("GET", f"/v1/{path}"), 404)


@pytest.mark.parametrize("name", ["nobody", "%00", "%ed%a0%80", "be_00000001%00", "'; drop table", "x" * 900])
def test_an_id_of_nothing_is_404(world: World, name: str) -> None:
    for noun in LISTS:
        refused(world.caller.request("GET", f"/v1/{noun}/{name}"), 404)


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "\xff", "a;q=nan", "*/*;q=x"])
def test_an_answer_that_we_do_not_give_is_406_or_json(world: World, accept: str) -> None:
    for method, path in (("GET", "/v1/customers"), ("GET", "/v1/balance"), ("POST", "/v1/charges")):
        answer = world.caller.request(method, path, b"{}", {"Accept": accept})
        assert is_documented(answer), (path, answer.status, answer.body)


@pytest.mark.parametrize("host", ["evil.example", "a b", "[::1", "x" * 300, "\xff"])
def test_a_strange_host_is_no_500(world: World, host: str) -> None:
    for method, path in (("GET", "/v1/customers"), ("POST", "/v1/charges"), ("GET", "/v1/nothing")):
        assert is_documented(world.caller.request(method, path, b"{}", {"Host": host}))
