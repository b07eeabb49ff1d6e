"""`GET /v1/usage`, over rows as the charge path writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from core.ids import public_id
from metering.models import UsageBucket
from tests.metering.conftest import Api, Tenant, error_of
from tests.metering.usage_rows import WINDOW, a_bucket, a_meter, an_event, at, only


def test_usage_is_a_series_by_day(api: Api, acme: Tenant) -> None:
    meter = a_meter(unit="token")
    a_bucket(acme, meter, "2026-03-01 00:00", "5", 2)
    a_bucket(acme, meter, "2026-03-01 23:00", "0.5")
    a_bucket(acme, meter, "2026-03-03 10:00", "10")
    answer = api.get(f"usage?customer=acme&{WINDOW}")
    assert answer.status_code == 200
    assert answer.body["granularity"] == "day"
    assert answer.body["time_zone"] == "UTC"
    assert (answer.body["from"], answer.body["to"]) == ("2026-03-01T00:00:00Z", "2026-03-08T00:00:00Z")
    assert answer.body["as_of"] is not None
    assert answer.body["data"] == [
        {
            "meter": "tokens",
            "event": "call",
            "aggregation": "sum",
            "unit": "token",
            "group": {},
            "total": "15.5",
            "events": 4,
            "points": [
                {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "value": "5.5", "events": 3},
                {"start": "2026-03-03T00:00:00Z", "end": "2026-03-04T00:00:00Z", "value": "10", "events": 1},
            ],
        }
    ]


@pytest.mark.parametrize("reference", ["customer=acme", "billing_entity=acme-payer", "workspace=acme-ws"])
def test_a_customer_a_payer_and_a_workspace_may_be_asked_for(
    api: Api, acme: Tenant, rival: Tenant, reference: str
) -> None:
    meter = a_meter()
    a_bucket(acme, meter, "2026-03-01 00:00", "5")
    a_bucket(rival, meter, "2026-03-01 00:00", "7")
    assert only(api.get(f"usage?{reference}&{WINDOW}"))["total"] == "5"


def test_days_are_the_payers(api: Api, make_tenant: Callable[..., Tenant]) -> None:
    berlin = make_tenant("berlin", time_zone="Europe/Berlin")
    meter = a_meter()
    a_bucket(berlin, meter, "2026-03-28 22:00", "1")  # 23:00 on the 28th
    a_bucket(berlin, meter, "2026-03-28 23:00", "2")  # midnight
    a_bucket(berlin, meter, "2026-03-29 21:00", "4")  # 23:00, after the clocks went forward
    a_bucket(berlin, meter, "2026-03-29 22:00", "8")  # midnight
    answer = api.get("usage?workspace=berlin-ws&from=2026-03-28&to=2026-03-31")
    assert answer.body["time_zone"] == "Europe/Berlin"
    assert answer.body["from"] == "2026-03-27T23:00:00Z"
    assert [(point["start"], point["value"]) for point in only(answer)["points"]] == [
        ("2026-03-27T23:00:00Z", "1"),
        ("2026-03-28T23:00:00Z", "6"),
        ("2026-03-29T22:00:00Z", "8"),
    ]


def test_hours_of_a_zone_off_by_half_an_hour(api: Api, make_tenant: Callable[..., Tenant]) -> None:
    india = make_tenant("india", time_zone="Asia/Kolkata")
    meter = a_meter()
    a_bucket(india, meter, "2026-03-01 18:30", "3")  # midnight there
    series = only(api.get("usage?customer=india&from=2026-03-02&to=2026-03-03&granularity=hour"))
    assert series["points"] == [
        {"start": "2026-03-01T18:30:00Z", "end": "2026-03-01T19:30:00Z", "value": "3", "events": 1}
    ]


@pytest.mark.parametrize(
    ("granularity", "values"),
    [("hour", ["1", "2", "4", "8"]), ("day", ["3", "4", "8"]), ("week", ["7", "8"]), ("month", ["15"])],
)
def test_granularities(api: Api, acme: Tenant, granularity: str, values: list[str]) -> None:
    meter = a_meter()
    hours = ["2026-03-02 10:00", "2026-03-02 11:00", "2026-03-03 10:00", "2026-03-09 00:00"]
    for n, hour in enumerate(hours):
        a_bucket(acme, meter, hour, str(2**n))
    answer = api.get(f"usage?customer=acme&from=2026-03-01&to=2026-04-01&granularity={granularity}")
    assert [point["value"] for point in only(answer)["points"]] == values
    assert only(answer)["total"] == "15"


@pytest.mark.parametrize(
    ("aggregation", "points", "total"),
    [
        ("sum", ["7", "4"], "11"),
        ("count", ["7", "4"], "11"),
        ("unique", ["7", "4"], "11"),
        ("max", ["5", "4"], "5"),
        ("min", ["2", "4"], "2"),
        ("avg", ["2.333333333333333333", "4"], "2.75"),
    ],
)
def test_buckets_are_merged_as_the_aggregation_says(
    api: Api, acme: Tenant, aggregation: str, points: list[str], total: str
) -> None:
    meter = a_meter(aggregation=aggregation)
    a_bucket(acme, meter, "2026-03-01 01:00", "5", 2)
    a_bucket(acme, meter, "2026-03-01 02:00", "2", 1)
    a_bucket(acme, meter, "2026-03-02 02:00", "4", 1)
    series = only(api.get(f"usage?customer=acme&{WINDOW}"))
    assert [point["value"] for point in series["points"]] == points
    assert series["total"] == total


def test_usage_is_divided_by_dimensions_of_any_place(api: Api, acme: Tenant) -> None:
    one = a_meter("a", group_by=["model", "region"])
    two = a_meter("b", group_by=["region", "kind", "model"])
    a_bucket(acme, one, "2026-03-01 01:00", "1", 1, "m", "eu")
    a_bucket(acme, one, "2026-03-01 02:00", "2", 1, "m", "us")
    a_bucket(acme, one, "2026-03-01 02:00", "4", 1, None, "us")
    a_bucket(acme, two, "2026-03-01 02:00", "8", 1, "eu", "k", "m")
    a_bucket(acme, a_meter("c"), "2026-03-01 02:00", "16", 1)
    data = api.get(f"usage?customer=acme&{WINDOW}&group_by=model").body["data"]
    assert [(row["meter"], row["group"], row["total"]) for row in data] == [
        ("a", {"model": "m"}, "3"),
        ("a", {"model": None}, "4"),
        ("b", {"model": "m"}, "8"),
        ("c", {"model": None}, "16"),
    ]
    data = api.get(f"usage?customer=acme&{WINDOW}&group_by=region,model&meter=a").body["data"]
    assert [(list(row["group"].values()), row["total"]) for row in data] == [
        (["eu", "m"], "1"),
        (["us", "m"], "2"),
        (["us", None], "4"),
    ]


def test_usage_is_divided_by_payer_workspace_and_event(api: Api, acme: Tenant) -> None:
    a_bucket(acme, a_meter(), "2026-03-01 01:00", "1")
    series = only(api.get(f"usage?customer=acme&{WINDOW}&group_by=billing_entity,workspace,event"))
    assert series["group"] == {
        "billing_entity": public_id("be", acme.payer.pk),
        "workspace": public_id("ws", acme.workspace.pk),
        "event": "call",
    }


def test_a_meter_that_counted_nothing_says_so_when_it_is_asked_for(api: Api, acme: Tenant) -> None:
    a_meter("sum"), a_meter("max", "max"), a_meter("latest", "latest")
    assert api.get(f"usage?customer=acme&{WINDOW}").body["data"] == []
    data = api.get(f"usage?customer=acme&{WINDOW}&meter=sum,max,latest").body["data"]
    assert [(row["meter"], row["total"], row["points"]) for row in data] == [
        ("latest", None, []),
        ("max", None, []),
        ("sum", "0", []),
    ]


def test_usage_before_and_after_the_window_is_left_out(api: Api, acme: Tenant) -> None:
    meter = a_meter()
    for hour in ("2026-02-28 23:00", "2026-03-01 00:00", "2026-03-07 23:00", "2026-03-08 00:00"):
        a_bucket(acme, meter, hour, "1")
    assert only(api.get(f"usage?customer=acme&{WINDOW}"))["total"] == "2"


# --- who may ask


def test_a_customers_own_key_sees_its_workspace_only(acme: Tenant, rival: Tenant) -> None:
    meter = a_meter()
    a_bucket(acme, meter, "2026-03-01 00:00", "5")
    a_bucket(rival, meter, "2026-03-01 00:00", "7")
    UsageBucket.objects.create(
        customer_id=acme.customer.pk,
        billing_entity_id=acme.payer.pk,
        meter_id=meter.pk,
        hour=at("2026-03-01 00:00"),
        workspace_id=acme.workspace.pk + 1000,
        dimensions="[]",
        quantity=Decimal(100),
        events=1,
    )
    own = Api(acme.secret)
    for query in ("", "&customer=acme", "&workspace=acme-ws", "&billing_entity=acme-payer"):
        assert only(own.get(f"usage?{WINDOW}{query}"))["total"] == "5"
    for query in ("customer=rival", "workspace=rival-ws", "billing_entity=rival-payer"):
        assert own.get(f"usage?{WINDOW}&{query}").status_code == 404
    assert own.get(f"usage?{WINDOW}&api_key={rival.key.public_id}").status_code == 404
    an_event(rival, "2026-03-01 01:10", {"tokens": 100}, user="maria", trace="t1")
    assert own.get(f"usage?{WINDOW}&user=maria").body["data"] == []
    assert own.get(f"usage?{WINDOW}&trace=t1").body["data"] == []


def test_a_customers_own_key_sees_no_other_resource(acme: Tenant) -> None:
    own = Api(acme.secret)
    for path in ("meters", "cost-rates", "exchange-rates", "quarantine", "costs?customer=acme"):
        assert own.get(path).status_code in (401, 403)


def test_integrations_need_the_scope_read(make_api: Callable[..., Api], acme: Tenant) -> None:
    assert make_api("read").get("usage?customer=acme").status_code == 200
    assert make_api("events:write").get("usage?customer=acme").status_code == 403
    assert Api("").get("usage?customer=acme").status_code == 401
    assert Api("nonsense").get("usage?customer=acme").status_code == 401


@pytest.mark.parametrize(
    ("query", "status", "code", "param"),
    [
        ("", 400, "missing_parameter", "customer"),
        ("user=maria", 400, "missing_parameter", "customer"),
        ("customer=nobody", 404, "not_found", "customer"),
        ("workspace=ws_zzzz", 404, "not_found", "workspace"),
        ("customer=acme&billing_entity=rival-payer", 404, "not_found", None),
        ("customer=acme&meter=nothing", 404, "not_found", "meter"),
        ("customer=acme&from=yesterday", 400, "invalid_instant", "from"),
        ("customer=acme&from=2026-02-30", 400, "invalid_instant", "from"),
        ("customer=acme&from=0001-01-01", 400, "invalid_instant", "from"),
        ("customer=acme&to=9999-12-31", 400, "invalid_instant", "to"),
        ("customer=acme&from=2026-03-02&to=2026-03-01", 400, "invalid_period", "to"),
        ("customer=acme&granularity=second", 400, "invalid_choice", "granularity"),
        ("customer=acme&from=2000-01-01&granularity=hour", 400, "window_too_long", "from"),
        ("customer=acme&group_by=a,b,c,d,e,f", 400, "too_long", "group_by"),
        ("customer=acme&metre=tokens", 400, "unknown_parameter", "metre"),
        ("customer=acme&customer=rival", 400, "repeated_parameter", "customer"),
        ("customer=acme&user=%00", 400, "invalid_text", "user"),
        ("customer=%00", 400, "invalid_text", "customer"),
        ("customer=acme&meter=%00", 400, "invalid_text", "meter"),
        (f"customer=acme&trace={'x' * 256}", 400, "invalid_length", "trace"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    api: Api, acme: Tenant, rival: Tenant, query: str, status: int, code: str, param: str | None
) -> None:
    assert error_of(api.get(f"usage?{query}")) == (status, code, param)


def test_a_plus_sign_that_was_not_escaped_is_understood(api: Api, acme: Tenant) -> None:
    answer = api.get("usage?customer=acme&from=2026-03-01T00:00:00+01:00&to=2026-03-02T00:00:00+01:00")
    assert answer.body["from"] == "2026-02-28T23:00:00Z"


def test_odd_dimension_names_are_only_names(api: Api, acme: Tenant) -> None:
    a_bucket(acme, a_meter(), "2026-03-01 01:00", "1")
    for name in ("'; DROP TABLE x; --", "%s", "é", "0", "quantity", "hour"):
        answer = Client().get(
            "/v1/usage",
            {"customer": "acme", "group_by": name, "from": "2026-03-01", "to": "2026-03-02"},
            headers={"Authorization": f"Bearer {api.secret}"},
        )
        assert json.loads(answer.content)["data"][0]["group"] == {name: None}


@pytest.mark.parametrize("days", [1, 7])
def test_what_usage_costs_does_not_grow_with_it(
    api: Api, acme: Tenant, days: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    meters = [a_meter(f"m{n}") for n in range(days)]
    for meter in meters:
        for hour in range(24):
            a_bucket(acme, meter, f"2026-03-01 {hour:02}:00", "1")
    api.get("usage?customer=acme")
    with django_assert_num_queries(5):  # the key's version, customer, clock, meters, buckets
        assert len(api.get(f"usage?customer=acme&{WINDOW}").body["data"]) == days
    with django_assert_num_queries(6):  # the key's version, customer, workspace, clock, meter, events
        api.get(f"usage?customer=acme&workspace=acme-ws&{WINDOW}&meter=m0&user=maria")
