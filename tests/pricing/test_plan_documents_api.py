"""Plan documents over HTTP: validated, compared, applied as JSON or as a file's text, exported, retired."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from billing.subscriptions import start_subscription
from core import clock
from pricing.catalog.schema import plan_file_schema
from pricing.models import Plan, PlanVersion
from pricing.plans import apply_plan
from pricing.versions import publish_version
from tests.api_client import Api
from tests.billing.world import make_tenant
from tests.pricing.documents import FULL_PLAN, PER_CALL, TOKENS, plan_document

pytestmark = pytest.mark.django_db

FILE = """\
meters:
  - {key: calls, event: call, aggregation: count}
---
plan: pro
currency: USD
components:
  - {key: calls, meter: calls, model: per_unit, unit_price: "0.01"}
"""


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def published() -> Iterator[PlanVersion]:
    """pro v1 with one running subscription and a fee of 49."""
    clock.use(lambda: datetime(2026, 3, 10, tzinfo=UTC))
    document = plan_document(base_fees=[{"key": "platform", "amount": "49"}])
    version = publish_version(apply_plan(document))
    start_subscription(make_tenant(settlement="invoice_only").payer, version)
    yield version
    clock.use(None)


def error(response: Any) -> tuple[int, str, str | None]:
    """(status, code, param) of an error answer."""
    body = response.json()["error"]
    return response.status_code, body["code"], body["param"]


def test_a_valid_document_is_valid_and_nothing_is_stored(api: Api) -> None:
    answer = api.post("/v1/plans/validate", plan_document())
    assert (answer.status_code, answer.json()) == (200, {"valid": True, "problems": [], "notes": []})
    assert api.post("/v1/plans/validate", {"yaml": FILE}).json()["valid"] is True
    assert not Plan.objects.exists()


def test_every_problem_is_said_with_its_place(api: Api) -> None:
    text = FILE.replace('"0.01"', "0.01") + "---\nplan: team\ncurrency: USD\ncolour: red\n"
    found = api.post("/v1/plans/validate", {"yaml": text}).json()
    assert found["valid"] is False
    assert [(problem["code"], problem["param"], problem["line"]) for problem in found["problems"]] == [
        ("invalid_type", "components[0].unit_price", 7)
    ]
    text = text.replace("unit_price: 0.01", 'unit_price: "x"')
    found = api.post("/v1/plans/validate", {"yaml": text}).json()
    assert [(problem["code"], problem["param"], problem["line"]) for problem in found["problems"]] == [
        ("invalid_decimal", "components[0].unit_price", 7),
        ("unknown_key", "colour", 11),
    ]
    assert "known are: anchor, base_fees" in found["problems"][1]["message"]
    found = api.post("/v1/plans/validate", plan_document(components=[PER_CALL | {"unit_price": 5}])).json()
    assert [(problem["param"], problem["line"]) for problem in found["problems"]] == [
        ("components[0].unit_price", None)
    ]


def test_a_meter_that_the_document_lacks_is_noted(api: Api) -> None:
    found = api.post("/v1/plans/validate", plan_document(meters=[])).json()
    assert found["valid"] is True
    assert [(note["code"], note["param"]) for note in found["notes"]] == [
        ("unknown_meter", "components[0].meter")
    ]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"yaml": FILE, "plan": "pro"}, "not_applicable", "plan"),
        ({"yaml": 5}, "invalid_type", "yaml"),
        ([], "invalid_type", None),
    ],
)
def test_a_body_that_is_no_document_is_refused(api: Api, body: Any, code: str, param: str | None) -> None:
    for path in ("/v1/plans/validate", "/v1/plans/diff", "/v1/plans"):
        assert error(api.post(path, body)) == (400, code, param)


def test_a_files_text_is_applied_like_its_document(api: Api) -> None:
    plan = api.make("/v1/plans", yaml=FILE)
    same = api.make("/v1/plans", **plan_document())
    assert plan["draft_version"] == same["draft_version"] is not None
    version = api.make("/v1/plan-versions", yaml=FILE)
    assert version["id"] == plan["draft_version"]
    two = {"yaml": FILE + "---\nplan: team\ncurrency: USD\n"}
    assert error(api.post("/v1/plans", two)) == (400, "invalid_value", "plan")
    assert error(api.post("/v1/plans", {"yaml": "plan: ["}))[1] == "invalid_yaml"


def test_a_diff_says_what_changes_and_for_whom(api: Api, published: PlanVersion) -> None:
    new = plan_document(base_fees=[{"key": "platform", "amount": "59"}], meters=[])
    answer = api.post("/v1/plans/diff", new)
    assert answer.status_code == 200
    assert answer.json() == {
        "has_changes": True,
        "plans": [
            {
                "plan": "pro",
                "currency": "USD",
                "against": published.public_id,
                "against_number": 1,
                "subscriptions": 1,
                "subscriptions_elsewhere": 0,
                "revenue": "49",
                "changes": [
                    {
                        "path": "base_fees.platform.amount",
                        "kind": "changed",
                        "old": "49",
                        "new": "59",
                        "subscriptions": 1,
                        "revenue": "49",
                    }
                ],
            }
        ],
        "others": [],
    }
    assert PlanVersion.objects.get() == published


def test_a_diff_of_several_plans_may_be_asked_for_at_once(api: Api, published: PlanVersion) -> None:
    text = FILE + '---\nplan: team\ncurrency: USD\nminimum_spend: "5"\n'
    found = api.post("/v1/plans/diff", {"yaml": text}).json()
    assert [(plan["plan"], plan["against_number"]) for plan in found["plans"]] == [("pro", 1), ("team", None)]
    assert error(api.post("/v1/plans/diff", plan_document(currency="EUR"))) == (
        400,
        "currency_fixed",
        "currency",
    )


def test_validating_and_comparing_need_read_and_store_nothing(published: PlanVersion) -> None:
    reader, charger = Api("read"), Api("charges:write")
    for path in ("/v1/plans/validate", "/v1/plans/diff"):
        assert reader.post(path, plan_document()).status_code == 200
        assert error(charger.post(path, plan_document()))[:2] == (403, "missing_scope")
        assert reader.get(path).status_code == 405
    assert error(reader.post("/v1/plans", plan_document()))[:2] == (403, "missing_scope")
    assert PlanVersion.objects.get() == published


def test_an_export_applies_unchanged(api: Api) -> None:
    version = api.make("/v1/plan-versions", **FULL_PLAN, meters=[TOKENS, plan_document()["meters"][0]])
    api.post(f"/v1/plan-versions/{version['id']}/publish", {})
    text = Api("read").get(f"/v1/plan-versions/{version['id']}/export").json()["yaml"]
    assert api.post("/v1/plans/diff", {"yaml": text}).json()["has_changes"] is False
    assert api.make("/v1/plan-versions", yaml=text)["id"] == version["id"]
    assert error(api.get("/v1/plan-versions/pv_00000000/export"))[:2] == (404, "not_found")


def test_a_version_is_retired_once(api: Api, published: PlanVersion) -> None:
    address = f"/v1/plan-versions/{published.public_id}"
    first = api.post(f"{address}/retire", {}, **{"Idempotency-Key": "r"})
    assert (first.status_code, first.json()["status"]) == (200, "retired")
    assert first.json()["retired_at"] == "2026-03-10T00:00:00Z"
    assert api.post(f"{address}/retire", {}, **{"Idempotency-Key": "r"}).json() == first.json()
    assert error(api.post(f"{address}/retire", {})) == (409, "not_published", None)
    assert error(api.post(f"{address}/publish", {})) == (409, "not_a_draft", None)
    assert error(Api("read").post(f"{address}/retire", {}))[:2] == (403, "missing_scope")
    assert api.get("/v1/plans/pro").json()["published_version"] is None
    body = {"billing_entity": make_tenant().payer.public_id, "plan": "pro"}
    assert error(api.post("/v1/subscriptions", body))[:2] == (400, "nothing_published")


def test_several_plans_are_applied_all_or_nothing(api: Api) -> None:
    text = FILE + '---\nplan: team\ncurrency: USD\ncoupons:\n  - {key: launch, percent: "20"}\n'
    headers = {"Idempotency-Key": "a"}
    answer = api.post("/v1/plans/apply", {"yaml": text}, **headers)
    drafts = {version.plan.key: version.public_id for version in PlanVersion.objects.select_related("plan")}
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "results": [
                {"noun": "meter", "key": "calls", "action": "created", "version": None},
                {"noun": "coupon", "key": "launch", "action": "created", "version": None},
                {"noun": "plan", "key": "pro", "action": "created", "version": drafts["pro"]},
                {"noun": "plan", "key": "team", "action": "created", "version": drafts["team"]},
            ]
        },
    )
    assert api.post("/v1/plans/apply", {"yaml": text}, **headers).json() == answer.json()
    again = api.post("/v1/plans/apply", {"yaml": text}).json()["results"]
    assert {result["action"] for result in again} == {"unchanged"}
    wrong = text.replace("plan: team", "plan: other").replace("USD\ncoupons", "XXY\ncoupons")
    assert error(api.post("/v1/plans/apply", {"yaml": wrong})) == (400, "unknown_currency", "currency")
    assert Plan.objects.count() == 2
    assert error(Api("read").post("/v1/plans/apply", {"yaml": text}))[:2] == (403, "missing_scope")


def test_the_schema_is_there_for_editors() -> None:
    answer = Api("read").get("/v1/plans/schema")
    assert (answer.status_code, answer.json()) == (200, plan_file_schema())
    assert error(Api("charges:write").get("/v1/plans/schema"))[:2] == (403, "missing_scope")
