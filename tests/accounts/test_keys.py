"""API keys of customers and integration keys of the operator, over the API."""

from __future__ import annotations

from hashlib import sha256

import pytest
from django.db import DatabaseError, transaction

from accounts.credentials import authenticate_api_key
from accounts.models import ApiKey, IntegrationKey
from core.errors import AuthenticationFailed
from core.models import IdempotentRequest
from tests.accounts.caller import Caller, caller_with
from tests.accounts.conftest import Clock, Tenant

PATH = "/v1/api-keys"
INTEGRATION = "/v1/integration-keys"
THEIRS = sha256(b"their-own-key").hexdigest()


def test_an_issued_key_tells_its_secret_once(admin: Caller, acme: Tenant) -> None:
    made = admin.made(PATH, {"workspace": "acme-search", "name": "Backend", "user": "ana"})
    secret = made.pop("secret")
    assert secret.startswith("tk_")
    assert made["kind"] == "issued"
    assert made["workspace"] == acme.workspace.public_id
    assert made["customer"] == acme.customer.public_id
    assert made["prefix"] == secret[:11]
    assert made["fingerprint"] == sha256(secret.encode()).hexdigest()
    assert admin.get(f"{PATH}/{made['id']}").json == made
    assert authenticate_api_key(secret).workspace_id == acme.workspace.pk


def test_a_fingerprint_of_the_operators_own_key_is_registered(admin: Caller, acme: Tenant) -> None:
    made = admin.made(PATH, {"workspace": "acme-search", "fingerprint": THEIRS.upper()})
    assert (made["kind"], made["fingerprint"], made["secret"]) == ("registered", THEIRS, None)
    assert authenticate_api_key("their-own-key").public_id == made["id"]
    assert [row["id"] for row in admin.get(PATH, fingerprint=THEIRS).json["data"]] == [made["id"]]


def test_a_fingerprint_is_registered_once(admin: Caller, acme: Tenant, stranger: Tenant) -> None:
    admin.made(PATH, {"workspace": "acme-search", "fingerprint": THEIRS})
    answer = admin.post(PATH, {"workspace": "stranger-search", "fingerprint": THEIRS})
    assert (answer.status, answer.error["param"]) == (409, "fingerprint")


@pytest.mark.parametrize("fingerprint", ["", "abc", "g" * 64, "a" * 63, "a" * 65, 5, "tk_secret", "٣" * 64])
def test_a_fingerprint_is_64_hex_digits(admin: Caller, acme: Tenant, fingerprint: object) -> None:
    answer = admin.post(PATH, {"workspace": "acme-search", "fingerprint": fingerprint})
    assert (answer.status, answer.error["param"]) == (400, "fingerprint")
    with pytest.raises(DatabaseError), transaction.atomic():
        ApiKey.objects.create(
            customer=acme.customer,
            workspace=acme.workspace,
            fingerprint=str(fingerprint),
            created_at=acme.customer.created_at,
        )


def test_a_secret_is_never_stored_not_even_for_a_replay(admin: Caller, acme: Tenant) -> None:
    first = admin.made(PATH, {"workspace": "acme-search"}, key="k")
    again = admin.made(PATH, {"workspace": "acme-search"}, key="k")
    assert again == first | {"secret": None}
    kept = IdempotentRequest.objects.get()
    assert first["secret"] not in f"{kept.payload} {kept.response}"


def test_a_key_is_revoked_for_good(admin: Caller, acme: Tenant, at: Clock) -> None:
    made = admin.made(PATH, {"workspace": "acme-search"})
    answer = admin.post(f"{PATH}/{made['id']}/revoke")
    assert (answer.status, answer.json["revoked_at"]) == (200, "2026-03-10T12:00:00Z")
    at.forward(hours=1)
    assert admin.post(f"{PATH}/{made['id']}/revoke").json["revoked_at"] == "2026-03-10T12:00:00Z"
    with pytest.raises(AuthenticationFailed):
        authenticate_api_key(made["secret"])


def test_a_key_expires(admin: Caller, acme: Tenant, at: Clock) -> None:
    made = admin.made(PATH, {"workspace": "acme-search", "expires_at": "2026-03-10T13:00:00Z"})
    at.forward(minutes=59, seconds=59)
    authenticate_api_key(made["secret"])
    at.forward(seconds=1)
    with pytest.raises(AuthenticationFailed):
        authenticate_api_key(made["secret"])
    answer = admin.post(PATH, {"workspace": "acme-search", "expires_at": "2026-03-10T13:00:00Z"})
    assert answer.error["param"] == "expires_at"


def test_a_key_changes_its_name_and_user_but_not_its_workspace(admin: Caller, acme: Tenant) -> None:
    made = admin.made(PATH, {"workspace": "acme-search", "user": "ana"})
    answer = admin.patch(f"{PATH}/{made['id']}", {"name": "Frontend", "user": None})
    assert (answer.json["name"], answer.json["user"]) == ("Frontend", None)
    assert admin.patch(f"{PATH}/{made['id']}", {"workspace": "acme-search"}).status == 400


def test_a_customers_key_opens_no_resource(acme: Tenant, admin: Caller) -> None:
    made = admin.made(PATH, {"workspace": "acme-search"})
    caller = Caller(made["secret"])
    for path in (PATH, "/v1/customers", f"/v1/workspaces/{acme.workspace.public_id}", INTEGRATION):
        answer = caller.get(path)
        assert (answer.status, answer.error["code"]) == (401, "invalid_key")


