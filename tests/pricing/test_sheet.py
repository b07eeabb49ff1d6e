"""A version as a price sheet: every model in rows, prices said for as many units as one can read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pricing.catalog import read_plan
from pricing.comparing import compare_versions, price_change
from pricing.sheet import ComponentSheet, PriceRow, component_sheets

D = Decimal


def sheet(**definition: Any) -> ComponentSheet:
    """The sheet of one component."""
    component = {"key": "tok", "meter": "tokens", **definition}
    (found,) = component_sheets(read_plan({"plan": "p", "currency": "USD", "components": [component]}))
    return found


TIERS = [
    {"up_to": "100", "unit_price": "0.02", "flat_fee": "3"},
    {"up_to": "500", "unit_price": "0.015"},
    {"up_to": None, "unit_price": "0.01"},
]


def test_tiers_are_rows_that_begin_where_the_one_before_ends() -> None:
    found = sheet(model="graduated", tiers=TIERS)
    assert found.rows == (
        PriceRow("unit", D("0.02"), D(0), D(100), flat_fee=D(3)),
        PriceRow("unit", D("0.015"), D(100), D(500)),
        PriceRow("unit", D("0.01"), D(500), None),
    )
    assert (found.has_tiers, found.has_flat_fees, found.words) == (
        True,
        True,
        "Each unit at the price of its own tier",
    )


@pytest.mark.parametrize(
    ("definition", "row"),
    [
        ({"model": "per_unit", "unit_price": "0.5"}, PriceRow("unit", D("0.5"))),
        ({"model": "package", "package_size": "100", "package_price": "4"}, PriceRow("package", D(4))),
        (
            {"model": "percentage", "rate": "0.029", "fixed_fee": "0.30"},
            PriceRow("rate", D("0.029"), flat_fee=D("0.3")),
        ),
        ({"model": "cost_plus", "markup": "0.25"}, PriceRow("markup", D("0.25"))),
        (
            {"model": "graduated_percentage", "tiers": [{"up_to": None, "rate": "0.01"}]},
            PriceRow("rate", D("0.01"), D(0)),
        ),
    ],
)
def test_every_other_model_says_its_one_price(definition: dict[str, Any], row: PriceRow) -> None:
    assert sheet(**definition).rows == (row,)


def test_a_matrix_has_a_row_for_each_cell_and_one_for_everything_else() -> None:
    cells = [{"match": {"model": "a"}, "unit_price": "2"}, {"match": {"model": "b"}, "unit_price": "3"}]
    found = sheet(model="matrix", dimensions=["model"], cells=cells, default_unit_price="1")
    assert [(row.match, row.price, row.is_rest) for row in found.rows] == [
        ((("model", "a"),), D(2), False),
        ((("model", "b"),), D(3), False),
        ((), D(1), True),
    ]


@pytest.mark.parametrize(
    ("price", "per", "shown"),
    [
        ("5", "1", "5"),
        ("0.001", "1", "0.001"),
        ("0.00025", "1000", "0.25"),
        ("0.0000042", "1000000", "4.2"),
        ("0", "1", "0"),
    ],
)
def test_a_small_price_is_said_for_a_thousand_or_a_million(price: str, per: str, shown: str) -> None:
    found = sheet(model="per_unit", unit_price=price)
    assert (found.per, [amount for _, amount in found.shown]) == (D(per), [D(shown)])


def test_what_bounds_a_line_is_listed_in_reading_order() -> None:
    found = sheet(model="per_unit", unit_price="1", minimum="5", maximum="9", included="3")
    assert found.limits == (("included", "3"), ("maximum", "9"), ("minimum", "5"))


def plan(*components: dict[str, Any], **terms: Any) -> Any:
    """The terms of a plan."""
    return read_plan({"plan": "p", "currency": "USD", "components": list(components), **terms})


def component(price: str, key: str = "tok", **more: Any) -> dict[str, Any]:
    """One priced line."""
    return {"key": key, "meter": "tokens", "model": "per_unit", "unit_price": price, **more}


def test_the_same_content_does_not_differ() -> None:
    found = compare_versions(plan(component("1.0")), plan(component("1")))
    assert (found.is_same, found.counts) == (True, {"added": 0, "removed": 0, "changed": 0})


def test_a_comparison_says_what_was_added_removed_and_changed() -> None:
    fee = {"key": "platform", "amount": "9", "timing": "in_advance", "prorate": True}
    sso = {"feature": "sso", "type": "boolean", "value": True}
    old = plan(component("1"), component("2", "gone"), trial={"days": 14}, entitlements=[sso])
    new = plan(component("1.5", included="10"), component("3", "fresh"), base_fees=[fee], minimum_spend="25")
    found = compare_versions(old, new)
    assert {pair.key: pair.mark for pair in found.components} == {
        "tok": "changed",
        "fresh": "added",
        "gone": "removed",
    }
    assert {pair.key: pair.mark for pair in found.facts} == {"minimum_spend": "added", "trial": "removed"}
    assert [pair.mark for pair in (*found.fees, *found.entitlements)] == ["added", "removed"]
    assert found.counts == {"added": 3, "removed": 3, "changed": 1}
    assert [(pair.key, pair.old, pair.new) for pair in found.components[0].limits] == [
        ("included", None, "10")
    ]


def test_a_changed_price_says_by_how_much() -> None:
    (pair,) = compare_versions(plan(component("0.4")), plan(component("0.5"))).components
    # The same place (every unit) in both versions.
    assert [price_change(line) for line in pair.prices] == [D("0.25")]


def tiers(*steps: tuple[str | None, str], model: str = "graduated", **more: Any) -> dict[str, Any]:
    """One priced line in tiers of (end, price)."""
    cut = [{"up_to": end, "unit_price": price} | more for end, price in steps]
    return {"key": "tok", "meter": "tokens", "model": model, "tiers": cut}


def lines(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The prices of two plans beside each other as (above, up to, old, new)."""
    (pair,) = compare_versions(plan(old), plan(new)).components
    rows = [(line.old or line.new, line) for line in pair.prices]
    return [
        (row.above, row.up_to, line.old and line.old.price, line.new and line.new.price)
        for row, line in rows
        if row is not None
    ]


