"""The short way for plain JSON charges: the answers of the long one, and a clear rule for who takes it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from billing.api.fast_lane import is_plain_json
from metering.models import UsageEvent
from tests.api_client import Api
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
PLAIN = {"CONTENT_TYPE": "application/json", "CONTENT_LENGTH": "17"}
PATH = "/v1/charges"


@pytest.fixture
def api() -> Api:
    return Api("charges:write")


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="10", overdraft=Decimal(0))


def event(tenant: Tenant, key: str, tokens: Any = 100, **fields: Any) -> dict[str, Any]:
    body = {"idempotency_key": key, "event": "completion", "properties": {"tokens": tokens}}
    return body | {"workspace": tenant.workspace.external_id} | fields


def both_ways(api: Api, body: Any, path: str = PATH, **headers: str) -> tuple[Any, Any]:
    """The answers of the short way and of the view behind it, to the same request."""
    long = Client(raise_request_exception=False).post(
        path,
        body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.secret}"} | headers,
    )
    return api.post(path, body, **headers), long


def content(answer: Any) -> dict[str, Any]:
    """The body without what is of one request or one charge only."""
    body: dict[str, Any] = answer.json()
    for part, names in ((body, ("id", "balance")), (body.get("error", {}), ("request_id",))):
        for name in names:
            part.pop(name, None)
    for line in body.get("lines", ()):
        line.pop("position")
    return body


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (402, {"tokens": 100_000}),
        (400, {"tokens": 10**40}),
        (400, {"event": ""}),
        (400, {"occurred_at": "yesterday"}),
        (404, {"workspace": "nowhere"}),
        (422, {"occurred_at": "2999-01-01T00:00:00Z"}),
    ],
)
def test_what_is_refused_is_refused_alike_on_both_ways(
    api: Api, tenant: Tenant, status: int, fields: dict[str, Any]
) -> None:
    short, long = both_ways(api, event(tenant, "a", **fields))
    assert (short.status_code, long.status_code) == (status, status)
    assert content(short) == content(long)
    assert short.headers["Content-Type"] == long.headers["Content-Type"]
    assert not UsageEvent.objects.exists()


def test_a_charge_is_answered_alike_on_both_ways(api: Api, tenant: Tenant) -> None:
    short = api.post(PATH, event(tenant, "short"))
    _, long = both_ways(api, event(tenant, "long"))  # here the view comes first
    assert (short.status_code, long.status_code) == (201, 201)
    assert content(short) == content(long)


def test_a_replay_crosses_from_one_way_to_the_other(api: Api, tenant: Tenant) -> None:
    replayed, first = both_ways(api, event(tenant, "a"))
    assert (first.status_code, replayed.status_code) == (201, 200)
    assert first.json() == replayed.json()
    assert replayed.headers["Idempotent-Replayed"] == "true"


def test_without_or_with_a_bad_credential_both_ways_say_401(api: Api, tenant: Tenant) -> None:
    for credential in ("", "Bearer", "Basic abc", "Bearer tg_nonsense", f"Bearer {api.secret}x"):
        short, long = both_ways(api, event(tenant, "a"), Authorization=credential)
        assert (short.status_code, long.status_code) == (401, 401)
        assert content(short) == content(long)
        assert short.headers["WWW-Authenticate"] == long.headers["WWW-Authenticate"]


def test_the_scope_is_checked_on_both_ways(tenant: Tenant) -> None:
    short, long = both_ways(Api("read"), event(tenant, "a"))
    assert (short.status_code, long.status_code) == (403, 403)
    assert content(short) == content(long)


def test_the_header_key_may_not_differ_on_either_way(api: Api, tenant: Tenant) -> None:
    short, long = both_ways(api, event(tenant, "a"), **{"Idempotency-Key": "b"})
    assert (short.status_code, long.status_code) == (400, 400)
    assert content(short) == content(long)


def test_the_callers_request_id_comes_back_in_header_and_error(api: Api, tenant: Tenant) -> None:
    answer = api.post(PATH, event(tenant, "a", event=""), **{"X-Request-Id": "nginx-7"})
    assert answer.headers["X-Request-Id"] == "nginx-7"
    assert answer.json()["error"]["request_id"] == "nginx-7"
    made = api.post(PATH, event(tenant, "a"), **{"X-Request-Id": "no spaces please"})
    assert len(made.headers["X-Request-Id"]) == 32


def test_a_refusal_names_our_address_as_the_caller_wrote_it(api: Api, tenant: Tenant) -> None:
    answer = api.post(PATH, event(tenant, "a", tokens=100_000))
    assert answer.json()["error"]["doc_url"] == "http://testserver/v1/docs/errors#payment_required"


def test_a_packed_body_takes_the_long_way_and_is_charged(api: Api, tenant: Tenant) -> None:
    packed = gzip.compress(json.dumps(event(tenant, "a")).encode())
    answer = api.client.generic(
        "POST",
        PATH,
        packed,
        content_type="application/json",
        headers={"Authorization": f"Bearer {api.secret}", "Content-Encoding": "gzip"},
    )
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("is_short", "environ"),
    [
        (True, {}),
        (True, {"CONTENT_TYPE": "application/json; charset=utf-8"}),
        (True, {"HTTP_ACCEPT": "application/json"}),
        (True, {"HTTP_ACCEPT": "text/html, */*;q=0.1"}),
        (False, {"HTTP_ACCEPT": "text/html"}),
        (False, {"CONTENT_TYPE": "text/plain"}),
        (False, {"CONTENT_TYPE": "application/cloudevents+json"}),
        (False, {"HTTP_CONTENT_ENCODING": "gzip"}),
        (False, {"CONTENT_LENGTH": ""}),
        (False, {"CONTENT_LENGTH": "0"}),
        (False, {"CONTENT_LENGTH": "-1"}),
        (False, {"CONTENT_LENGTH": "many"}),
        (False, {"CONTENT_LENGTH": "²"}),
        (False, {"CONTENT_LENGTH": str(10**12)}),
        (False, {"CONTENT_LENGTH": "9" * 5000}),
        (True, {"CONTENT_TYPE": "application/json ; charset=utf-8"}),
        (True, {"HTTP_ACCEPT": "text/html,application/json;q=0.9"}),
        (False, {"CONTENT_TYPE": "application/jsonlines"}),
        (False, {"CONTENT_TYPE": "application/json-patch+json"}),
        (False, {"CONTENT_TYPE": "application/json, text/plain"}),
        (False, {"CONTENT_TYPE": ""}),
        (False, {"HTTP_ACCEPT": "application/jsonl"}),
        (False, {"HTTP_ACCEPT": ""}),
    ],
)
def test_only_plain_json_of_a_known_and_allowed_length_takes_it(
    is_short: bool, environ: dict[str, str]
) -> None:
    assert is_plain_json(PLAIN | environ) == is_short


def test_the_limit_is_the_apis(settings: Any) -> None:
    settings.API_BODY_MAX_BYTES = 16
    assert not is_plain_json(PLAIN)


@pytest.mark.parametrize(
    ("status", "content_type", "accept"),
    [
        (415, "application/jsonlines", "*/*"),
        (415, "application/json-patch+json", "*/*"),
        (415, "application/json, text/plain", "*/*"),
        (415, "text/plain", "application/json"),
        (406, "application/json", "application/jsonl"),
        (406, "application/json", "text/csv"),
        (201, "application/json; charset=utf-8", "application/json; indent=4"),
        (201, "application/json", "text/html, */*; q=0.1"),
    ],
)
def test_media_types_are_judged_alike_on_both_ways(
    api: Api, tenant: Tenant, status: int, content_type: str, accept: str
) -> None:
    answers = []
    for key, client in (("short", api.client), ("long", Client(raise_request_exception=False))):
        headers = {"Authorization": f"Bearer {api.secret}", "Accept": accept}
        raw = json.dumps(event(tenant, key))
        answers.append(client.generic("POST", PATH, raw, content_type=content_type, headers=headers))
    assert [answer.status_code for answer in answers] == [status, status]
    assert content(answers[0]) == content(answers[1])


@pytest.mark.parametrize(
    ("status", "code", "param", "raw"),
    [
        (400, "missing_field", "idempotency_key", b"{}"),
        (400, "invalid_type", None, b"[]"),
        (400, "invalid_type", None, b"null"),
        (400, "invalid_json", None, b'{"idempotency_key": "a"'),
        (400, "invalid_json", "properties.tokens", b'{"properties": {"tokens": NaN}}'),
        (400, "invalid_utf8", None, b'{"event": "\xff"}'),
        (400, "too_deep", None, b"[" * 5000 + b"]" * 5000),
        (400, "invalid_text", "event", b'{"event": "\\ud800"}'),
        (400, "unknown_field", "price", b'{"price": 1e99999999999999999999}'),
        (400, "missing_field", "idempotency_key", b"\xef\xbb\xbf{}"),
    ],
)
def test_bodies_that_are_no_event_are_told_alike_on_both_ways(
    api: Api, status: int, code: str, param: str | None, raw: bytes
) -> None:
    headers = {"Authorization": f"Bearer {api.secret}"}
    for client in (api.client, Client(raise_request_exception=False)):
        answer = client.generic("POST", PATH, raw, content_type="application/json", headers=headers)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


@pytest.mark.parametrize("host", ["evil.example", "no spaces please", "[::1", "a/b"])
def test_a_host_that_is_not_ours_is_not_repeated_in_an_answer(api: Api, tenant: Tenant, host: str) -> None:
    short, long = both_ways(api, event(tenant, "a", event=""), Host=host)
    assert (short.status_code, long.status_code) == (400, 400)
    assert short.json()["error"]["doc_url"] == long.json()["error"]["doc_url"]


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_lost_costs_one_answer_at_most(api: Api, tenant: Tenant) -> None:
    assert api.post(PATH, event(tenant, "a")).status_code == 201
    connection.connection.pgconn.finish()
    statuses = [api.post(PATH, event(tenant, "b")).status_code for _ in range(2)]
    assert statuses[-1] in (200, 201)
    assert set(statuses) <= {201, 200, 503}


def test_a_hold_and_its_capture_are_answered_alike_on_both_ways(api: Api, tenant: Tenant) -> None:
    path = "/v1/authorizations"
    again, first = both_ways(api, event(tenant, "hold"), path)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    capture = f"{path}/{first.json()['id']}/capture"
    body: dict[str, Any] = {"properties": {"tokens": 150}}
    for refused, status in (
        (body, 402),
        ({"over": "no"}, 400),
        ({"event": "other"}, 422),
        ({"surprise": 1}, 400),
        ([], 400),
    ):
        short, long = both_ways(api, refused, capture)
        assert (short.status_code, long.status_code) == (status, status)
        assert content(short) == content(long)
    again, captured = both_ways(api, body | {"over": "cap"}, capture)
    assert (captured.status_code, again.status_code, again.json()) == (201, 200, captured.json())
    assert (again.json()["amount"], again.json()["absorbed"]) == ("1", "0.5")
    short, long = both_ways(api, body, f"{path}/auth_1/capture")
    assert (short.status_code, content(short)) == (404, content(long))


def test_other_verbs_of_a_hold_take_the_long_way(api: Api, tenant: Tenant) -> None:
    hold = api.make("/v1/authorizations", **event(tenant, "hold"))["id"]
    assert api.post(f"/v1/authorizations/{hold}/extend", {"expires_in": 60}).status_code == 200
    assert api.post(f"/v1/authorizations/{hold}/void", {}).status_code == 200


ODD_TYPES = [
    "application/json; charset*=foo''%41",
    "application/json; charset*=idna''%ff",
    "application/json; a*0*=foo''b; a*1*=c",
    "application/json; charset=rot13",
    "application/json; charset=undefined",
    "application/json; charset=punycode",
    "text/plain; charset*=foo''%41",
]


@pytest.mark.parametrize("content_type", ODD_TYPES)
def test_no_content_type_ends_in_a_fault_of_ours(api: Api, tenant: Tenant, content_type: str) -> None:
    """On the short way, where a refusal names an address of ours, and behind it."""
    api.client.raise_request_exception = False
    for method, path in (("POST", PATH), ("POST", "/v1/events"), ("GET", "/v1/charges?status=%41")):
        body = json.dumps(event(tenant, "much", 10**6)).encode()
        own = {"Authorization": f"Bearer {api.secret}"}
        answer = api.client.generic(method, path, body, content_type=content_type, headers=own)
        assert 400 <= answer.status_code < 500, path
        assert json.loads(answer.content)["error"]["message"]
