"""Many events at once, by their sum and number, leave the state that one after the other leaves."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.numbers import CONTEXT, ZERO
from pricing.rating import EMPTY, State, Usage, rate_events, read_component
from tests.pricing.rating.strategies import components, events
from tests.pricing.rating.test_properties import usages_of

MANY = settings(max_examples=200, deadline=None)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5", "flat_fee": "2"}]


def number_of(usages: list[Usage]) -> int:
    return sum(1 if usage.quantity >= 0 else -1 for usage in usages)


def sum_of(usages: list[Usage]) -> Decimal:
    total = ZERO
    for usage in usages:
        total = CONTEXT.add(total, usage.quantity)
    return total


@given(components(), events(), st.integers(0, 8))
@MANY
def test_any_component_that_adds_up_does(
    definition: dict[str, Any], drawn: list[dict[str, Any]], split: int
) -> None:
    component = read_component(definition)
    usages = usages_of(drawn)
    if not component.adds_up or not usages:
        return
    state = EMPTY
    for part in (usages[:split], usages[split:]):
        state = component.advance_by(state, sum_of(part), number_of(part))
    (expected,) = rate_events(component, usages).values()
    assert state == expected
    assert component.close([state]) == component.close([expected])


@pytest.mark.parametrize(
    ("fields", "adds_up"),
    [
        ({"model": "per_unit", "unit_price": "1"}, True),
        ({"model": "per_unit", "unit_price": "1", "group_by": ["region"]}, False),
        ({"model": "graduated", "tiers": TIERS, "included": "3", "maximum": "9"}, True),
        ({"model": "volume", "tiers": TIERS, "quantity_rounding": {"mode": "up", "to": "5"}}, True),
        ({"model": "package", "package_size": "7", "package_price": "2"}, True),
        ({"model": "percentage", "rate": "0.03"}, True),
        ({"model": "percentage", "rate": "0.03", "fixed_fee": "0.3"}, True),
        ({"model": "percentage", "rate": "0.03", "free_transactions": 1}, False),
        ({"model": "percentage", "rate": "0.03", "free_amount": "5"}, False),
        ({"model": "percentage", "rate": "0.03", "min_per_transaction": "0.1"}, False),
        ({"model": "percentage", "rate": "0.03", "max_per_transaction": "2"}, False),
        ({"model": "cost_plus", "markup": "0.2"}, False),
    ],
)
def test_what_adds_up(fields: dict[str, Any], adds_up: bool) -> None:
    assert read_component({"key": "c", **fields}).adds_up is adds_up


def test_a_maximum_does_not_add_up() -> None:
    definition = {"key": "c", "model": "per_unit", "unit_price": "1"}
    assert not read_component(definition, aggregation="max").adds_up


def test_a_percentage_of_a_sum_has_a_fee_for_each_transaction_and_takes_those_back() -> None:
    component = read_component({"key": "c", "model": "percentage", "rate": "0.02", "fixed_fee": "0.3"})
    # 10, 20 and 5 are charged, and the 5 is taken back: 30 x 0.02 + 2 x 0.3.
    state = component.advance_by(EMPTY, Decimal(30), 2)
    assert state == State(Decimal(30), 2, Decimal(30), Decimal("1.20"))
    assert component.advance_by(state, Decimal(-30), -2) == EMPTY
