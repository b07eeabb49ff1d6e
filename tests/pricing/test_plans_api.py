"""`/v1/plans` and `/v1/plan-versions` as integrations see them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pricing.models import Plan, PlanVersion
from tests.api_client import Api
from tests.pricing.documents import PER_CALL, plan_document

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> Api:
    return Api("admin")


def error(response: Any) -> tuple[int, str, str | None]:
    """(status, code, param) of an error answer."""
    body = response.json()["error"]
    return response.status_code, body["code"], body["param"]


def test_a_document_makes_a_plan_with_a_draft_which_is_then_published(api: Api) -> None:
    plan = api.make("/v1/plans", **plan_document(name="Pro", family="api"))
    assert re.fullmatch("plan_[0-9a-z]+", plan["id"])
    assert (plan["key"], plan["name"], plan["family"], plan["currency"]) == ("pro", "Pro", "api", "USD")
    assert plan["published_version"] is None
    draft = api.get(f"/v1/plan-versions/{plan['draft_version']}").json()
    assert (draft["plan"], draft["plan_key"], draft["number"], draft["status"]) == (
        plan["id"],
        "pro",
        1,
        "draft",
    )
    assert draft["content"]["components"][0]["unit_price"] == "0.01"
    assert len(draft["content_hash"]) == 64
    published = api.post(f"/v1/plan-versions/{draft['id']}/publish", {})
    assert published.status_code == 200
    assert (published.json()["status"], published.json()["published_at"] is None) == ("published", False)
    shown = api.get("/v1/plans/pro").json()
    assert (shown["published_version"], shown["draft_version"]) == (draft["id"], None)
    assert api.get(f"/v1/plans/{plan['id']}").json() == shown


def test_a_version_is_made_from_a_document_too(api: Api) -> None:
    first = api.make("/v1/plan-versions", **plan_document())
    again = api.make("/v1/plan-versions", **plan_document())
    changed = api.make("/v1/plan-versions", **plan_document(components=[]))
    assert first["id"] == again["id"] == changed["id"]
    assert first["content_hash"] == again["content_hash"] != changed["content_hash"]
    api.post(f"/v1/plan-versions/{first['id']}/publish", {})
    assert api.make("/v1/plan-versions", **plan_document())["number"] == 2
    assert api.make("/v1/plan-versions", **plan_document(components=[]))["status"] == "published"


def test_publishing_twice_is_a_conflict(api: Api) -> None:
    version = api.make("/v1/plan-versions", **plan_document())
    address = f"/v1/plan-versions/{version['id']}/publish"
    assert api.post(address, {}).status_code == 200
    assert error(api.post(address, {})) == (409, "not_a_draft", None)


def test_a_repeated_request_gets_the_first_answer(api: Api) -> None:
    version = api.make("/v1/plan-versions", **plan_document())
    address, headers = f"/v1/plan-versions/{version['id']}/publish", {"Idempotency-Key": "p1"}
    first, second = api.post(address, {}, **headers), api.post(address, {}, **headers)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    made = [api.post("/v1/plans", plan_document("other"), **{"Idempotency-Key": "p2"}) for _ in range(2)]
    assert made[0].json() == made[1].json()
    other = api.post("/v1/plans", plan_document("third"), **{"Idempotency-Key": "p2"})
    assert error(other) == (409, "idempotency_key_reused", "plan")


def test_lists_are_filtered(api: Api) -> None:
    for key, family in (("a", "api"), ("b", "api"), ("c", "web")):
        api.make("/v1/plans", **plan_document(key, family=family))
    plans = api.get("/v1/plans").json()["data"]
    assert [plan["key"] for plan in plans] == ["c", "b", "a"]
    assert [plan["key"] for plan in api.get("/v1/plans", family="api").json()["data"]] == ["b", "a"]
    api.post(f"/v1/plan-versions/{plans[0]['draft_version']}/publish", {})
    published = api.get("/v1/plan-versions", status="published").json()["data"]
    assert [version["plan_key"] for version in published] == ["c"]
    for reference in ("b", plans[1]["id"]):
        assert [
            version["plan_key"] for version in api.get("/v1/plan-versions", plan=reference).json()["data"]
        ] == ["b"]
    assert error(api.get("/v1/plan-versions", plan="nothing")) == (404, "not_found", "plan")
    assert error(api.get("/v1/plans", colour="red"))[:2] == (400, "unknown_parameter")


def test_reading_needs_read_and_writing_needs_admin(api: Api) -> None:
    version = api.make("/v1/plan-versions", **plan_document())
    reader, charger = Api("read"), Api("charges:write")
    assert reader.get("/v1/plans").status_code == 200
    assert reader.get(f"/v1/plan-versions/{version['id']}").status_code == 200
    assert error(charger.get("/v1/plans"))[:2] == (403, "missing_scope")
    assert error(reader.post("/v1/plans", plan_document()))[:2] == (403, "missing_scope")
    assert error(reader.post(f"/v1/plan-versions/{version['id']}/publish", {}))[:2] == (403, "missing_scope")
    assert PlanVersion.objects.get().status == "draft"


def test_a_published_version_cannot_be_changed_or_deleted(api: Api) -> None:
    version = api.make("/v1/plan-versions", **plan_document())
    address = f"/v1/plan-versions/{version['id']}"
    api.post(f"{address}/publish", {})
    for method in (api.client.put, api.client.patch, api.client.delete):
        headers = {"Authorization": f"Bearer {api.secret}"}
        answer = method(address, {}, content_type="application/json", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({}, 400, "required", "plan"),
        ([], 400, "invalid_type", None),
        ({"plan": "pro"}, 400, "required", "currency"),
        ({"plan": 5, "currency": "USD"}, 400, "invalid_type", "plan"),
        ({"plan": "pro", "currency": "usd"}, 400, "unknown_currency", "currency"),
        ({"plan": "pro", "currency": "XXX"}, 400, "unknown_currency", "currency"),
        (plan_document(colour="red"), 400, "unknown_key", "colour"),
        (
            plan_document(components=[PER_CALL | {"unit_price": 0.5}]),
            400,
            "invalid_type",
            "components[0].unit_price",
        ),
        (
            plan_document(components=[PER_CALL | {"unit_price": 5}]),
            400,
            "invalid_type",
            "components[0].unit_price",
        ),
        (plan_document(components=[PER_CALL | {"meter": "x"}]), 400, "unknown_meter", "components[0].meter"),
        (plan_document(meters=[{"key": "calls"}]), 400, "missing_field", "meters[0].aggregation"),
        (plan_document(meters={"key": "calls"}), 400, "invalid_type", "meters"),
        (plan_document(meters=[{"key": "\u0000"}]), 400, "invalid_text", "meters[0].key"),
        (plan_document(name="\ud800"), 400, "invalid_text", "name"),
        (plan_document(name="n" * 201), 400, "invalid_value", "name"),
        (
            {"plans": [{"plan": "a", "currency": "USD"}, {"plan": "b", "currency": "USD"}]},
            400,
            "invalid_value",
            "plan",
        ),
        ({"meters": []}, 400, "invalid_value", "plan"),
    ],
)
def test_what_does_not_fit_is_answered_with_its_path(
    api: Api, body: Any, status: int, code: str, param: str | None
) -> None:
    for address in ("/v1/plans", "/v1/plan-versions"):
        assert error(api.post(address, body)) == (status, code, param)
    assert not Plan.objects.exists()


def test_a_deep_document_is_refused(api: Api) -> None:
    nested: Any = "x"
    for _ in range(60):
        nested = [nested]
    assert api.post("/v1/plans", plan_document(entitlements=nested)).status_code == 400
    assert api.post("/v1/plans", plan_document(entitlements=[{"feature": nested}])).status_code == 400


@pytest.mark.parametrize("reference", ["nothing", "plan_zzzz", "plan_", "plan_\u0000", "pv_1", "%00", "é"])
def test_what_is_not_there_is_not_found(api: Api, reference: str) -> None:
    assert api.get(f"/v1/plans/{reference}").status_code == 404
    assert api.get(f"/v1/plan-versions/{reference}").status_code == 404
    assert api.post(f"/v1/plan-versions/{reference}/publish", {}).status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_list(
    api: Api, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        api.make("/v1/plan-versions", **plan_document(f"plan-{number}"))
    for address in ("/v1/plans", "/v1/plan-versions"):
        with django_assert_max_num_queries(4):
            assert len(api.get(address).json()["data"]) == 12
