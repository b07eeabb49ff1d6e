"""Meters beside real usage and cost: `GET /v1/meters/compare`, `manage.py compare_metrics`, unit costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.simulations.metrics import unit_costs_of
from tests.accounts.caller import caller_with
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import report

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, tzinfo=UTC)
PER_CALL = [{"key": "c", "meter": "calls", "model": "per_unit", "unit_price": "4"}]
in_january = standing_at(NOW)


def call(key: str, tokens: str, cost: str | None, region: str = "eu") -> dict[str, Any]:
    costs = None if cost is None else [{"vendor": "v", "amount": cost, "currency": "USD"}]
    fields: dict[str, Any] = {"costs": costs} if costs else {}
    return fields | {
        "key": key,
        "occurred_at": (NOW - timedelta(days=2)).isoformat(),
        "properties": {"tokens": tokens, "region": region},
    }


@pytest.fixture
def tenants() -> list[Tenant]:
    """Three customers with one call each at 4, of 1, 2 and 3 tokens; a token costs 1 (and 9 in the US)."""
    make_meter("tokens", group_by=["region"])
    make_meter("calls", aggregation="count")
    make_meter("peak", aggregation="max", property_path="tokens")
    make_meter("unused", event="other")
    eu = [{"property": "region", "op": "eq", "value": "eu"}]
    make_meter("european", property_path="tokens", filter=eu)
    version = make_version(PER_CALL)
    made = [make_tenant(version) for _ in range(3)]
    for tenant, tokens in zip(made, ("1", "2", "3"), strict=True):
        report(tenant, call("k", tokens, tokens))
    return made


def test_meters_are_ranked_by_how_they_follow_cost(tenants: list[Tenant]) -> None:
    answer = caller_with("read").get("/v1/meters/compare", **{"from": "2026-01-01T00:00:00Z"})
    assert answer.status == 200, answer.body
    (found,) = answer.json["data"]
    assert (found["currency"], found["customers"]) == ("USD", 3)
    assert (found["revenue"], found["cost"], found["cost_coverage"]) == ("12", "6", "1")
    assert [meter["meter"] for meter in found["meters"]] == ["european", "tokens", "calls"]
    tokens = found["meters"][1]
    assert (tokens["correlation"], tokens["r_squared"], tokens["price"]) == ("1", "1", "2")
    assert (tokens["margin_median"], tokens["spread"]) == ("0.5", "0")
    calls = found["meters"][2]
    # Every customer made one call, so calls say nothing of cost, and margins are 3/4, 1/2 and 1/4.
    assert (calls["correlation"], calls["price"], calls["spread"]) == (None, "4", "0.5")


def test_payers_of_another_currency_are_compared_among_themselves(tenants: list[Tenant]) -> None:
    other = make_tenant(make_version(PER_CALL, currency="EUR"), currency="EUR")
    report(other, call("k", "5", None))
    found = caller_with("read").get("/v1/meters/compare").json["data"]
    assert [(each["currency"], each["customers"]) for each in found] == [("EUR", 1), ("USD", 3)]
    assert found[0]["cost"] is None
    (only,) = caller_with("read").get("/v1/meters/compare", currency="EUR").json["data"]
    assert only == found[0]


def test_a_window_without_usage_has_nothing_to_compare(tenants: list[Tenant]) -> None:
    window = {"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"}
    assert caller_with("read").get("/v1/meters/compare", **window).json["data"] == []


@pytest.mark.parametrize(
    "parameters", [{"from": "2027-01-01T00:00:00Z"}, {"from": "yesterday"}, {"since": "x"}]
)
def test_a_question_without_sense_is_refused(parameters: dict[str, str]) -> None:
    assert caller_with("read").get("/v1/meters/compare", **parameters).status == 400


def test_the_command_prints_the_ranking(tenants: list[Tenant], capsys: pytest.CaptureFixture[str]) -> None:
    call_command("compare_metrics", "--from", "2026-01-01T00:00:00Z")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "USD: 3 customers"
    assert [line.split()[0] for line in lines[2:]] == ["european", "tokens", "calls"]
    assert lines[4].split()[1:] == ["-", "-", "4", "0.5", "0.5", "0", "0"]
    with pytest.raises(CommandError):
        call_command("compare_metrics", "--from", "2027-01-01T00:00:00Z")
    with pytest.raises(CommandError):
        call_command("compare_metrics", "--to", "never")


def test_unit_costs_are_those_of_the_events_that_a_meter_counts(tenants: list[Tenant]) -> None:
    report(tenants[0], call("us", "1", "9", region="us"))
    found = unit_costs_of(["tokens", "european", "unused", "peak"], "USD", NOW)
    assert set(found) == {"tokens", "european", "unused"}  # a maximum has no unit that costs
    # 2 tokens cost 10, 2 cost 2, 3 cost 3.
    tokens = found["tokens"]
    assert (tokens.median, tokens.p95, tokens.worst) == (Decimal(1), Decimal(5), Decimal(5))
    assert tokens.break_even == Decimal("2.142857142857142857")
    # The call in the US is not the European meter's.
    european = found["european"]
    assert (european.median, european.worst, european.break_even) == (1, 1, 1)
    assert found["unused"].customers == 0


def test_unit_costs_are_of_one_currency_and_of_thirty_days(tenants: list[Tenant]) -> None:
    assert unit_costs_of(["tokens"], "EUR", NOW)["tokens"].customers == 0
    assert unit_costs_of(["tokens"], "USD", NOW + timedelta(days=40))["tokens"].customers == 0
