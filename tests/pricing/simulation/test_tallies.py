"""Tallies: buckets and events on their way into states. Pure but for the shape of components."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.aggregation import parse_meter
from pricing.pricelist import LIVE_AGGREGATIONS, compile_dimensions
from pricing.rating import Usage, rate_events, read_component
from pricing.rating.state import NO_DIMENSIONS
from pricing.simulation.candidates import SimulatedComponent, SimulatedMeter
from pricing.simulation.tallies import EPOCH, TICK, Tally

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2026, 1, 5, tzinfo=UTC)
QUANTITIES = st.lists(st.decimals("-3", "9", places=2), max_size=12)
TIERS = [{"up_to": "5", "unit_price": "1"}, {"up_to": None, "unit_price": "0.25"}]


def tally(aggregation: str = "sum", **fields: Any) -> Tally:
    """An empty tally of four days."""
    meter = {"event": "e", "aggregation": aggregation}
    meter |= {} if aggregation == "count" else {"property": "p"}
    definition = {"key": "c", "meter": "m", "model": "per_unit", "unit_price": "1"} | fields
    if definition["model"] != "per_unit":
        del definition["unit_price"]
    rating = read_component(definition, aggregation="max" if aggregation == "max" else "sum")
    component = SimulatedComponent(
        key="c",
        meter=SimulatedMeter("m", 1, parse_meter(meter), None),
        rating=rating,
        is_live=aggregation in LIVE_AGGREGATIONS,
        reads_buckets=False,
        signature=("m", ""),
        dimensions=compile_dimensions(rating.group_dimensions),
    )
    return Tally(component, START, END)


def add(
    found: Tally, contribution: Decimal | str, day: int = 0, cost: str | None = None, **other: Any
) -> None:
    ticks = (START + timedelta(days=day) - EPOCH) // TICK
    found.add_event(ticks, other, contribution, None if cost is None else Decimal(cost))


def quantities(found: Tally) -> Mapping[Any, Decimal]:
    return {group: state.quantity for group, state in found.states.items()}


def close(found: Tally) -> Decimal:
    return found.component.rating.close(found.states.values())


def test_nothing_used_leaves_no_state() -> None:
    found = tally()
    found.settle()
    assert found.states == {}
    assert close(found) == 0


def test_events_are_grouped_by_their_dimensions() -> None:
    found = tally(group_by=["region"])
    for value, region in (("1", "eu"), ("2", "us"), ("4", "eu"), ("8", None)):
        add(found, Decimal(value), region=region)
    assert quantities(found) == {("eu",): 5, ("us",): 2, (None,): 8}


def test_sums_of_buckets_and_events_meet_in_one_state() -> None:
    found = tally(group_by=["region"])
    found.add_sum({"region": "eu"}, Decimal(10))
    add(found, Decimal(5), region="eu")
    assert quantities(found) == {("eu",): 15}


def test_a_dimension_that_is_a_number_is_the_same_in_buckets_and_events() -> None:
    found = tally(group_by=["size"])
    found.add_sum({"size": "5"}, Decimal(1))
    add(found, Decimal(1), size=5)
    add(found, Decimal(1), size=Decimal("5.0"))
    assert quantities(found) == {("5",): 3}


def test_the_highest_of_buckets_and_events_is_a_maximum() -> None:
    found = tally("max")
    found.add_sum({}, Decimal(7))
    add(found, Decimal(3))
    assert quantities(found) == {(): 7}
    add(found, Decimal(9))
    assert quantities(found) == {(): 9}


def test_a_unique_value_counts_once_in_each_group() -> None:
    found = tally("unique", group_by=["region"])
    for value, region in (("a", "eu"), ("a", "eu"), ("a", "us"), ("b", "eu")):
        add(found, value, region=region)
    assert quantities(found) == {("eu",): 2, ("us",): 1}


@pytest.mark.parametrize(
    ("aggregation", "value"), [("min", "2"), ("avg", "3"), ("latest", "4"), ("weighted_sum", "5")]
)
def test_what_settles_is_priced_once_it_is_settled(aggregation: str, value: str) -> None:
    found = tally(aggregation)
    for number, day in (("3", 0), ("2", 1), ("4", 3)):
        add(found, Decimal(number), day)
    assert found.states == {}
    found.settle()
    # weighted: 3 over four days, 2 over three, 4 over one, so (12 + 6 + 4) / 4.
    expected = Decimal("5.5") if aggregation == "weighted_sum" else Decimal(value)
    assert quantities(found) == {(): expected}
    found.settle()
    assert quantities(found) == {(): expected}


def test_a_carried_level_counts_without_an_event() -> None:
    found = tally("weighted_sum")
    found.carry((), Decimal(6))
    found.settle()
    assert close(found) == 6


def test_an_event_without_a_price_is_free_and_counted() -> None:
    cells = [{"match": {"region": "eu"}, "unit_price": "3"}]
    found = tally(model="matrix", dimensions=["region"], cells=cells)
    add(found, Decimal(2), region="eu")
    add(found, Decimal(2), region="us")
    assert (close(found), found.unpriced) == (6, 1)


def test_an_event_of_unknown_cost_is_free_and_counted_under_cost_plus() -> None:
    found = tally(model="cost_plus", markup="1")
    usages = [Usage(Decimal(1), NO_DIMENSIONS, cost) for cost in (Decimal(2), None, Decimal(3))]
    found.add_usages(usages)
    assert (close(found), found.unpriced) == (10, 1)


@given(QUANTITIES)
def test_one_by_one_or_many_at_once_is_the_same(values: list[Decimal]) -> None:
    fields: dict[str, Any] = {"model": "percentage", "rate": "0.1", "fixed_fee": "1", "free_amount": "4"}
    one_by_one, at_once = tally(**fields), tally(**fields)
    assert at_once.is_plain
    for value in values:
        add(one_by_one, value)
    at_once.add_usages([Usage(value) for value in values[:5]])
    at_once.add_usages([Usage(value) for value in values[5:]])
    assert close(one_by_one) == close(at_once)


@given(QUANTITIES, st.integers(0, 12))
def test_a_sum_is_as_good_as_its_events_for_a_quantity(values: list[Decimal], split: int) -> None:
    for model in ("graduated", "volume"):
        events, sums = (tally(model=model, tiers=TIERS) for _ in range(2))
        for value in values:
            add(events, value)
        for part in (values[:split], values[split:]):
            if part:
                sums.add_sum({}, sum(part, Decimal(0)))
        assert close(events) == close(sums)


@given(QUANTITIES)
def test_a_tally_is_the_engines_own_fold(values: list[Decimal]) -> None:
    found = tally(model="graduated", tiers=TIERS)
    found.add_usages([Usage(value) for value in values])
    rating = found.component.rating
    assert close(found) == rating.close(rate_events(rating, [Usage(value) for value in values]).values())


@pytest.mark.parametrize(
    ("aggregation", "fields", "is_plain"),
    [
        ("sum", {}, True),
        ("count", {}, True),
        ("max", {}, True),
        ("unique", {}, False),
        ("latest", {}, False),
        ("sum", {"group_by": ["a"]}, False),
    ],
)
def test_plain_tallies_take_events_as_they_come(
    aggregation: str, fields: dict[str, Any], is_plain: bool
) -> None:
    assert tally(aggregation, **fields).is_plain is is_plain
