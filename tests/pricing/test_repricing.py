"""What a version would have charged: the same as the engine, for every model, in any order of components."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.numbers import CONTEXT, ZERO
from metering.aggregation import parse_meter
from metering.catalogue import CompiledMeter
from pricing.pricelist import PricedComponent, compile_dimensions
from pricing.rating import read_component
from pricing.rating.engine import rate_events
from pricing.rating.state import Usage
from pricing.repricing import Repricing
from tests.pricing.rating.strategies import components, events

COMPONENT = {"key": "c", "model": "per_unit", "unit_price": "2"}


def meter(aggregation: str = "sum", **fields: Any) -> CompiledMeter:
    definition = {"event": "call", "aggregation": aggregation} | fields
    if aggregation != "count":
        definition.setdefault("property", "value")
    return CompiledMeter(1, "m", aggregation, "", "delta_line", True, parse_meter(definition))


def priced(
    definition: dict[str, Any], heard: CompiledMeter, *, pk: int = 1, is_live: bool = True
) -> tuple[PricedComponent, CompiledMeter]:
    rating = read_component(definition, aggregation="max" if heard.aggregation == "max" else "sum")
    dimensions = compile_dimensions(rating.group_dimensions)
    return PricedComponent(pk, definition["key"], 1, "m", rating, is_live, dimensions), heard


def charged(repricing: Repricing, rows: Iterable[dict[str, Any]], name: str = "call") -> list[Decimal]:
    return [repricing.charge(name, row, row.get("cost")) for row in rows]


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(definition=components(), rows=events(is_signed=False))
def test_it_comes_to_the_engines_total(definition: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    component, heard = priced(definition, meter())
    usages = [Usage(Decimal(row["value"]), row["dimensions"], Decimal(row["cost"])) for row in rows]
    states = rate_events(component.rating, usages)
    total = component.rating.total(component.rating.subtotal(states.values()))
    properties = [{"value": row["value"], "cost": Decimal(row["cost"]), **row["dimensions"]} for row in rows]
    amount = ZERO
    for part in charged(Repricing([(component, heard)]), properties):
        amount = CONTEXT.add(amount, part)
    assert amount == total


@given(st.lists(st.integers(0, 50), max_size=12), st.integers(0, 12))
def test_an_interruption_changes_nothing(values: list[int], cut: int) -> None:
    tiers = [{"up_to": "10", "unit_price": "3"}, {"up_to": None, "unit_price": "1"}]
    parts = [priced({"key": "c", "model": "graduated", "tiers": tiers}, meter())]
    rows = [{"value": value} for value in values]
    whole = Repricing(parts)
    before = Repricing(parts)
    first = charged(before, rows[:cut])
    assert first + charged(before, rows[cut:]) == charged(whole, rows)
    assert before.states == whole.states


def test_meters_filter_events_by_name_and_by_property() -> None:
    picky = meter(filter=[{"property": "region", "op": "eq", "value": "eu"}])
    repricing = Repricing([priced(COMPONENT, picky)])
    rows: list[dict[str, Any]] = [
        {"value": 3, "region": "eu"},
        {"value": 3, "region": "us"},
        {"region": "eu"},
    ]
    assert charged(repricing, rows) == [6, 0, 0]
    assert charged(repricing, rows, "other") == [0, 0, 0]


def test_a_unique_value_counts_once_in_its_group() -> None:
    repricing = Repricing([priced(COMPONENT | {"group_by": ["model"]}, meter("unique"))])
    rows = [{"value": "ann", "model": "a"}, {"value": "ann", "model": "a"}, {"value": "ann", "model": "b"}]
    assert charged(repricing, rows) == [2, 0, 2]


def test_a_maximum_costs_what_it_rises() -> None:
    repricing = Repricing([priced(COMPONENT, meter("max"))])
    assert charged(repricing, [{"value": 3}, {"value": 2}, {"value": 5}]) == [6, 0, 4]


def test_events_are_counted() -> None:
    assert charged(Repricing([priced(COMPONENT, meter("count"))]), [{}, {}]) == [2, 2]


def test_what_settles_at_the_close_has_no_part_in_it() -> None:
    assert charged(Repricing([priced(COMPONENT, meter("avg"), is_live=False)]), [{"value": 3}]) == [0]


def test_what_has_no_price_adds_nothing_and_leaves_no_trace() -> None:
    unknown_cost = Repricing([priced({"key": "c", "model": "cost_plus", "markup": "1"}, meter())])
    assert charged(unknown_cost, [{"value": 1}]) == [0]
    assert unknown_cost.states == {}
    assert charged(unknown_cost, [{"value": 1, "cost": Decimal(4)}]) == [8]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_components_do_not_touch_each_other(order: tuple[int, int]) -> None:
    dear = {"key": "d", "model": "per_unit", "unit_price": "10", "included": "1"}
    parts = {1: priced(COMPONENT, meter()), 2: priced(dear, meter(), pk=2)}
    repricing = Repricing([parts[number] for number in order])
    assert charged(repricing, [{"value": 1}, {"value": 1}]) == [2, 12]
