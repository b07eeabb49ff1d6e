from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from metering.models import Meter
from tests.metering.conftest import Api, error_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
METER: dict[str, Any] = {
    "key": "tokens",
    "name": "Tokens",
    "event": "completion",
    "aggregation": "sum",
    "property": "usage.tokens",
    "filter": [{"property": "region", "op": "in", "value": ["eu", 0.5]}],
    "group_by": ["model"],
    "unit": "token",
}


def test_a_meter_is_made_and_read_back(api: Api) -> None:
    made = api.post("meters", METER)
    assert made.status_code == 201
    assert made.body | METER == made.body
    assert made.body["late_policy"] == "delta_line"
    assert made.body["carry_over"] is False
    assert made.body["frozen_at"] is None
    for reference in (made.body["id"], "tokens"):
        assert api.get(f"meters/{reference}").body == made.body
    assert api.get("meters").body["data"] == [made.body]


def test_the_smallest_meter_counts_events(api: Api) -> None:
    made = api.post("meters", {"key": "calls", "event": "call", "aggregation": "count"})
    assert made.status_code == 201
    assert (made.body["name"], made.body["property"], made.body["filter"]) == ("calls", None, [])


def test_a_repeated_request_makes_one_meter(api: Api) -> None:
    headers = {"Idempotency-Key": "m1"}
    first, second = api.post("meters", METER, **headers), api.post("meters", METER, **headers)
    assert first.body == second.body
    assert Meter.objects.count() == 1


def test_a_key_is_taken_once(api: Api) -> None:
    api.post("meters", METER)
    assert error_of(api.post("meters", METER)) == (409, "meter_exists", "key")


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"key": "no spaces"}, "invalid_value", "key"),
        ({"key": ""}, "blank", "key"),
        ({"key": 5}, "invalid", "key"),
        ({"key": "x" * 101}, "max_length", "key"),
        ({"aggregation": "median"}, "invalid_choice", "aggregation"),
        ({"aggregation": "sum", "property": None}, "missing_field", "property"),
        ({"property": "a..b"}, "invalid_value", "property"),
        ({"property": "x" * 201}, "max_length", "property"),
        ({"filter": "region"}, "invalid_type", "filter"),
        ({"filter": [{"property": "a", "op": "like", "value": 1}]}, "invalid_value", "filter[0].op"),
        ({"filter": [{"property": "a", "op": "gt", "value": "x"}]}, "invalid_value", "filter[0].value"),
        ({"filter": [{"property": "a", "op": "eq", "value": 1}] * 51}, "too_long", "filter"),
        ({"group_by": ["model", "model"]}, "invalid_value", "group_by[1]"),
        ({"group_by": "model"}, "not_a_list", "group_by"),
        ({"group_by": [f"d{n}" for n in range(21)]}, "too_long", "group_by"),
        ({"carry_over": True}, "invalid_value", "carry_over"),
        ({"carry_over": "true"}, "invalid", "carry_over"),
        ({"late_policy": "ignore"}, "invalid_choice", "late_policy"),
        ({"unit": "x" * 41}, "max_length", "unit"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
)
def test_what_is_wrong_with_a_meter_is_named(api: Api, change: dict[str, Any], code: str, param: str) -> None:
    assert error_of(api.post("meters", METER | change)) == (400, code, param)
    assert not Meter.objects.exists()


def test_until_it_is_used_a_meter_may_change(api: Api) -> None:
    meter = api.post("meters", METER).body
    changed = api.patch(
        f"meters/{meter['id']}", {"property": "usage.all", "name": "All tokens", "filter": []}
    )
    assert changed.status_code == 200
    assert changed.body == meter | {"property": "usage.all", "name": "All tokens", "filter": []}


def test_once_frozen_only_its_labels_change(api: Api) -> None:
    meter = api.post("meters", METER).body
    Meter.objects.update(frozen_at=NOW)
    assert error_of(api.patch("meters/tokens", {"property": "other"})) == (409, "meter_frozen", "property")
    assert error_of(api.patch("meters/tokens", {"group_by": []})) == (409, "meter_frozen", "group_by")
    changed = api.patch("meters/tokens", {"unit": "tokens", "late_policy": "absorb", "event": "completion"})
    assert changed.status_code == 200
    assert changed.body["unit"] == "tokens"
    assert api.get("meters/tokens").body["property"] == meter["property"]


def test_an_archived_meter_stays_readable(api: Api) -> None:
    api.post("meters", METER)
    archived = api.post("meters/tokens/archive")
    assert archived.status_code == 200
    assert archived.body["archived_at"] is not None
    assert api.post("meters/tokens/archive").body == archived.body
    assert [row["key"] for row in api.get("meters?archived=true").body["data"]] == ["tokens"]
    assert api.get("meters?archived=false").body["data"] == []


def test_meters_are_filtered(api: Api) -> None:
    api.post("meters", METER)
    api.post("meters", {"key": "calls", "event": "call", "aggregation": "count"})
    assert [row["key"] for row in api.get("meters?event=call").body["data"]] == ["calls"]
    assert [row["key"] for row in api.get("meters?aggregation=sum").body["data"]] == ["tokens"]
    assert error_of(api.get("meters?evnt=call")) == (400, "unknown_parameter", "evnt")


def test_a_key_may_contain_points(api: Api) -> None:
    api.post("meters", METER | {"key": "llm.tokens"})
    assert api.get("meters/llm.tokens").body["key"] == "llm.tokens"


@pytest.mark.parametrize("reference", ["mtr_zzz", "nothing", "mtr_1", "%00", "x" * 5000])
def test_an_unknown_meter_is_not_found(api: Api, reference: str) -> None:
    assert api.get(f"meters/{reference}").status_code == 404


def test_reading_asks_for_read_and_writing_for_admin(make_api: Callable[..., Api]) -> None:
    reader, writer, nobody = make_api("read"), make_api("events:write"), Api("")
    assert reader.get("meters").status_code == 200
    assert reader.post("meters", METER).status_code == 403
    assert writer.get("meters").status_code == 403
    assert nobody.get("meters").status_code == 401
    assert not Meter.objects.exists()
