"""Projections: what is still to come if usage goes on as it did lately (docs/algorithms/simulation.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from metering.aggregation import parse_meter
from pricing.rating import EMPTY, State, States, Usage, read_component
from pricing.simulation.candidates import SimulatedComponent, SimulatedMeter
from pricing.simulation.projection import lately, project, share_to_come

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 31, tzinfo=UTC)
LONG_AGO = datetime(2025, 6, 1, tzinfo=UTC)
TIERS = [{"up_to": "100", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]


def day(number: int) -> datetime:
    return START + timedelta(days=number)


def component(aggregation: str = "sum", **fields: Any) -> SimulatedComponent:
    meter = {"event": "e", "aggregation": aggregation}
    meter |= {} if aggregation == "count" else {"property": "p"}
    rating = read_component(
        {"key": "c", "meter": "m", **fields}, aggregation="max" if aggregation == "max" else "sum"
    )
    return SimulatedComponent(
        key="c",
        meter=SimulatedMeter("m", 1, parse_meter(meter), None),
        rating=rating,
        is_live=True,
        reads_buckets=True,
        signature=("m", ""),
        dimensions=lambda properties: {},
    )


def after(each: SimulatedComponent, *values: str, cost: str | None = None) -> States:
    state = EMPTY
    for value in values:
        state = each.rating.advance(
            state, Usage(Decimal(value), cost=None if cost is None else Decimal(cost))
        )
    return {(): state}


def total(each: SimulatedComponent, states: States) -> Decimal:
    return each.rating.total(each.rating.subtotal(states.values()))


@pytest.mark.parametrize(
    ("now", "since", "recent_from", "share"),
    [
        (day(10), LONG_AGO, START, "2"),  # ten days seen, twenty to come
        (day(3), LONG_AGO, day(-4), Decimal(27) / 7),  # the week before today, 27 days to come
        (day(3), START, START, "9"),  # it began three days ago: no more to see
        (day(30), LONG_AGO, START, "0"),  # over
        (START, START, START, "0"),  # nothing seen
    ],
)
def test_the_rate_is_that_of_the_period_or_of_a_week(
    now: datetime, since: datetime, recent_from: datetime, share: Any
) -> None:
    assert lately(START, now, since) == recent_from
    assert share_to_come(recent_from, now, END).quantize(Decimal("1e-20")) == Decimal(share).quantize(
        Decimal("1e-20")
    )


def test_a_quantity_grows_into_its_tiers() -> None:
    each = component(model="graduated", tiers=TIERS)
    so_far = after(each, "30", "30")
    projected = project(each, so_far, so_far, Decimal(2))
    assert projected[()].quantity == 180
    assert total(each, projected) == Decimal(140)
    assert so_far[()].quantity == 60


def test_a_count_stays_whole() -> None:
    each = component("count", model="per_unit", unit_price="0.01")
    so_far = after(each, *["1"] * 5)
    assert project(each, so_far, so_far, Decimal("0.5"))[()].quantity == 8


def test_what_was_used_before_the_period_began_counts_for_the_rate_only() -> None:
    each = component(model="per_unit", unit_price="1")
    assert project(each, {}, after(each, "7"), Decimal(2))[()].quantity == 14


@pytest.mark.parametrize("aggregation", ["max", "unique"])
def test_what_does_not_add_up_is_taken_as_it_stands(aggregation: str) -> None:
    each = component(aggregation, model="per_unit", unit_price="1")
    so_far = after(each, "3")
    assert project(each, so_far, so_far, Decimal(9)) == so_far


def test_cost_plus_projects_what_vendors_take() -> None:
    each = component("count", model="cost_plus", markup="0.5")
    so_far = after(each, "1", "1", cost="0.2")
    projected = project(each, so_far, so_far, Decimal(3))
    assert projected[()] == State(Decimal(8), 3, Decimal("1.6"), Decimal("2.4"))


@pytest.mark.parametrize(
    ("fields", "amount"),
    [
        # Two of 10 so far, four of 10 to come.
        ({"rate": "0.1"}, "6"),
        ({"rate": "0.1", "fixed_fee": "0.5"}, "9"),
        ({"rate": "0.1", "free_transactions": "4"}, "2"),
        ({"rate": "0.1", "free_transactions": "10"}, "0"),
        ({"rate": "0.1", "free_amount": "35"}, "2.5"),  # 5 of the fourth, the fifth, the sixth
        ({"rate": "0.1", "free_amount": "35", "fixed_fee": "1"}, "5.5"),
        ({"rate": "0.1", "free_amount": "20"}, "4"),
        ({"rate": "0.1", "free_amount": "60"}, "0"),
        ({"rate": "0.1", "free_amount": "35", "free_transactions": "3"}, "3"),
        ({"rate": "0.1", "max_per_transaction": "0.4"}, "2.4"),
    ],
)
def test_transactions_go_on_one_by_one(fields: dict[str, Any], amount: str) -> None:
    each = component(model="percentage", **fields)
    so_far = after(each, "10", "10")
    projected = project(each, so_far, so_far, Decimal(2))
    one_by_one = after(each, *["10"] * 6)
    assert total(each, projected) == Decimal(amount) == total(each, one_by_one)
    assert projected[()].quantity == 60
    assert projected[()].transactions == 6


def test_given_back_usage_projects_nothing() -> None:
    each = component(model="per_unit", unit_price="1")
    so_far = after(each, "-3")
    assert project(each, so_far, so_far, Decimal(2)) == so_far