# Integration keys.


def test_an_integration_key_opens_what_its_scopes_say(admin: Caller, acme: Tenant) -> None:
    made = admin.made(INTEGRATION, {"name": "Dashboard", "scopes": ["read"]})
    assert made["secret"].startswith("tg_")
    program = Caller(made["secret"])
    assert program.get("/v1/customers").status == 200
    assert program.post("/v1/customers", {"name": "x"}).status == 403
    assert admin.patch(f"{INTEGRATION}/{made['id']}", {"scopes": ["read", "admin"]}).status == 200
    assert program.post("/v1/customers", {"name": "x"}).status == 201


def test_only_an_admin_key_sees_or_makes_integration_keys(acme: Tenant) -> None:
    for scopes in (["read"], ["events:write", "charges:write", "read"]):
        program = caller_with(*scopes)
        assert program.get(INTEGRATION).status == 403
        assert program.request("HEAD", INTEGRATION).status == 403
        assert program.post(INTEGRATION, {"name": "x", "scopes": ["admin"]}).status == 403
        row = IntegrationKey.objects.order_by("-pk")[0]
        assert program.post(f"{INTEGRATION}/{row.public_id}/rotate").status == 403
        assert program.patch(f"{INTEGRATION}/{row.public_id}", {"scopes": ["admin"]}).status == 403


@pytest.mark.parametrize(
    "scopes", [[], ["root"], "admin", None, [5], [["admin"]], {"admin": True}, ["admin"] * 9]
)
def test_scopes_are_some_of_those_there_are(admin: Caller, scopes: object) -> None:
    answer = admin.post(INTEGRATION, {"name": "x", "scopes": scopes})
    assert answer.status == 400
    assert (answer.error["param"] or "").startswith("scopes")


def test_both_keys_work_during_a_rotation(admin: Caller, at: Clock) -> None:
    old = admin.made(INTEGRATION, {"name": "Gateway", "scopes": ["read"]})
    new = admin.made(f"{INTEGRATION}/{old['id']}/rotate", {"overlap_seconds": 3600})
    assert (new["name"], new["scopes"], new["rotated_from"]) == ("Gateway", ["read"], old["id"])
    assert admin.get(f"{INTEGRATION}/{old['id']}").json["expires_at"] == "2026-03-10T13:00:00Z"
    before, after = Caller(old["secret"]), Caller(new["secret"])
    assert (before.get("/v1/customers").status, after.get("/v1/customers").status) == (200, 200)
    at.forward(minutes=59, seconds=59)
    assert (before.get("/v1/customers").status, after.get("/v1/customers").status) == (200, 200)
    at.forward(seconds=1)
    assert (before.get("/v1/customers").error["code"], after.get("/v1/customers").status) == (
        "key_ended",
        200,
    )


def test_a_key_is_rotated_once_and_within_a_month(admin: Caller, at: Clock) -> None:
    old = admin.made(INTEGRATION, {"name": "Gateway", "scopes": ["read"]})
    rotate = f"{INTEGRATION}/{old['id']}/rotate"
    for overlap in (-1, 30 * 86400 + 1, "x", 1.5, None):
        assert admin.post(rotate, {"overlap_seconds": overlap}).error["param"] == "overlap_seconds"
    admin.made(rotate, None)
    assert admin.get(f"{INTEGRATION}/{old['id']}").json["expires_at"] == "2026-03-11T12:00:00Z"
    assert admin.post(rotate).error["code"] == "already_rotated"


def test_a_rotation_never_prolongs_a_key(admin: Caller, at: Clock) -> None:
    payload = {"name": "Gateway", "scopes": ["read"], "expires_at": "2026-03-10T12:30:00Z"}
    old = admin.made(INTEGRATION, payload)
    admin.made(f"{INTEGRATION}/{old['id']}/rotate", None)
    assert admin.get(f"{INTEGRATION}/{old['id']}").json["expires_at"] == "2026-03-10T12:30:00Z"


def test_a_revoked_key_is_refused_from_the_next_request_on(admin: Caller) -> None:
    made = admin.made(INTEGRATION, {"name": "Gateway", "scopes": ["read"]})
    program = Caller(made["secret"])
    assert program.get("/v1/customers").status == 200
    assert admin.post(f"{INTEGRATION}/{made['id']}/revoke").status == 200
    answer = program.get("/v1/customers")
    assert (answer.status, answer.error["type"], answer.error["code"]) == (401, "authentication", "key_ended")
    assert admin.post(f"{INTEGRATION}/{made['id']}/rotate").error["code"] == "key_ended"


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "tg_x",
        "Bearer tg_x",
        "Bearer tk_x y",
        "Bearer \x00",
        "Bearer é",
    ],
)
def test_other_headers_are_401(db: None, header: str) -> None:
    answer = Caller().request("GET", "/v1/customers", headers={"Authorization": header})
    assert (answer.status, answer.error["type"]) == (401, "authentication")


def test_a_made_up_secret_is_refused_without_a_query(db: None, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert Caller("tg_" + "0" * 38).get("/v1/customers").status == 401
