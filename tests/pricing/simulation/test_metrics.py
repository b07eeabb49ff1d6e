"""Comparing metrics and unit costs: the figures by hand, and what must hold of any."""

from __future__ import annotations

from decimal import Decimal
from statistics import correlation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.numbers import CONTEXT
from pricing.simulation.metrics import MetricFit, Point, fit_metric, rank
from pricing.simulation.outcomes import Outcome, deciles, grows_by_more_than, outcome_of
from pricing.simulation.ranks import nearest_rank
from pricing.simulation.unit_costs import unit_costs

FIGURES = st.decimals("0", "1000", places=2)
POINTS = st.lists(st.builds(Point, FIGURES, FIGURES), min_size=3, max_size=12)


def points(*pairs: tuple[str, str]) -> list[Point]:
    return [Point(Decimal(quantity), Decimal(cost)) for quantity, cost in pairs]


def fit(*pairs: tuple[str, str], revenue: str = "60") -> MetricFit:
    return fit_metric(points(*pairs), Decimal(revenue))


def test_a_meter_that_is_cost_itself_follows_it_wholly() -> None:
    found = fit(("1", "3"), ("2", "6"), ("3", "9"))
    assert (found.correlation, found.r_squared) == (Decimal(1), Decimal(1))
    # 6 units bring 60, so 10 each, of which 3 are cost.
    assert found.price == 10
    assert (found.margin_p10, found.margin_median, found.margin_p90) == (Decimal("0.7"),) * 3
    assert found.spread == 0
    assert (found.below_cost, found.unbilled) == (0, 0)


def test_a_meter_that_follows_it_half_spreads_the_margins() -> None:
    # Quantities 1 2 3, costs 2 1 3: n Sxy = 39 - 36 = 3, n Sxx = n Syy = 42 - 36 = 6, so r = 0.5.
    found = fit(("1", "2"), ("2", "1"), ("3", "3"), revenue="12")
    assert (found.correlation, found.r_squared) == (Decimal("0.5"), Decimal("0.25"))
    # At 2 a unit: 2 - 2, 4 - 1, 6 - 3.
    assert found.price == 2
    assert (found.margin_p10, found.margin_median, found.margin_p90) == (0, Decimal("0.5"), Decimal("0.75"))
    assert found.spread == Decimal("0.75")


def test_customers_below_cost_and_those_with_nothing_to_bill_are_counted() -> None:
    found = fit(("10", "1"), ("1", "5"), ("0", "7"), ("0", "0"), revenue="11")
    assert found.price == 1
    assert (found.customers, found.below_cost, found.unbilled) == (4, 1, 1)


@pytest.mark.parametrize("pairs", [[], [("1", "1")], [("1", "1"), ("2", "2")], [("1", "1")] * 5])
def test_nothing_is_said_of_what_does_not_vary(pairs: list[tuple[str, str]]) -> None:
    assert fit(*pairs).correlation is None


def test_without_revenue_there_is_no_price() -> None:
    found = fit(("1", "1"), ("2", "2"), ("3", "4"), revenue="0")
    assert (found.price, found.margin_median, found.spread) == (None, None, None)


@given(POINTS)
def test_the_correlation_is_that_of_the_library(found: list[Point]) -> None:
    got = fit_metric(found, Decimal(1)).correlation
    if got is None:
        assert len({p.quantity for p in found}) == 1 or len({p.cost for p in found}) == 1
    else:
        expected = correlation([float(p.quantity) for p in found], [float(p.cost) for p in found])
        assert float(got) == pytest.approx(expected, abs=1e-5)
        assert -1 <= got <= 1


def test_the_best_meter_comes_first() -> None:
    fits = {
        "falling": fit(("1", "9"), ("2", "6"), ("3", "3")),
        "half": fit(("1", "2"), ("2", "1"), ("3", "3")),
        "unknown": fit(("1", "2")),
        "whole": fit(("1", "3"), ("2", "6"), ("3", "9")),
        "whole with an offset": fit(("1", "1"), ("2", "6"), ("3", "11")),
    }
    assert rank(fits) == ["whole", "whole with an offset", "half", "falling", "unknown"]


def test_unit_costs_by_hand() -> None:
    found = unit_costs(points(("10", "1"), ("100", "5"), ("2", "1"), ("0", "9")))
    assert (found.customers, found.quantity, found.cost) == (3, Decimal(112), Decimal(7))
    assert (found.median, found.p95, found.worst) == (Decimal("0.1"), Decimal("0.5"), Decimal("0.5"))
    assert found.break_even == Decimal("0.0625")


def test_without_usage_there_are_no_unit_costs() -> None:
    found = unit_costs([])
    assert (found.median, found.p95, found.worst, found.break_even) == (None,) * 4


@given(POINTS)
def test_at_the_break_even_price_nothing_is_left_or_lost(found: list[Point]) -> None:
    costs = unit_costs(found)
    if costs.break_even:
        left = CONTEXT.subtract(CONTEXT.multiply(costs.break_even, costs.quantity), costs.cost)
        assert abs(left) <= CONTEXT.multiply(costs.quantity, Decimal("1e-18"))


@pytest.mark.parametrize(
    ("percent", "value"), [(1, 1), (10, 1), (11, 2), (50, 5), (51, 6), (95, 10), (100, 10)]
)
def test_a_percentile_is_somebodys_own(percent: int, value: int) -> None:
    assert nearest_rank([Decimal(n) for n in range(1, 11)], percent) == value
    assert nearest_rank([], percent) is None


@given(st.lists(st.decimals("-50", "50", places=1), max_size=40))
def test_deciles_are_nearest_ranks_of_a_stream(values: list[Decimal]) -> None:
    ordered = sorted(values)
    found = deciles(iter(ordered), len(ordered))
    if not ordered:
        assert found == []
    else:
        wanted = [ordered[0], *(nearest_rank(ordered, 10 * number) for number in range(1, 11))]
        assert found == wanted


@pytest.mark.parametrize(
    ("current", "difference", "percent", "grows"),
    [
        ("100", "10", "10", False),
        ("100", "10.01", "10", True),
        ("100", "-50", "10", False),
        ("0", "0.01", "1000", True),
        ("0", "0", "0", False),
        ("100", "0.01", "0", True),
        ("-10", "1", "10", False),
        ("-10", "1.1", "10", True),
    ],
)
def test_a_bill_grows_by_more_than_a_part_of_it(
    current: str, difference: str, percent: str, grows: bool
) -> None:
    assert grows_by_more_than(Decimal(current), Decimal(difference), Decimal(percent)) is grows


def test_who_pays_less_wins() -> None:
    assert [outcome_of(Decimal(n)) for n in (-1, 0, 1)] == [
        Outcome.WINNER,
        Outcome.UNCHANGED,
        Outcome.LOSER,
    ]
