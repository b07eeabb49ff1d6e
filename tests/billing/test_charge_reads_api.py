"""`GET /v1/charges` and `GET /v1/charges/{id}`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from billing.wallets import grant_credit
from core import clock
from pricing.models import PlanVersion
from tests.api_client import Api
from tests.billing.damage import disarmed
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
GRADUATED = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "included": "50",
    "tiers": [{"up_to": "100", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}],
}
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
_at_noon = standing_at(NOON)


@pytest.fixture
def api() -> Api:
    return Api("charges:write", "read")


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([GRADUATED]), balance="10")


def send(api: Api, tenant: Tenant, key: str, tokens: Any = 100, **fields: Any) -> Any:
    body = {
        "idempotency_key": key,
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "properties": {"tokens": tokens},
        **fields,
    }
    response = api.post("/v1/charges", body)
    assert response.status_code == 201, response.content
    return response.json()


def explain(api: Api, public: str) -> Any:
    response = api.get(f"/v1/charges/{public}")
    assert response.status_code == 200, response.content
    return response.json()


def test_a_charge_explains_its_amount_tier_by_tier(api: Api, tenant: Tenant) -> None:
    send(api, tenant, "a")  # 50 free, 50 at 0.01
    charged = send(api, tenant, "b")  # 50 at 0.01, 50 at 0.005
    body = explain(api, charged["id"])
    assert (charged["amount"], body["amount"]) == ("0.75", "0.75")
    assert {name: body[name] for name in charged if name != "lines"} == {
        name: value for name, value in charged.items() if name != "lines"
    }
    (line,) = body["lines"]
    assert line["position"] == {"from": "100", "to": "200"}
    assert line["plan_version"].startswith("pv_")
    assert line["segment"].startswith("seg_")
    assert (line["model"], line["dimensions"]) == ("graduated", [])
    assert [
        (row["tier"], row["quantity"], row["unit_price"], row["amount"]) for row in line["breakdown"]
    ] == [
        (1, "50", "0.01", "0.5"),
        (2, "50", "0.005", "0.25"),
    ]


def test_free_units_stand_first_in_the_breakdown(api: Api, tenant: Tenant) -> None:
    (line,) = explain(api, send(api, tenant, "a")["id"])["lines"]
    assert line["breakdown"][0] == {"modifier": "included", "quantity": "50", "amount": "0"}
    assert (
        sum(Decimal(row["amount"]) for row in line["breakdown"]) == Decimal(line["amount"]) == Decimal("0.5")
    )


def test_a_charge_says_who_paid_and_what_it_cost(api: Api, tenant: Tenant) -> None:
    grant = grant_credit(tenant.payer, Decimal("0.2"), priority=1)
    costs = [{"vendor": "openai", "amount": "0.1", "currency": "USD"}]
    fields = {"costs": costs, "user": "anna", "trace": "job-1"}
    body = explain(api, send(api, tenant, "a", **fields)["id"])
    assert [(part["account"], part["amount"]) for part in body["funding"]] == [
        ("wallet", "0.2"),
        ("wallet", "0.3"),
    ]
    assert body["funding"][0]["grant"] == grant.public_id
    assert sum(Decimal(move["amount"]) for move in body["transfers"]) == Decimal("0.5")
    assert {move["destination"] for move in body["transfers"]} == {"revenue"}
    assert (body["cost"], body["margin"], body["overspend"]) == ("0.1", "0.4", None)
    assert body["event"]["costs"] == [costs[0] | {"source": "given"}]
    assert (body["event"]["user"], body["event"]["trace"]) == ("anna", "job-1")


def test_an_unknown_cost_is_null_and_so_is_the_margin(api: Api, tenant: Tenant) -> None:
    body = explain(api, send(api, tenant, "a")["id"])
    assert (body["cost"], body["margin"], body["event"]["costs"]) == (None, None, None)


def test_the_properties_come_back_exactly_as_they_were_sent(api: Api, tenant: Tenant) -> None:
    properties = '{"tokens": 12345678901234567890.123456789012, "more": [null, true, "é", {"a": 0.10}]}'
    rest = {"idempotency_key": "x", "event": "completion", "workspace": tenant.workspace.external_id}
    raw = f'{json.dumps(rest)[:-1]}, "properties": {properties}}}'
    response = api.post("/v1/charges", raw)
    assert response.status_code == 201, response.content
    answer = api.get(f"/v1/charges/{response.json()['id']}")
    assert b"12345678901234567890.123456789012" in answer.content
    assert answer.json()["event"]["properties"]["more"] == [None, True, "é", {"a": 0.1}]


def test_overspend_is_told(api: Api, tenant: Tenant) -> None:
    body = explain(api, send(api, tenant, "a", 5_000)["id"])
    assert body["balance"]["settled"] == body["balance"]["available"] == "-15.25"
    assert body["overspend"] == {"amount": "15.25", "cause": "overdraft"}


def test_a_charge_is_proved_by_rating_it_again(api: Api, tenant: Tenant) -> None:
    send(api, tenant, "a")
    charged = send(api, tenant, "b")
    proof = api.post(f"/v1/charges/{charged['id']}/recompute", {})
    assert proof.status_code == 200, proof.content
    body = proof.json()
    assert (body["id"], body["matches"], body["currency"]) == (charged["id"], True, "USD")
    assert body["stored"] == body["recomputed"] == {"amount": "0.75", "lines": charged["lines"]}
    assert (body["differences"], body["problem"], body["seq"]) == ([], None, 3)
    (source,) = body["rated_from"]
    assert source["position"] == body["recomputed"]["lines"][0]["position"] == charged["lines"][0]["position"]
    assert source["plan_version"] == charged["lines"][0]["plan_version"]
    assert source["content_hash"] == PlanVersion.objects.get().content_hash
    assert api.post("/v1/charges/ch_1/recompute", {}).status_code == 404


def test_what_does_not_come_out_again_is_named_field_by_field(api: Api, tenant: Tenant) -> None:
    charged = send(api, tenant, "a")
    with disarmed() as cursor:
        cursor.execute(
            "UPDATE billing_charge SET amount = 9, lines = jsonb_set(lines, '{0,amount}', '\"9\"')"
        )
    body = api.post(f"/v1/charges/{charged['id']}/recompute", {}).json()
    assert (body["matches"], body["recomputed"]["amount"]) == (False, charged["amount"])
    own = {"line": None, "component": None, "field": "amount", "stored": "9"}
    line = {"line": 0, "component": "tok", "field": "amount", "stored": "9"}
    assert body["differences"] == [each | {"recomputed": charged["amount"]} for each in (own, line)]


def test_a_charge_whose_event_was_changed_is_rated_by_what_the_event_says_now(
    api: Api, tenant: Tenant
) -> None:
    charged = send(api, tenant, "a")
    with disarmed() as cursor:
        cursor.execute("UPDATE metering_usageevent SET properties = properties || '{\"tokens\": 1}'")
    body = api.post(f"/v1/charges/{charged['id']}/recompute", {}).json()
    fields = [each["field"] for each in body["differences"]]
    assert (body["matches"], fields) == (False, ["amount", "amount", "position.to", "quantity"])


def test_a_charge_whose_event_is_gone_cannot_be_proved(api: Api, tenant: Tenant) -> None:
    charged = send(api, tenant, "a")
    with disarmed() as cursor:
        cursor.execute("DELETE FROM metering_usageevent")
    body = api.post(f"/v1/charges/{charged['id']}/recompute", {}).json()
    assert (body["matches"], body["problem"]) == (False, "its event is not there")
    assert [each["field"] for each in body["differences"]] == ["charge"]


@pytest.mark.parametrize(
    "public",
    ["ch_", "ch_1", "evt_100000000000000000000000000", "ch_1zzzzzzzzzzzzzzzzzzzzzzzzzz", "%00", "x" * 900],
)
def test_a_charge_that_there_is_not_is_404(api: Api, tenant: Tenant, public: str) -> None:
    response = api.get(f"/v1/charges/{public}")
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found")


def test_charges_are_listed_the_newest_first_in_pages(api: Api, tenant: Tenant) -> None:
    ids, minutes = [], [0]
    clock.use(lambda: NOON + timedelta(minutes=minutes[-1]))
    for number in range(5):
        minutes.append(number)
        ids.append(send(api, tenant, str(number))["id"])
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/v1/charges", limit="2", **cursor).json()
        found += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == ids[::-1]


def test_charges_are_found_by_whose_and_when(api: Api, tenant: Tenant) -> None:
    other = make_tenant(make_version([{**GRADUATED, "key": "other"}]), balance="10")
    mine = send(api, tenant, "a", occurred_at="2026-03-01T00:00:00Z")["id"]
    clock.use(lambda: NOON + timedelta(hours=1))
    late = send(api, tenant, "b")["id"]
    theirs = send(api, other, "c")["id"]

    def listed(**params: str) -> list[str]:
        answer = api.get("/v1/charges", **params)
        assert answer.status_code == 200, answer.content
        return [row["id"] for row in answer.json()["data"]]

    assert sorted(listed()) == sorted([mine, late, theirs])
    assert listed(billing_entity=tenant.payer.public_id) == [late, mine]
    assert listed(workspace=str(other.workspace.external_id)) == [theirs]
    assert listed(customer=other.customer.public_id) == [theirs]
    assert listed(occurred_to="2026-03-02T00:00:00Z") == [mine]
    assert listed(occurred_from="2026-03-01T00:00:00Z", occurred_to="2026-03-01T00:00:00Z") == []
    assert listed(recorded_from="2026-03-10T13:00:00Z", billing_entity=tenant.payer.public_id) == [late]
    assert listed(recorded_to="2026-03-10T13:00:00Z") == [mine]


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"billing_entity": "be_nobody"}, 404),
        ({"workspace": "\x00"}, 400),
        ({"occurred_from": "yesterday"}, 400),
        ({"recorded_to": "2026-03-10T13:00:00"}, 400),
        ({"payer": "x"}, 400),
        ({"cursor": "x"}, 400),
        ({"limit": "0"}, 400),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    api: Api, tenant: Tenant, params: dict[str, str], status: int
) -> None:
    assert api.get("/v1/charges", **params).status_code == status


def test_reading_needs_the_scope(tenant: Tenant) -> None:
    writer = Api("charges:write")
    public = send(writer, tenant, "a")["id"]
    assert writer.get("/v1/charges").status_code == 403
    assert writer.get(f"/v1/charges/{public}").status_code == 403


def test_a_page_costs_the_same_however_many_charges_and_payers(
    api: Api, tenant: Tenant, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    assert tenant.subscription is not None
    for number in range(8):
        send(api, make_tenant(tenant.subscription.version, balance="9"), f"k{number}")
    with django_assert_max_num_queries(5):  # the key's version and row, the payer, the page, its events
        assert len(api.get("/v1/charges").json()["data"]) == 8
    public = send(api, tenant, "last")["id"]
    with django_assert_max_num_queries(13):
        explain(api, public)
