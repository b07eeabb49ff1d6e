"""`/v1/subscriptions` as integrations see them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Transfer
from core import clock
from pricing.models import PlanVersion, Subscription
from pricing.plans import apply_plan, publish_version
from tests.api_client import Api
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
SEATS = {"key": "seats", "unit_amount": "10.00"}
ADDRESS = "/v1/subscriptions"
_january = standing_at(NOW)


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def version() -> PlanVersion:
    """A published version that prices tokens and takes a number of seats."""
    make_meter()
    return make_version([PER_TOKEN], base_fees=[SEATS])


@pytest.fixture
def tenant() -> Tenant:
    return make_tenant(balance="100")


def error(response: Any) -> tuple[int, str, str | None]:
    """(status, code, param) of an error answer."""
    body = response.json()["error"]
    return response.status_code, body["code"], body["param"]


def test_a_subscription_starts_and_is_read_back(api: Api, tenant: Tenant, version: PlanVersion) -> None:
    made = api.make(
        ADDRESS,
        billing_entity=tenant.payer.external_id,
        plan_version=version.public_id,
        external_id="s1",
        starts_at="2026-01-10T01:00:00+01:00",
        quantities={"seats": "2.50"},
    )
    assert re.fullmatch("sub_[0-9a-z]+", made["id"])
    assert made == made | {
        "customer": tenant.customer.public_id,
        "billing_entity": tenant.payer.public_id,
        "plan": version.plan.public_id,
        "plan_version": version.public_id,
        "external_id": "s1",
        "status": "active",
        "starts_at": "2026-01-10T00:00:00Z",
        "ends_at": None,
        "anchor_at": "2026-01-10T00:00:00Z",
        "quantities": {"seats": "2.5"},
        "created_at": "2026-01-15T12:00:00Z",
    }
    for reference in (made["id"], "s1"):
        assert api.get(f"{ADDRESS}/{reference}").json() == made


def test_a_plan_stands_for_its_newest_published_version(
    api: Api, tenant: Tenant, version: PlanVersion
) -> None:
    second = publish_version(apply_plan({"plan": version.plan.key, "currency": "USD", "name": "Second"}))
    apply_plan({"plan": version.plan.key, "currency": "USD", "name": "Draft"})
    for reference in (version.plan.key, version.plan.public_id):
        made = api.make(ADDRESS, billing_entity=tenant.payer.public_id, plan=reference)
        assert made["plan_version"] == second.public_id


def test_its_first_charge_follows_at_once(api: Api, tenant: Tenant, version: PlanVersion) -> None:
    event = {"idempotency_key": "a", "event": "completion", "workspace": tenant.workspace.external_id}
    event["properties"] = {"tokens": 100}  # type: ignore[assignment]
    assert api.post("/v1/charges", event).status_code == 402
    api.make(ADDRESS, billing_entity=tenant.payer.public_id, plan_version=version.public_id)
    charged = api.post("/v1/charges", event)
    assert (charged.status_code, charged.json()["amount"]) == (201, "1")


def test_a_cancellation_takes_an_instant_or_is_now(api: Api, tenant: Tenant, version: PlanVersion) -> None:
    body = {"billing_entity": tenant.payer.public_id, "plan_version": version.public_id}
    first = api.make(ADDRESS, **body)
    later = api.post(f"{ADDRESS}/{first['id']}/cancel", {"at": "2026-02-01T00:00:00Z"})
    assert (later.status_code, later.json()["status"], later.json()["ends_at"]) == (
        200,
        "canceled",
        "2026-02-01T00:00:00Z",
    )
    second = api.make(ADDRESS, **body, starts_at="2026-02-01T00:00:00Z")
    clock.use(lambda: datetime(2026, 2, 2, tzinfo=UTC))
    address = f"{ADDRESS}/{second['id']}/cancel"
    assert api.post(address, {}).json()["ends_at"] == "2026-02-02T00:00:00Z"
    assert error(api.post(address, {})) == (409, "not_active", None)


def test_a_repeated_start_gets_the_first_answer(api: Api, tenant: Tenant, version: PlanVersion) -> None:
    body = {
        "billing_entity": tenant.payer.public_id,
        "plan_version": version.public_id,
        "quantities": {"seats": "1"},
    }
    headers = {"Idempotency-Key": "k"}
    answers = [api.post(ADDRESS, body, **headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (
        Transfer.objects.filter(reason="base_fee", destination="revenue").values("seq").distinct().count()
        == 1
    )


def test_lists_are_filtered(api: Api, version: PlanVersion) -> None:
    tenants = [make_tenant(), make_tenant()]
    for tenant in tenants:
        api.make(ADDRESS, billing_entity=tenant.payer.public_id, plan_version=version.public_id)
    assert len(api.get(ADDRESS).json()["data"]) == 2
    first = tenants[0]
    for name, value in (
        ("billing_entity", first.payer.external_id),
        ("customer", first.customer.public_id),
    ):
        [found] = api.get(ADDRESS, **{name: str(value)}).json()["data"]
        assert found["billing_entity"] == first.payer.public_id
    for name, value in (
        ("plan", version.plan.key),
        ("plan_version", version.public_id),
        ("status", "active"),
    ):
        assert len(api.get(ADDRESS, **{name: value}).json()["data"]) == 2
    assert api.get(ADDRESS, status="ended").json()["data"] == []
    assert error(api.get(ADDRESS, status="gone"))[0] == 400
    assert error(api.get(ADDRESS, plan="nothing")) == (404, "not_found", "plan")


def test_reading_needs_read_and_writing_needs_admin(tenant: Tenant, version: PlanVersion) -> None:
    body = {"billing_entity": tenant.payer.public_id, "plan_version": version.public_id}
    assert Api("read").get(ADDRESS).status_code == 200
    assert Api("charges:write").get(ADDRESS).status_code == 403
    assert Api("read", "charges:write").post(ADDRESS, body).status_code == 403
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"billing_entity": "nobody"}, 404, "not_found", "billing_entity"),
        ({"billing_entity": 5}, 400, "invalid", "billing_entity"),
        ({"billing_entity": None}, 400, "null", "billing_entity"),
        ({"plan_version": "pv_zzzz"}, 404, "not_found", "plan_version"),
        ({"plan_version": None}, 400, "null", "plan_version"),
        ({"plan": "nothing"}, 404, "not_found", "plan"),
        ({"plan": ["x"]}, 400, "invalid", "plan"),
        ({"starts_at": "2026-01-10"}, 400, "invalid_instant", "starts_at"),
        ({"starts_at": "1026-01-10T00:00:00Z"}, 400, "out_of_range", "starts_at"),
        ({"ends_at": "2026-01-10T00:00:00Z"}, 400, "invalid_period", "ends_at"),
        ({"quantities": {"seats": 2}}, 400, "invalid_type", "quantities.seats"),
        ({"quantities": {"seats": "NaN"}}, 400, "invalid_decimal", "quantities.seats"),
        ({"quantities": {"seats": "1" * 40}}, 400, "number_out_of_range", "quantities.seats"),
        ({"quantities": {"desks": "2"}}, 422, "unknown_quantity", "quantities.desks"),
        ({"quantities": []}, 400, "not_a_dict", "quantities"),
        ({"external_id": ""}, 400, "blank", "external_id"),
        ({"external_id": "x\u0000"}, 400, "invalid_text", "external_id"),
        ({"seats": "2"}, 400, "unknown_field", "seats"),
    ],
)
def test_what_does_not_fit_is_answered_with_its_path(
    api: Api, tenant: Tenant, version: PlanVersion, change: dict[str, Any], status: int, code: str, param: str
) -> None:
    body: dict[str, Any] = {
        "billing_entity": tenant.payer.public_id,
        "plan_version": version.public_id,
    } | change
    if "plan" in change:
        del body["plan_version"]
    answer = error(api.post(ADDRESS, body))
    assert answer[1:] == (code, param)
    assert answer[0] in {status, 400}
    assert not Subscription.objects.exists()


def test_one_of_plan_and_version_must_be_given(api: Api, tenant: Tenant, version: PlanVersion) -> None:
    body = {"billing_entity": tenant.payer.public_id}
    assert error(api.post(ADDRESS, body)) == (400, "required", "plan_version")
    both = body | {"plan": version.plan.key, "plan_version": version.public_id}
    assert error(api.post(ADDRESS, both)) == (400, "required", "plan_version")
    draft = apply_plan({"plan": "draft", "currency": "USD"})
    assert error(api.post(ADDRESS, body | {"plan": "draft"}))[1:] == ("nothing_published", "plan")
    assert error(api.post(ADDRESS, body | {"plan_version": draft.public_id})) == (
        422,
        "not_published",
        "plan_version",
    )


def test_what_stands_against_it_is_a_conflict_or_unprocessable(
    api: Api, tenant: Tenant, version: PlanVersion
) -> None:
    body = {"billing_entity": tenant.payer.public_id, "plan_version": version.public_id}
    api.make(ADDRESS, **body)
    assert error(api.post(ADDRESS, body)) == (409, "meter_priced_already", "plan_version")
    euros = publish_version(apply_plan({"plan": "euros", "currency": "EUR"}))
    other = body | {"plan_version": euros.public_id}
    assert error(api.post(ADDRESS, other)) == (422, "currency_mismatch", "plan_version")
    closed = make_tenant(status="closed")
    assert error(api.post(ADDRESS, body | {"billing_entity": closed.payer.public_id}))[:2] == (403, "closed")


def test_run_due_books_the_fees_of_the_instant_it_is_told(
    api: Api, tenant: Tenant, version: PlanVersion
) -> None:
    api.make(ADDRESS, billing_entity=tenant.payer.public_id, plan_version=version.public_id)
    call_command("run_due", now="2026-03-01T00:00:00Z")
    fees = Transfer.objects.filter(reason="base_fee", destination="revenue").values("seq").distinct()
    assert fees.count() == 3
