"""The worked tables of docs/algorithms/margin-floor.md and vendor-bills.md, and what holds beyond them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.margin_floors.rule import Sums, is_below, pushes_below
from billing.margin_rules.falling import Course
from billing.margins import Margin
from billing.vendor_bills.allocation import allocate, split_bill
from core.numbers import AMOUNT_QUANTUM, CONTEXT, ZERO
from pricing.catalog.plans import MarginFloor
from tests.pricing.documented import FOLDER, Row, documented, named

amounts = st.decimals("0", "1000000000", places=18, allow_nan=False, allow_infinity=False)
small = st.integers(0, 10_000).map(lambda units: units * AMOUNT_QUANTUM)


def in_table(page: str, first: str, heading: str = "") -> list[Row]:
    """The rows of the table of a page whose first column is called so, above its headings."""
    text = (FOLDER / page).read_text()
    lines = [line for line in text.splitlines() if line.startswith("|")]
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} "))
    header = [cell.strip() for cell in lines[start].strip("|").split("|")]
    rows = []
    for line in lines[start + 2 :]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != len(header):
            break
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def number(text: str) -> Decimal:
    return Decimal(text[:-1]) * AMOUNT_QUANTUM if text.endswith("e") else Decimal(text)


def numbers(text: str) -> list[Decimal]:
    return [number(one) for one in text.split(", ")]


FLOORS = [row for row in in_table("margin-floor.md", "min_margin") if "pushes below" in row]


@pytest.mark.parametrize("row", FLOORS, ids=named)
def test_a_call_is_judged_as_the_page_says(row: Row) -> None:
    floor = MarginFloor(Decimal(row["min_margin"]), Decimal(row["min_volume"]), "deny")
    before = Sums(1, 1, Decimal(row["R"]), Decimal(row["C"]))
    found = pushes_below(floor, lambda: before, Decimal(row["a"]), Decimal(row["c"]))
    assert found is (row["pushes below"] == "yes")


@pytest.mark.parametrize("row", documented("margin-floor.md", "When a margin falls"), ids=named)
def test_a_fall_is_measured_as_the_page_says(row: Row) -> None:
    margins = [
        Margin(
            events=1,
            costed=1,
            revenue=Decimal(row[f"revenue {when}"]),
            known_cost=Decimal(row[f"cost {when}"]),
        )
        for when in ("before", "now")
    ]
    fall = Course(*margins).fall
    assert (fall is not None and fall >= Decimal(row["points"])) is (row["fires"] == "yes")


@pytest.mark.parametrize("row", documented("vendor-bills.md", "How much is spread"), ids=named)
def test_a_bill_is_split_as_the_page_says(row: Row) -> None:
    uplift = None if row["max_uplift"] == "-" else Decimal(row["max_uplift"])
    split = split_bill(
        Decimal(row["total"]),
        Decimal(row["booked"]),
        not_usage=Decimal(row["not_usage"]),
        max_uplift=uplift,
    )
    assert split == (Decimal(row["spread"]), Decimal(row["unattributed"]))


@pytest.mark.parametrize("row", documented("vendor-bills.md", "Over whom"), ids=named)
def test_an_amount_is_divided_as_the_page_says(row: Row) -> None:
    assert allocate(number(row["amount"]), numbers(row["weights"])) == numbers(row["parts"])


@given(amounts, st.lists(amounts, min_size=1, max_size=20).filter(any), st.booleans())
def test_parts_sum_to_the_amount_exactly(amount: Decimal, weights: list[Decimal], is_less: bool) -> None:
    amount = amount.copy_negate() if is_less else amount
    parts = allocate(amount, weights)
    total = ZERO
    for part in parts:
        total = CONTEXT.add(total, part)
    assert total == amount
    assert all(part == 0 for part, weight in zip(parts, weights, strict=True) if not weight)


@given(amounts, st.lists(amounts, min_size=1, max_size=20).filter(any))
def test_no_part_is_a_unit_off_its_share(amount: Decimal, weights: list[Decimal]) -> None:
    whole = sum(weights, ZERO)
    for part, weight in zip(allocate(amount, weights), weights, strict=True):
        share = CONTEXT.divide(CONTEXT.multiply(amount, weight), whole)
        assert abs(CONTEXT.subtract(part, share)) < AMOUNT_QUANTUM


@given(st.lists(small, min_size=1, max_size=20).filter(any), st.integers(0, 100))
def test_taking_off_leaves_no_cost_below_zero(weights: list[Decimal], percent: int) -> None:
    off = (sum(weights, ZERO) * percent / 100).quantize(AMOUNT_QUANTUM)
    for part, weight in zip(allocate(off.copy_negate(), weights), weights, strict=True):
        assert weight + part >= 0


@given(amounts, amounts, amounts, st.none() | st.decimals("0", "5", places=4))
def test_booked_spread_and_unattributed_are_the_total(
    total: Decimal, booked: Decimal, not_usage: Decimal, uplift: Decimal | None
) -> None:
    split = split_bill(total, booked, not_usage=min(total, not_usage), max_uplift=uplift)
    assert CONTEXT.add(CONTEXT.add(booked, split.spread), split.unattributed) == total
    assert CONTEXT.add(booked, split.spread) >= 0


@given(st.lists(st.tuples(amounts, amounts), max_size=30), st.decimals("0", "1", places=2))
def test_a_period_in_which_no_call_was_let_push_is_never_below(
    calls: list[tuple[Decimal, Decimal]], min_margin: Decimal
) -> None:
    floor, sums = MarginFloor(min_margin, ZERO, "deny"), Sums()
    for amount, cost in calls:
        if not pushes_below(floor, partial(replace, sums), amount, cost):
            sums = sums.plus(amount, cost)
        assert not is_below(floor, sums)
