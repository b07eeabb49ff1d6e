from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Currency
from metering.costing import load_cost_book
from metering.events import parse_event
from metering.models import CostRate, ExchangeRate
from tests.metering.conftest import Api, error_of

RATE: dict[str, Any] = {
    "vendor": "openai",
    "event": "completion",
    "property": "usage.tokens",
    "filter": [{"property": "model", "op": "eq", "value": "m"}],
    "unit_cost": "0.0000025",
    "currency": "USD",
    "starts_at": "2026-01-01T00:00:00Z",
    "ends_at": None,
}
EXCHANGE: dict[str, Any] = {
    "base": "EUR",
    "quote": "USD",
    "rate": "1.1",
    "starts_at": "2026-01-01T00:00:00Z",
}


def test_a_cost_rate_is_made_read_and_used(api: Api) -> None:
    made = api.post("cost-rates", RATE)
    assert made.status_code == 201
    assert made.body | RATE == made.body
    assert api.get(f"cost-rates/{made.body['id']}").body == made.body
    assert api.get("cost-rates?vendor=openai&event=completion").body["data"] == [made.body]
    assert api.get("cost-rates?vendor=aws").body["data"] == []
    raw = {"idempotency_key": "k", "event": "completion", "workspace": "w"}
    properties = {"model": "m", "usage": {"tokens": 1000}}
    event = parse_event(raw | {"properties": properties}, datetime(2026, 2, 1, tzinfo=UTC))
    assert load_cost_book().cost_of(event, "USD")[1] == Decimal("0.0025")


def test_a_rate_per_event_names_no_property(api: Api) -> None:
    rate = {name: value for name, value in RATE.items() if name not in ("property", "filter", "ends_at")}
    assert (
        api.post("cost-rates", rate).body | {"property": None, "filter": [], "ends_at": None}
        == api.get("cost-rates").body["data"][0]
    )


def test_the_same_thing_has_one_rate_from_an_instant(api: Api) -> None:
    assert api.post("cost-rates", RATE).status_code == 201
    taken = (409, "cost_rate_exists", "starts_at")
    assert error_of(api.post("cost-rates", RATE | {"unit_cost": "1"})) == taken
    assert api.post("cost-rates", RATE | {"starts_at": "2026-02-01T00:00:00Z"}).status_code == 201
    assert api.post("cost-rates", RATE | {"filter": []}).status_code == 201
    assert api.post("cost-rates", RATE | {"property": None}).status_code == 201
    assert api.post("cost-rates", RATE | {"vendor": "aws"}).status_code == 201


def test_only_the_end_of_a_rate_changes(api: Api) -> None:
    rate = api.post("cost-rates", RATE).body
    path = f"cost-rates/{rate['id']}"
    assert api.patch(path, {"ends_at": "2026-03-01T00:00:00Z"}).body["ends_at"] == "2026-03-01T00:00:00Z"
    assert error_of(api.patch(path, {"unit_cost": "2"})) == (400, "unknown_field", "unit_cost")
    assert error_of(api.patch(path, {"ends_at": RATE["starts_at"]})) == (400, "invalid_period", "ends_at")
    assert api.patch(path, {}).body["ends_at"] == "2026-03-01T00:00:00Z"
    assert api.patch(path, {"ends_at": None}).body == rate


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"unit_cost": "-1"}, "min_value", "unit_cost"),
        ({"unit_cost": 0.5}, "invalid_type", "unit_cost"),
        ({"unit_cost": "1e5"}, "invalid_decimal", "unit_cost"),
        ({"unit_cost": "1" * 21}, "number_out_of_range", "unit_cost"),
        ({"unit_cost": "NaN"}, "invalid_decimal", "unit_cost"),
        ({"currency": "XYZ"}, "unknown_currency", "currency"),
        ({"currency": "DOLLAR"}, "max_length", "currency"),
        ({"vendor": ""}, "blank", "vendor"),
        ({"vendor": "x" * 101}, "max_length", "vendor"),
        ({"property": "a..b"}, "invalid_value", "property"),
        ({"filter": [{"op": "eq"}]}, "missing_field", "filter[0].property"),
        ({"filter": {}}, "invalid_type", "filter"),
        ({"starts_at": "2026-01-01"}, "invalid_instant", "starts_at"),
        ({"starts_at": None}, "null", "starts_at"),
        ({"ends_at": "2025-01-01T00:00:00Z"}, "invalid_period", "ends_at"),
    ],
)
def test_what_is_wrong_with_a_cost_rate_is_named(
    api: Api, change: dict[str, Any], code: str, param: str
) -> None:
    assert error_of(api.post("cost-rates", RATE | change)) == (400, code, param)
    assert not CostRate.objects.exists()


def test_an_exchange_rate_is_made_and_read(api: Api) -> None:
    made = api.post("exchange-rates", EXCHANGE)
    assert made.status_code == 201
    assert made.body | EXCHANGE == made.body
    assert api.get(f"exchange-rates/{made.body['id']}").body == made.body
    assert api.get("exchange-rates?base=EUR&quote=USD").body["data"] == [made.body]
    assert error_of(api.post("exchange-rates", EXCHANGE)) == (409, "exchange_rate_exists", "starts_at")
    assert api.post("exchange-rates", EXCHANGE | {"starts_at": "2026-02-01T00:00:00Z"}).status_code == 201


def test_the_operators_own_unit_has_exchange_rates_too(api: Api) -> None:
    assert error_of(api.post("exchange-rates", EXCHANGE | {"quote": "CREDITS"})) == (
        400,
        "unknown_currency",
        "quote",
    )
    Currency.objects.create(
        code="CREDITS", name="Credits", price="1", price_currency="USD", created_at="2026-01-01T00:00:00Z"
    )
    assert api.post("exchange-rates", EXCHANGE | {"quote": "CREDITS"}).status_code == 201


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"rate": "0"}, "invalid_value", "rate"),
        ({"rate": "-1"}, "invalid_value", "rate"),
        ({"rate": 1.1}, "invalid_type", "rate"),
        ({"quote": "EUR"}, "invalid_value", "quote"),
        ({"base": "eur"}, "unknown_currency", "base"),
        ({"starts_at": "now"}, "invalid_instant", "starts_at"),
        ({"ends_at": None}, "unknown_field", "ends_at"),
    ],
)
def test_what_is_wrong_with_an_exchange_rate_is_named(
    api: Api, change: dict[str, Any], code: str, param: str
) -> None:
    assert error_of(api.post("exchange-rates", EXCHANGE | change)) == (400, code, param)
    assert not ExchangeRate.objects.exists()


@pytest.mark.parametrize("path", ["cost-rates", "exchange-rates"])
def test_rates_are_the_operators_business(make_api: Callable[..., Api], path: str) -> None:
    assert make_api("read").get(path).status_code == 200
    assert make_api("read").post(path, {}).status_code == 403
    assert make_api("charges:write").get(path).status_code == 403
    assert Api("").get(path).status_code == 401
    assert make_api("admin").get(f"{path}/xx_1").status_code == 404