@pytest.mark.parametrize("model", ["graduated", "volume"])
def test_tiers_with_other_bounds_are_cut_wherever_one_of_either_ends(model: str) -> None:
    old = tiers(("2", "4.2"), ("10", "3.6"), (None, "3"), model=model)
    new = tiers(("2", "3.6"), ("5", "3.6"), (None, "3.4"), model=model)
    assert lines(old, new) == [
        (D(0), D(2), D("4.2"), D("3.6")),
        (D(2), D(5), D("3.6"), D("3.6")),
        (D(5), D(10), D("3.6"), D("3.4")),
        (D(10), None, D(3), D("3.4")),
    ]
    (pair,) = compare_versions(plan(old), plan(new)).components
    assert [line.mark for line in pair.prices] == ["changed", "unchanged", "changed", "changed"]


def test_one_price_beside_tiers_is_cut_like_them() -> None:
    assert lines(component("2"), tiers(("100", "2"), (None, "1"))) == [
        (D(0), D(100), D(2), D(2)),
        (D(100), None, D(2), D(1)),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (tiers(("100", "2"), (None, "1")), tiers(("50", "2"), (None, "1"), flat_fee="5")),
        (tiers(("100", "2"), (None, "1")), tiers(("50", "2"), (None, "1"), model="volume")),
    ],
    ids=["entering a tier costs something", "a tier means something else"],
)
def test_tiers_that_do_not_mean_the_same_stand_in_one_order_without_a_change(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    (pair,) = compare_versions(plan(old), plan(new)).components
    rows = [(line.mark, (line.new or line.old).above) for line in pair.prices if line.new or line.old]  # type: ignore[union-attr]
    assert rows == [("added", D(0)), ("removed", D(0)), ("added", D(50)), ("removed", D(100))]
    assert [price_change(line) for line in pair.prices] == [None] * 4


def test_prices_of_two_models_are_not_compared() -> None:
    package = {
        "key": "tok",
        "meter": "tokens",
        "model": "package",
        "package_size": "10",
        "package_price": "9",
    }
    (pair,) = compare_versions(plan(component("1")), plan(package)).components
    assert [(line.mark, price_change(line)) for line in pair.prices] == [("added", None), ("removed", None)]


def test_both_versions_are_said_for_the_finer_number_of_units() -> None:
    (pair,) = compare_versions(plan(component("0.5")), plan(component("0.0000042"))).components
    assert pair.per == D(1_000_000)
