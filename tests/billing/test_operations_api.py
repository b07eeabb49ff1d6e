"""`/v1/top-ups`, `/v1/credit-grants`, `/v1/adjustments`: money moved by people over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys import issue_api_key
from accounts.models import BillingEntity
from billing.models import Adjustment, CreditGrant, LedgerAccount, TopUp
from core import clock
from tests.api_client import Api
from tests.billing.world import Tenant, balance, make_tenant
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PATHS = {
    "/v1/top-ups": {"amount": "5"},
    "/v1/credit-grants": {"amount": "5"},
    "/v1/adjustments": {"amount": "5", "reason": "An outage"},
}
EVERY_PATH = pytest.mark.parametrize("path", list(PATHS))
_january = standing_at(NOW)


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant(None)


def body(path: str, tenant: Tenant, **fields: Any) -> dict[str, Any]:
    return {"billing_entity": tenant.payer.external_id, **PATHS[path], **fields}


def refused(response: Any) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["param"]


def rows() -> int:
    return TopUp.objects.count() + CreditGrant.objects.count() + Adjustment.objects.count()


def test_a_top_up_shows_all_that_it_was(api: Api, tenant: Tenant) -> None:
    sent = {"amount": "2000.50", "price": "25.00", "price_currency": "EUR", "reference": "PO-7"}
    made = api.make("/v1/top-ups", **body("/v1/top-ups", tenant, **sent, expires_at="2027-01-01T00:00:00Z"))
    grant = CreditGrant.objects.get()
    assert made == {
        "id": TopUp.objects.get().public_id,
        "billing_entity": tenant.payer.public_id,
        "amount": "2000.5",
        "created_at": "2026-01-15T12:00:00Z",
        "grant": grant.public_id,
        "price": "25",
        "price_currency": "EUR",
        "reference": "PO-7",
        "created_by": api.key.public_id,
    }
    assert grant.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert api.get(f"/v1/top-ups/{made['id']}").json() == made
    assert balance(tenant) == Decimal("2000.5")


def test_a_grant_shows_all_that_it_is(api: Api, tenant: Tenant) -> None:
    sent = {
        "amount": "10",
        "kind": "paid",
        "name": "Welcome",
        "priority": 7,
        "components": ["img", "tok"],
        "cost_basis": "0.010",
        "effective_at": "2026-02-01T00:00:00+01:00",
        "expires_at": "2026-03-01T00:00:00Z",
    }
    made = api.make("/v1/credit-grants", **body("/v1/credit-grants", tenant, **sent))
    assert made == {
        "id": CreditGrant.objects.get().public_id,
        "billing_entity": tenant.payer.public_id,
        "created_at": "2026-01-15T12:00:00Z",
        "remaining": "10",
        "expired_at": None,
        **sent,
        "cost_basis": "0.01",
        "effective_at": "2026-01-31T23:00:00Z",
    }
    assert api.get(f"/v1/credit-grants/{made['id']}").json() == made
    assert balance(tenant) == 0


def test_a_grant_of_an_amount_alone_is_promotional_and_effective_now(api: Api, tenant: Tenant) -> None:
    made = api.make("/v1/credit-grants", **body("/v1/credit-grants", tenant))
    assert (made["kind"], made["priority"], made["components"]) == ("promotional", 50, [])
    assert (made["effective_at"], made["expires_at"]) == ("2026-01-15T12:00:00Z", None)
    assert balance(tenant) == 5


def test_an_adjustment_takes_out_and_puts_in(api: Api, tenant: Tenant) -> None:
    made = api.make("/v1/adjustments", **body("/v1/adjustments", tenant, amount="-1.50"))
    assert made == {
        "id": Adjustment.objects.get().public_id,
        "billing_entity": tenant.payer.public_id,
        "amount": "-1.5",
        "created_at": "2026-01-15T12:00:00Z",
        "reason": "An outage",
        "created_by": api.key.public_id,
    }
    api.make("/v1/adjustments", **body("/v1/adjustments", tenant, amount="4"))
    assert balance(tenant) == Decimal("2.5")
    assert api.get(f"/v1/adjustments/{made['id']}").json() == made


@EVERY_PATH
def test_a_payer_is_named_by_either_id(api: Api, tenant: Tenant, path: str) -> None:
    for name in (tenant.payer.public_id, str(tenant.payer.external_id)):
        made = api.make(path, **body(path, tenant, billing_entity=name))
        assert made["billing_entity"] == tenant.payer.public_id
    assert balance(tenant) == 10


@EVERY_PATH
def test_the_same_key_again_moves_money_once_and_gets_the_first_answer(
    api: Api, tenant: Tenant, path: str
) -> None:
    first = api.post(path, body(path, tenant), **{"Idempotency-Key": "k"})
    again = api.post(path, body(path, tenant, amount="5.00"), **{"Idempotency-Key": "k"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert balance(tenant) == 5
    other = api.post(path, body(path, tenant), **{"Idempotency-Key": "k2"})
    assert other.json()["id"] != first.json()["id"]
    assert balance(tenant) == 10


@EVERY_PATH
def test_the_same_key_for_another_body_is_a_conflict_that_names_the_field(
    api: Api, tenant: Tenant, path: str
) -> None:
    api.post(path, body(path, tenant), **{"Idempotency-Key": "k"})
    answer = api.post(path, body(path, tenant, amount="5.01"), **{"Idempotency-Key": "k"})
    assert refused(answer) == (409, "idempotency_key_reused", "amount")
    assert balance(tenant) == 5


def test_a_key_is_one_operations(api: Api, tenant: Tenant) -> None:
    for path in PATHS:
        assert api.post(path, body(path, tenant), **{"Idempotency-Key": "k"}).status_code == 201
    assert balance(tenant) == 15


@EVERY_PATH
def test_a_refused_body_uses_no_key_up(api: Api, tenant: Tenant, path: str) -> None:
    assert api.post(path, body(path, tenant, amount="0"), **{"Idempotency-Key": "k"}).status_code == 400
    assert api.post(path, body(path, tenant), **{"Idempotency-Key": "k"}).status_code == 201
    assert balance(tenant) == 5


@EVERY_PATH
def test_without_a_key_each_request_moves_money(api: Api, tenant: Tenant, path: str) -> None:
    api.make(path, **body(path, tenant)), api.make(path, **body(path, tenant))
    assert balance(tenant) == 10


@EVERY_PATH
@pytest.mark.parametrize(
    "amount",
    [
        "0",
        "0.000000000000000000",
        "",
        " 5",
        "five",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1" * 21,
        "0." + "0" * 18 + "1",
        "5,00",
        "\u0665",
        "5\x00",
        True,
        None,
        [],
        {},
        ["5"],
        1.5,
    ],
)
def test_an_amount_that_is_none_is_refused(api: Api, tenant: Tenant, path: str, amount: Any) -> None:
    answer = api.post(path, body(path, tenant, amount=amount))
    assert answer.status_code == 400, answer.content
    assert answer.json()["error"]["param"] == "amount"
    assert (rows(), LedgerAccount.objects.count()) == (0, 0)


@pytest.mark.parametrize("path", ["/v1/top-ups", "/v1/credit-grants"])
def test_credit_of_less_than_nothing_is_refused(api: Api, tenant: Tenant, path: str) -> None:
    assert refused(api.post(path, body(path, tenant, amount="-5")))[::2] == (400, "amount")


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("/v1/top-ups", "price", "-1"),
        ("/v1/top-ups", "price", "x"),
        ("/v1/top-ups", "price_currency", "EURO"),
        ("/v1/top-ups", "reference", "x" * 201),
        ("/v1/top-ups", "reference", "a\x00b"),
        ("/v1/top-ups", "expires_at", "2026-01-15T12:00:00Z"),
        ("/v1/top-ups", "expires_at", "tomorrow"),
        ("/v1/top-ups", "expires_at", "2027-01-01T00:00:00"),
        ("/v1/top-ups", "refrence", "PO-7"),
        ("/v1/top-ups", "kind", "promotional"),
        ("/v1/credit-grants", "kind", "gift"),
        ("/v1/credit-grants", "priority", -1),
        ("/v1/credit-grants", "priority", 1001),
        ("/v1/credit-grants", "priority", "high"),
        ("/v1/credit-grants", "name", "x" * 201),
        ("/v1/credit-grants", "cost_basis", "-0.01"),
        ("/v1/credit-grants", "components", "img"),
        ("/v1/credit-grants", "components", ["a"] * 101),
        ("/v1/credit-grants", "effective_at", "9999-99-99T00:00:00Z"),
        ("/v1/credit-grants", "expires_at", "2026-01-15T11:59:59Z"),
        ("/v1/credit-grants", "remaining", "5"),
        ("/v1/adjustments", "reason", ""),
        ("/v1/adjustments", "reason", "  "),
        ("/v1/adjustments", "reason", "x" * 1001),
        ("/v1/adjustments", "reason", None),
        ("/v1/adjustments", "reason", 5),
    ],
)
def test_a_field_that_makes_no_sense_is_refused_by_its_name(
    api: Api, tenant: Tenant, path: str, field: str, value: Any
) -> None:
    answer = api.post(path, body(path, tenant, **{field: value}))
    status, _, param = refused(answer)
    assert (status, str(param).split(".")[0]) == (400, field), answer.content
    assert (rows(), LedgerAccount.objects.count()) == (0, 0)


def test_an_adjustment_needs_a_reason(api: Api, tenant: Tenant) -> None:
    answer = api.post("/v1/adjustments", {"billing_entity": tenant.payer.public_id, "amount": "1"})
    assert refused(answer)[::2] == (400, "reason")


@EVERY_PATH
@pytest.mark.parametrize("name", ["be_nobody", "be_00000zzz", "", "\x00", "x" * 900])
def test_a_payer_that_there_is_not_is_refused(api: Api, tenant: Tenant, path: str, name: str) -> None:
    status, _, param = refused(api.post(path, body(path, tenant, billing_entity=name)))
    assert status in (400, 404, 422)
    assert param == "billing_entity"
    assert rows() == 0


@EVERY_PATH
@pytest.mark.parametrize("raw", ["", "[]", "null", '"x"', "{", "7"])
def test_what_is_no_object_is_refused(api: Api, path: str, raw: str) -> None:
    assert api.post(path, raw).status_code == 400
    assert rows() == 0


@EVERY_PATH
def test_a_closed_payer_is_refused_and_a_suspended_one_is_not(api: Api, tenant: Tenant, path: str) -> None:
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="suspended")
    assert api.post(path, body(path, tenant)).status_code == 201
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="closed")
    assert refused(api.post(path, body(path, tenant))) == (403, "closed", "billing_entity")
    assert balance(tenant) == 5


@EVERY_PATH
def test_moving_money_needs_admin_and_reading_needs_read(tenant: Tenant, path: str) -> None:
    for scope in ("read", "charges:write", "events:write"):
        assert Api(scope).post(path, body(path, tenant)).status_code == 403
    assert Api("charges:write").get(path).status_code == 403
    assert Api("read").get(path).status_code == 200
    assert rows() == 0


@EVERY_PATH
def test_a_customers_own_key_and_no_key_move_nothing(api: Api, tenant: Tenant, path: str) -> None:
    secret = issue_api_key(workspace=tenant.workspace, name="Own").secret
    for authorization in (f"Bearer {secret}", "Bearer tg_nonsense", "", "Basic Zm9vOmJhcg=="):
        answer = api.post(path, body(path, tenant), Authorization=authorization)
        assert answer.status_code == 401
    assert rows() == 0


@EVERY_PATH
def test_the_list_shows_the_newest_first_and_one_payers_alone(api: Api, tenant: Tenant, path: str) -> None:
    other = make_tenant(None)
    mine = [api.make(path, **body(path, tenant))["id"] for _ in range(3)]
    theirs = api.make(path, **body(path, other))["id"]

    def listed(**params: str) -> list[str]:
        answer = api.get(path, **params)
        assert answer.status_code == 200, answer.content
        return [row["id"] for row in answer.json()["data"]]

    assert listed() == [theirs, *mine[::-1]]
    assert listed(billing_entity=str(tenant.payer.external_id)) == mine[::-1]
    assert listed(billing_entity=other.payer.public_id) == [theirs]
    assert listed(billing_entity=make_tenant(None).payer.public_id) == []
    page = api.get(path, limit="3").json()
    assert page["has_more"]
    assert listed(limit="3", cursor=page["next_cursor"]) == [mine[0]]


@EVERY_PATH
@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"billing_entity": "be_nobody"}, 404),
        ({"billing_entity": "\x00"}, 400),
        ({"payer": "x"}, 400),
        ({"limit": "0"}, 400),
        ({"cursor": "x"}, 400),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    api: Api, path: str, params: dict[str, str], status: int
) -> None:
    assert api.get(path, **params).status_code == status


@EVERY_PATH
@pytest.mark.parametrize("name", ["x", "be_00000001", "grt_zzzzzzzz", "top_zzzzzzzz", "%00"])
def test_what_there_is_not_is_404(api: Api, path: str, name: str) -> None:
    assert api.get(f"{path}/{name}").status_code == 404


@EVERY_PATH
def test_what_was_written_is_neither_changed_nor_removed(api: Api, tenant: Tenant, path: str) -> None:
    made = api.make(path, **body(path, tenant))
    address, headers = f"{path}/{made['id']}", {"Authorization": f"Bearer {api.secret}"}
    for method in (api.client.patch, api.client.put, api.client.delete):
        answer = method(address, "{}", content_type="application/json", headers=headers)
        assert answer.status_code == 405
    assert balance(tenant) == 5


def test_a_grant_shows_what_remains_and_when_it_ended(api: Api, tenant: Tenant) -> None:
    sent = {"amount": "5", "expires_at": "2026-01-16T12:00:00Z"}
    made = api.make("/v1/credit-grants", **body("/v1/credit-grants", tenant, **sent))
    api.make("/v1/adjustments", **body("/v1/adjustments", tenant, amount="-1.25"))
    assert api.get(f"/v1/credit-grants/{made['id']}").json()["remaining"] == "3.75"
    clock.use(lambda: NOW + timedelta(days=1))
    api.make("/v1/top-ups", **body("/v1/top-ups", tenant))
    shown = api.get(f"/v1/credit-grants/{made['id']}").json()
    assert (shown["remaining"], shown["expired_at"]) == ("0", "2026-01-16T12:00:00Z")
