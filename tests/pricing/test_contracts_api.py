"""Contracts over HTTP: made of a base, a customer and overrides; listed; and kept to their customer."""

from __future__ import annotations

from typing import Any

import pytest

from pricing.models import PlanVersion
from pricing.plans import apply_plan
from pricing.versions import publish_version
from tests.api_client import Api
from tests.billing.world import Tenant, make_tenant
from tests.pricing.documents import plan_document
from tests.pricing.test_plan_documents_api import error

pytestmark = pytest.mark.django_db

CHEAPER: dict[str, Any] = {"components": {"calls": {"unit_price": "0.005"}}}


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def base() -> PlanVersion:
    return publish_version(apply_plan(plan_document(minimum_spend="10")))


@pytest.fixture
def acme() -> Tenant:
    return make_tenant()


def body(base: PlanVersion, acme: Tenant, **overrides: Any) -> dict[str, Any]:
    return {"base": base.public_id, "customer": acme.customer.public_id, "overrides": overrides}


def test_a_contract_is_made_and_shown_whole(api: Api, base: PlanVersion, acme: Tenant) -> None:
    made = api.make("/v1/plan-versions", **body(base, acme, name="Acme", minimum_spend="500", **CHEAPER))
    assert (made["base"], made["customer"]) == (base.public_id, acme.customer.public_id)
    assert (made["number"], made["status"], made["phase"]) == (1, "published", None)
    assert made["plan_key"] == "pro"
    assert made["content"]["minimum_spend"] == "500"
    assert made["content"]["components"][0]["unit_price"] == "0.005"
    assert api.get(f"/v1/plan-versions/{made['id']}").json() == made
    shown = api.get(f"/v1/plan-versions/{base.public_id}").json()
    assert (shown["base"], shown["customer"], shown["phase"], shown["retired_at"]) == (None, None, None, None)


def test_base_and_customer_are_named_by_any_id(api: Api, base: PlanVersion, acme: Tenant) -> None:
    named = body(base, acme, **CHEAPER) | {"customer": acme.customer.external_id}
    assert api.make("/v1/plan-versions", **named)["customer"] == acme.customer.public_id


def test_the_same_contract_again_is_the_same_version(api: Api, base: PlanVersion, acme: Tenant) -> None:
    first = api.make("/v1/plan-versions", **body(base, acme, **CHEAPER))
    assert api.make("/v1/plan-versions", **body(base, acme, **CHEAPER))["id"] == first["id"]
    headers = {"Idempotency-Key": "c1"}
    kept = [api.post("/v1/plan-versions", body(base, acme, minimum_spend="1"), **headers) for _ in range(2)]
    assert kept[0].json() == kept[1].json()
    other = api.post("/v1/plan-versions", body(base, acme, minimum_spend="2"), **headers)
    assert error(other)[:2] == (409, "idempotency_key_reused")


def test_the_plans_latest_version_is_never_a_contract(api: Api, base: PlanVersion, acme: Tenant) -> None:
    api.make("/v1/plan-versions", **body(base, acme, **CHEAPER))
    assert api.get("/v1/plans/pro").json()["published_version"] == base.public_id
    stranger = make_tenant()
    started = api.make("/v1/subscriptions", billing_entity=stranger.payer.public_id, plan="pro")
    assert started["plan_version"] == base.public_id


def test_only_its_customer_starts_on_it(api: Api, base: PlanVersion, acme: Tenant) -> None:
    contract = api.make("/v1/plan-versions", **body(base, acme, **CHEAPER))["id"]
    stranger = make_tenant()
    refused = api.post(
        "/v1/subscriptions", {"billing_entity": stranger.payer.public_id, "plan_version": contract}
    )
    assert error(refused) == (422, "contract_of_another", "plan_version")
    started = api.make("/v1/subscriptions", billing_entity=acme.payer.public_id, plan_version=contract)
    assert started["plan_version"] == contract


def test_lists_are_filtered_by_customer_and_base(api: Api, base: PlanVersion, acme: Tenant) -> None:
    mine = api.make("/v1/plan-versions", **body(base, acme, **CHEAPER))["id"]
    theirs = api.make("/v1/plan-versions", **body(base, make_tenant(), **CHEAPER))["id"]

    def listed(**params: str) -> list[str]:
        return [version["id"] for version in api.get("/v1/plan-versions", **params).json()["data"]]

    assert listed(customer=acme.customer.public_id) == [mine]
    assert listed(base=base.public_id) == [theirs, mine]
    assert listed(plan="pro") == [theirs, mine, base.public_id]
    assert error(api.get("/v1/plan-versions", base="pv_00000000"))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"overrides": {"components": {"nope": None}}}, (400, "unknown_key", "overrides.components.nope")),
        ({"overrides": {"currency": "EUR"}}, (400, "unknown_key", "overrides.currency")),
        ({"overrides": []}, (400, "not_a_dict", "overrides")),
        ({"customer": "cus_00000000"}, (400, "not_found", "customer")),
        ({"base": "pv_00000000"}, (400, "not_found", "base")),
        ({"plan": "pro"}, (400, "unknown_field", "plan")),
    ],
)
def test_what_does_not_fit_is_said_with_its_path(
    api: Api, base: PlanVersion, acme: Tenant, change: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    assert error(api.post("/v1/plan-versions", body(base, acme, **CHEAPER) | change)) == expected
    assert not PlanVersion.objects.filter(customer=acme.customer).exists()


def test_a_draft_is_no_base(api: Api, acme: Tenant) -> None:
    draft = apply_plan(plan_document())
    assert error(api.post("/v1/plan-versions", body(draft, acme))) == (422, "not_a_base", "base")


def test_making_a_contract_needs_admin(base: PlanVersion, acme: Tenant) -> None:
    assert error(Api("read").post("/v1/plan-versions", body(base, acme)))[:2] == (403, "missing_scope")
