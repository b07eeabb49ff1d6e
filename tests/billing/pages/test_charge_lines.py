"""The steps of a charge's line: they sum exactly to its amount, whatever the model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.reports.charge_lines import LineSteps, line_steps
from core.numbers import CONTEXT, ZERO, plain
from pricing.rating.component import Component, read_component
from pricing.rating.engine import rate_event
from pricing.rating.groups import Group, group_text
from pricing.rating.state import EMPTY, State, Usage

TIERS = [
    {"up_to": "10", "unit_price": "1"},
    {"up_to": "20", "unit_price": "0.5", "flat_fee": "2"},
    {"up_to": None, "unit_price": "0.1"},
]
MODELS: dict[str, dict[str, Any]] = {
    "per_unit": {"model": "per_unit", "unit_price": "0.3"},
    "graduated": {"model": "graduated", "tiers": TIERS, "included": "3"},
    "volume": {"model": "volume", "tiers": TIERS},
    "package": {"model": "package", "package_size": "7", "package_price": "2"},
    "graduated_percentage": {
        "model": "graduated_percentage",
        "tiers": [{"up_to": "15", "rate": "0.1"}, {"up_to": None, "rate": "0.05"}],
    },
    "percentage": {
        "model": "percentage",
        "rate": "0.029",
        "fixed_fee": "0.3",
        "free_transactions": 2,
        "free_amount": "12",
        "max_per_transaction": "1",
    },
    "matrix": {
        "model": "matrix",
        "dimensions": ["size"],
        "cells": [{"match": {"size": "large"}, "unit_price": "0.9"}],
        "default_unit_price": "0.1",
    },
    "cost_plus": {"model": "cost_plus", "markup": "0.25"},
    "rounded": {
        "model": "per_unit",
        "unit_price": "0.7",
        "quantity_rounding": {"mode": "up", "to": "5"},
    },
    "discounted": {"model": "graduated", "tiers": TIERS, "discount_percent": "33.333"},
    "capped": {"model": "per_unit", "unit_price": "2", "maximum": "25", "group_by": ["size"]},
    "thirds": {"model": "per_unit", "unit_price": "0.333333333333333333", "discount_percent": "7"},
}


def component(name: str) -> Component:
    return read_component({"key": "x", "meter": "m", **MODELS[name]})


def charged(name: str, quantities: list[Decimal], sizes: list[str]) -> list[tuple[dict[str, Any], Usage]]:
    """What the charge path stores for each event of a segment."""
    states: dict[Group, State] = {}
    found, subtotal = [], ZERO
    compiled = component(name)
    for quantity, size in zip(quantities, sizes, strict=True):
        usage = Usage(quantity, {"size": size}, CONTEXT.multiply(quantity, Decimal("0.07")))
        group = compiled.group_of(usage)
        rated = rate_event(compiled, states.get(group, EMPTY), subtotal, usage)
        states[group], subtotal = rated.state, rated.subtotal
        line = {
            "quantity": plain(quantity),
            "amount": plain(rated.amount),
            "position": {"from": plain(rated.position_from), "to": plain(rated.position_to)},
            "dimensions": group_text(group),
        }
        found.append((line, usage))
    return found


def total(explained: LineSteps) -> Decimal:
    found = ZERO
    for step in explained.steps:
        found = CONTEXT.add(found, step.amount)
    return found


amounts = st.decimals(min_value="0", max_value="40", places=3)


@given(
    name=st.sampled_from(sorted(MODELS)),
    events=st.lists(st.tuples(amounts, st.sampled_from(["small", "large"])), min_size=1, max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_the_steps_sum_exactly_to_the_stored_amount(name: str, events: list[tuple[Decimal, str]]) -> None:
    lines = charged(name, [quantity for quantity, _ in events], [size for _, size in events])
    for line, usage in lines:
        explained = line_steps(component(name), line, usage.cost)
        assert total(explained) == Decimal(line["amount"])


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"capped"}))
def test_every_model_is_told_from_the_line_alone(name: str) -> None:
    quantities = [Decimal(value) for value in ("4", "0.5", "9", "8", "13", "1")]
    for line, usage in charged(name, quantities, ["large"] * 6):
        explained = line_steps(component(name), line, usage.cost)
        assert explained.is_whole, (line, explained)
        assert not [step for step in explained.steps if step.kind == "elsewhere"]


def test_a_call_over_two_tiers_says_which_units_fell_where() -> None:
    lines = charged("graduated", [Decimal(8), Decimal(10)], ["large"] * 2)  # the first 3 units are free
    explained = line_steps(component("graduated"), lines[1][0], None)
    first, second = explained.steps
    assert (first.tier, first.quantity, first.unit_price, first.amount) == (1, 5, 1, 5)
    assert (first.above, first.up_to) == (5, 10)
    assert (second.tier, second.quantity, second.flat_fee, second.amount) == (2, 5, 2, Decimal("4.5"))
    assert (second.above, second.up_to) == (10, 15)


def test_tiers_are_listed_with_the_units_of_this_call() -> None:
    (line, _), *_ = charged("graduated", [Decimal(15)], ["large"])
    explained = line_steps(component("graduated"), line, None)
    assert [(tier.number, tier.above, tier.up_to, tier.units) for tier in explained.tiers] == [
        (1, 0, 10, 10),
        (2, 10, 20, 2),
        (3, 20, None, 0),
    ]
    assert [(step.kind, step.quantity) for step in explained.steps] == [
        ("included", 3),
        ("units", 10),
        ("units", 2),
    ]


def test_a_volume_tier_that_is_reached_reprices_earlier_units() -> None:
    lines = charged("volume", [Decimal(9), Decimal(14)], ["large"] * 2)
    first, second = (line_steps(component("volume"), line, None) for line, _ in lines)
    assert not first.is_repriced
    assert second.is_repriced
    assert [(step.tier, step.quantity, step.amount) for step in second.steps] == [
        (1, -9, -9),
        (3, 23, Decimal("2.3")),
    ]


def test_a_package_that_was_begun_costs_nothing_more() -> None:
    lines = charged("package", [Decimal(5), Decimal(2), Decimal(1)], ["large"] * 3)
    steps = [line_steps(component("package"), line, None).steps for line, _ in lines]
    assert [[(step.quantity, step.amount) for step in own] for own in steps] == [[(1, 2)], [], [(1, 2)]]


def test_a_percentage_tells_what_fell_in_the_allowance() -> None:
    lines = charged("percentage", [Decimal(8), Decimal(10), Decimal(10)], ["large"] * 3)
    steps = [line_steps(component("percentage"), line, None).steps for line, _ in lines]
    assert [[(step.kind, step.quantity) for step in own] for own in steps] == [
        [("included", 8)],
        [("included", 4), ("units", 6)],
        [("units", 10)],
    ]


def test_a_maximum_that_other_groups_used_up_is_shown_as_a_maximum() -> None:
    lines = charged("capped", [Decimal(10), Decimal(10)], ["small", "large"])
    explained = line_steps(component("capped"), lines[1][0], None)
    assert [(step.kind, step.amount) for step in explained.steps] == [("units", 20), ("maximum", -15)]
    assert not explained.is_whole


def test_a_line_that_cannot_be_told_says_so_instead_of_lying() -> None:
    line = {"quantity": "1", "amount": "99", "position": {"from": "0", "to": "1"}, "dimensions": "[]"}
    explained = line_steps(component("per_unit"), line, None)
    assert [(step.kind, step.amount) for step in explained.steps] == [
        ("units", Decimal("0.3")),
        ("elsewhere", Decimal("98.7")),
    ]
    assert not explained.is_whole


def test_a_reversal_gives_units_back() -> None:
    lines = charged("graduated", [Decimal(15), Decimal(-4)], ["large"] * 2)
    explained = line_steps(component("graduated"), lines[1][0], None)
    assert total(explained) == Decimal(lines[1][0]["amount"]) < 0
    assert not explained.is_repriced


def test_huge_quantities_lose_no_digit() -> None:
    huge = Decimal(10) ** 19 + 1
    (line, _), *_ = charged("per_unit", [huge], ["large"])
    assert total(line_steps(component("per_unit"), line, None)) == Decimal("3000000000000000000.3")
