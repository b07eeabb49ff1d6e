"""`GET /v1/denials`: refused charges, why, and what they would have cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import BillingEntity
from billing.models import Denial
from billing.wallets import top_up
from core import clock
from metering.models import IdempotencyKey
from tests.api_client import Api
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
_january = standing_at(NOW)


@pytest.fixture
def api() -> Api:
    return Api("charges:write", "events:write", "read")


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="1", overdraft=Decimal(0))


def send(api: Api, tenant: Tenant, key: str, tokens: int = 150, **fields: Any) -> Any:
    body = {
        "idempotency_key": key,
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "properties": {"tokens": tokens},
        **fields,
    }
    return api.post("/v1/charges", body)


def listed(api: Api, **params: str) -> list[dict[str, Any]]:
    answer = api.get("/v1/denials", **params)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def keys(api: Api, **params: str) -> list[str]:
    return [row["idempotency_key"] for row in listed(api, **params)]


def test_a_capture_beyond_its_hold_is_not_blamed_on_the_balance(api: Api, tenant: Tenant) -> None:
    body = {"idempotency_key": "h", "event": "completion", "workspace": tenant.workspace.external_id}
    hold = api.post("/v1/authorizations", body | {"amount": "0.10"}).json()["id"]
    refused = api.post(f"/v1/authorizations/{hold}/capture", {"properties": {"tokens": 11}}).json()
    denial = {name: refused["denial"][name] for name in ("reason", "level", "id", "limit")}
    assert denial == {"reason": "insufficient_funds", "level": "authorization", "id": hold, "limit": "0.1"}
    assert refused["error"]["message"] == "This costs more than is held; `over` may be cap or overdraft."


def test_a_denial_shows_who_was_refused_what_and_why(api: Api, tenant: Tenant) -> None:
    occurred = "2026-01-15T11:30:00Z"
    refused = send(api, tenant, "a", occurred_at=occurred)
    assert refused.status_code == 402
    assert refused.json()["balance"] == {"available": "1", "settled": "1", "held": "0"}
    assert refused.json()["denial"]["id"] == tenant.payer.public_id
    (row,) = listed(api)
    assert row == {
        "id": Denial.objects.get().public_id,
        "billing_entity": tenant.payer.public_id,
        "reason": "insufficient_funds",
        "level": "billing_entity",
        "level_id": tenant.payer.public_id,
        "event": "completion",
        "idempotency_key": "a",
        "expected_amount": "1.5",
        "available": "1",
        "limit": None,
        "used": None,
        "resets_at": None,
        "retryable": False,  # it happened before anything that is topped up now
        "occurred_at": occurred,
        "denied_at": "2026-01-15T12:00:00Z",
    }
    assert api.get(f"/v1/denials/{row['id']}").json() == row


def test_each_refusal_is_a_denial_even_of_the_same_key(api: Api, tenant: Tenant) -> None:
    for _ in range(3):
        assert send(api, tenant, "a").status_code == 402
    assert keys(api) == ["a", "a", "a"]
    assert not IdempotencyKey.objects.exists()
    top_up(tenant.payer, Decimal(1))
    assert send(api, tenant, "a").status_code == 201
    assert send(api, tenant, "a").status_code == 200
    assert keys(api) == ["a", "a", "a"]


def test_what_is_charged_reported_or_wrong_is_no_denial(api: Api, tenant: Tenant) -> None:
    assert send(api, tenant, "a", 100).status_code == 201
    assert send(api, tenant, "b", workspace="nowhere").status_code == 404
    assert send(api, tenant, "a", 101).status_code == 409
    event = {
        "idempotency_key": "c",
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "properties": {"tokens": 9000},
    }
    assert api.post("/v1/events", {"events": [event]}).json()["accepted"] == 1
    assert listed(api) == []


def test_denials_are_filtered_by_payer_reason_and_time(api: Api, tenant: Tenant) -> None:
    none = make_tenant(None, balance="5")
    send(api, tenant, "poor")
    clock.use(lambda: NOW + timedelta(hours=1))
    send(api, none, "no price")
    clock.use(lambda: NOW + timedelta(hours=2))
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="suspended")
    send(api, tenant, "suspended", 1)
    assert keys(api) == ["suspended", "no price", "poor"]
    assert keys(api, billing_entity=tenant.payer.public_id) == ["suspended", "poor"]
    assert keys(api, billing_entity=str(none.payer.external_id)) == ["no price"]
    assert keys(api, reason="no_subscription") == ["no price"]
    assert keys(api, reason="suspended", billing_entity=none.payer.public_id) == []
    assert keys(api, denied_from="2026-01-15T13:00:00Z") == ["suspended", "no price"]
    assert keys(api, denied_to="2026-01-15T13:00:00Z") == ["poor"]
    assert keys(api, denied_from="2026-01-15T13:00:00Z", denied_to="2026-01-15T14:00:00Z") == ["no price"]
    assert [row["expected_amount"] for row in listed(api)] == ["0.01", "0", "1.5"]


def test_denials_come_in_pages(api: Api, tenant: Tenant) -> None:
    for number in range(5):
        send(api, tenant, str(number))
    first = api.get("/v1/denials", limit="3").json()
    assert first["has_more"]
    assert keys(api, limit="3", cursor=first["next_cursor"]) == ["1", "0"]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"billing_entity": "be_nobody"}, 404),
        ({"reason": "poverty"}, 400),
        ({"denied_from": "yesterday"}, 400),
        ({"denied_to": "2026-01-15T13:00:00"}, 400),
        ({"payer": "x"}, 400),
        ({"cursor": "\x00"}, 400),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(api: Api, params: dict[str, str], status: int) -> None:
    assert api.get("/v1/denials", **params).status_code == status


def test_denials_are_read_with_the_scope_and_never_written(tenant: Tenant) -> None:
    assert Api("charges:write").get("/v1/denials").status_code == 403
    admin = Api("admin")
    assert admin.get("/v1/denials").status_code == 200
    assert admin.post("/v1/denials", {"reason": "suspended"}).status_code == 405
    assert admin.get("/v1/denials/den_zzzzzzzz").status_code == 404
