"""A compiled definition, as the charge path uses it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from core.errors import InvalidRequest
from metering.aggregation import MeterDefinition, aggregate_events, parse_filter, parse_meter

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
SUM: dict[str, Any] = {"event": "call", "aggregation": "sum", "property": "tokens"}


def test_a_definition_tells_what_an_event_adds_and_where() -> None:
    meter = parse_meter(SUM | {"filter": [{"property": "r", "op": "eq", "value": "eu"}], "group_by": ["m"]})
    properties = {"tokens": "5", "r": "eu", "m": 8.0}
    assert meter.matches(properties)
    assert not meter.matches({"tokens": "5"})
    assert meter.contribution(properties) == Decimal(5)
    assert meter.group(properties) == ("8",)
    assert meter.group({}) == (None,)


@pytest.mark.parametrize(
    ("aggregation", "properties", "contribution"),
    [
        ("count", {}, Decimal(1)),
        ("sum", {"tokens": 5}, Decimal(5)),
        ("sum", {"tokens": 0.1}, Decimal("0.1")),
        ("sum", {"tokens": float("nan")}, None),
        ("sum", {"tokens": float("inf")}, None),
        ("sum", {"tokens": Decimal("NaN")}, None),
        ("sum", {"tokens": Decimal("sNaN")}, None),
        ("sum", {"tokens": Decimal("-Infinity")}, None),
        ("sum", {"tokens": Decimal("0E+30")}, Decimal(0)),
        ("sum", {"tokens": "1" * 21}, None),
        ("sum", {"tokens": "0" * 500 + "7"}, Decimal(7)),
        ("sum", {"tokens": "7" * 100_000}, None),
        ("sum", {"tokens": "1e999999999999999999999"}, None),
        ("sum", {}, None),
        ("max", {"tokens": "x"}, None),
        ("unique", {"tokens": 5}, "5"),
        ("unique", {"tokens": "5"}, "5"),
        ("unique", {"tokens": 5.0}, "5"),
        ("unique", {"tokens": float("nan")}, "nan"),
        ("unique", {}, None),
    ],
)
def test_a_contribution_is_a_number_a_text_or_nothing(
    aggregation: str, properties: dict[str, Any], contribution: Decimal | str | None
) -> None:
    found = parse_meter(SUM | {"aggregation": aggregation}).contribution(properties)
    assert found == contribution
    assert type(found) is type(contribution)


def test_definitions_are_equal_when_they_count_the_same() -> None:
    assert parse_meter(SUM) == parse_meter(
        SUM | {"unit": "token", "key": "t", "name": "T", "description": "d"}
    )
    assert parse_meter(SUM) == parse_meter(SUM | {"filter": None, "group_by": None, "carry_over": None})
    assert parse_meter(SUM) != parse_meter(SUM | {"property": "other"})
    assert len({parse_meter(SUM), parse_meter(SUM)}) == 1


def test_a_property_on_count_changes_nothing() -> None:
    count = {"event": "call", "aggregation": "count"}
    assert (
        parse_meter(count | {"property": "tokens"}) == parse_meter(count) == MeterDefinition("call", "count")
    )


def test_a_definition_is_frozen() -> None:
    with pytest.raises(AttributeError):
        parse_meter(SUM).event = "other"  # type: ignore[misc]


def test_a_filter_of_a_cost_rate_names_its_own_place() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_filter([{"property": "x", "op": "is"}], "cost_rates[2].filter")
    assert caught.value.param == "cost_rates[2].filter[0].op"


def test_a_filter_from_the_database_may_hold_floats() -> None:
    meter = parse_meter(SUM | {"filter": [{"property": "x", "op": "eq", "value": 0.1}]})
    assert meter.matches({"x": Decimal("0.1")})
    assert meter.matches({"x": 0.1})
    assert not meter.matches({"x": Decimal("0.10000000000000001")})


def test_values_nested_too_deep_are_refused_where_they_are_read() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    meter = parse_meter({"event": "call", "aggregation": "unique", "property": "v"})
    with pytest.raises(InvalidRequest):
        meter.contribution({"v": deep})


def test_events_of_a_period_are_aggregated_without_a_document() -> None:
    meter = parse_meter(SUM | {"aggregation": "weighted_sum", "carry_over": True, "group_by": ["m"]})
    aggregated = aggregate_events(
        meter,
        start=START,
        end=END,
        events=[(NOON, {"tokens": 31, "m": "a"}), (START, {"tokens": "x"}), (END, {"tokens": 1})],
        levels={("b",): Decimal(4)},
    )
    assert aggregated.quantities == {("a",): Decimal("26.5"), ("b",): Decimal(4)}
    assert aggregated.ignored == 1


def test_sums_are_exact_beyond_the_default_precision_of_decimal() -> None:
    values = [Decimal("99999999999999999999.999999999999")] * 1000 + [Decimal("0.000000000001")]
    meter = parse_meter(SUM)
    events = [(NOON, {"tokens": value}) for value in values]
    total = aggregate_events(meter, start=START, end=END, events=events).quantities[()]
    assert total == Decimal("99999999999999999999999.999999999001")


def test_a_simple_sum_costs_about_a_microsecond() -> None:
    """A loose bound: the machine may be busy, an accident of a hundredfold is still noticed."""
    meter = parse_meter(SUM)
    properties = {"tokens": 5, "model": "m"}
    best = 1.0
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(1000):
            if meter.matches(properties):
                meter.contribution(properties)
                meter.group(properties)
        best = min(best, time.perf_counter() - started)
    assert best / 1000 < 20e-6
