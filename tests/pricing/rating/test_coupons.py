"""What coupons take off, by the table of docs/algorithms/coupons.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.environment import BASE_DIR
from pricing.cycles import Period
from pricing.rating.coupons import Discount, Line, coupon_discount, coupon_discounts, coupon_holds

DOC = (BASE_DIR / "docs" / "algorithms" / "coupons.md").read_text()


def table(number: int) -> list[list[str]]:
    """The rows of the document's table `number`, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", DOC, re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[number].splitlines()]
    return rows[2:]


def lines(text: str) -> list[Line]:
    """`tok 10, img 5` as lines."""
    return [Line(key, Decimal(amount)) for key, amount in (item.split() for item in text.split(", "))]


def discount(text: str) -> Discount:
    """`20 %` or `50`, perhaps followed by `of tok, img`."""
    worth, _, keys = text.partition(" of ")
    components = frozenset(keys.split(", ")) if keys else frozenset()
    if worth.endswith("%"):
        return Discount(Decimal(worth.removesuffix("%").strip()), None, components)
    return Discount(None, Decimal(worth), components)


def amounts(text: str) -> list[Decimal]:
    """`2, 1` as amounts."""
    return [Decimal(item) for item in text.split(", ")]


@pytest.mark.parametrize(("coupons", "before", "taken"), table(0), ids=str)
def test_the_table_of_discounts(coupons: str, before: str, taken: str) -> None:
    discounts = [discount(text) for text in coupons.split("; ")]
    assert coupon_discounts(discounts, lines(before)) == amounts(taken)


def test_the_tables_have_rows() -> None:
    assert len(table(0)) >= 10
    assert len(table(1)) >= 6


def day(text: str) -> datetime:
    """An instant of 2026."""
    return datetime.fromisoformat(f"2026-{text}").replace(tzinfo=UTC)


MONTHS = [
    Period(day("01-01"), day("02-01")),
    Period(day("02-01"), day("03-01")),
    Period(day("03-01"), day("04-01")),
    Period(day("04-01"), day("05-01")),
]


@pytest.mark.parametrize(("redeemed", "limit", "holds"), table(1), ids=str)
def test_the_table_of_periods(redeemed: str, limit: str, holds: str) -> None:
    months = None if limit == "-" else int(limit)
    found = [
        name
        for name, period in zip(("Jan", "Feb", "Mar", "Apr"), MONTHS, strict=True)
        if coupon_holds(period, MONTHS, day(redeemed), months)
    ]
    assert found == ([] if holds == "none" else holds.split(", "))


def test_a_period_listed_twice_counts_once() -> None:
    assert coupon_holds(MONTHS[1], [*MONTHS, *MONTHS], day("01-15"), 2)
    assert not coupon_holds(MONTHS[2], [*MONTHS, *MONTHS], day("01-15"), 2)


AMOUNTS = st.decimals(-100, 1000, places=6)
LINES = st.lists(st.builds(Line, st.sampled_from(["tok", "img", "platform"]), AMOUNTS), max_size=5)
PERCENTS = st.decimals("0.01", 100, places=2).map(lambda percent: Discount(percent, None))
FIXED = st.decimals("0.01", 500, places=4).map(lambda amount: Discount(None, amount))


@given(st.lists(PERCENTS | FIXED, max_size=3), LINES)
def test_nothing_is_ever_taken_beyond_a_line(discounts: list[Discount], before: list[Line]) -> None:
    taken = coupon_discounts(discounts, before)
    assert len(taken) == len(before)
    for line, part in zip(before, taken, strict=True):
        assert 0 <= part <= max(line.amount, Decimal(0))


@given(FIXED, LINES)
def test_an_amount_is_used_up_but_not_exceeded(fixed: Discount, before: list[Line]) -> None:
    assert fixed.amount is not None
    worth = sum((line.amount for line in before if line.amount > 0), Decimal(0))
    assert sum(coupon_discount(fixed, before)) == min(worth, fixed.amount)
