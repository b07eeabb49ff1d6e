"""Random components of every model and modifier, and events for them, up to the limits of numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from core.numbers import plain

QUANTITY_MODELS = ("per_unit", "graduated", "volume", "package", "graduated_percentage")
EVENT_MODELS = ("percentage", "matrix", "cost_plus")


def decimals(
    integer_digits: int, places: int, *, is_positive: bool = False, is_signed: bool = False
) -> st.SearchStrategy[str]:
    """Texts of decimals: small and round ones, and ones of any length up to the limit."""
    unit_max = 10 ** (integer_digits + places) - 1
    small = st.integers(1 if is_positive else 0, 2000).map(Decimal)
    halves = st.integers(1 if is_positive else 0, 4000).map(lambda units: Decimal(units) / 4)
    exact = st.integers(1 if is_positive else 0, unit_max).map(lambda units: _scaled(units, places))
    tiny = st.integers(1, 99).map(lambda units: _scaled(units, places))
    highest = st.just(_scaled(unit_max, places))
    numbers = st.one_of(small, halves, exact, tiny, highest)
    if is_signed:
        numbers = st.tuples(numbers, st.sampled_from([1, 1, 1, -1])).map(
            lambda pair: pair[0].copy_negate() if pair[1] < 0 else pair[0]
        )
    return numbers.map(plain)


def _scaled(units: int, places: int) -> Decimal:
    return Decimal((0, tuple(int(digit) for digit in str(units)), -places))


prices = decimals(20, 18)
quantities = decimals(20, 12)
discounts = st.one_of(
    st.sampled_from(["0", "10", "12.5", "33.333333333333333333", "100"]),
    st.integers(0, 10**20).map(lambda units: plain(_scaled(units, 18))),
)
values = st.sampled_from(["a", "b", "c", None])
dimensions = st.fixed_dictionaries({}, optional={"model": values, "region": values})


@st.composite
def tiers(draw: st.DrawFn, price_name: str) -> list[dict[str, Any]]:
    bounds = sorted(draw(st.sets(decimals(19, 12, is_positive=True).map(Decimal), max_size=4)))
    made: list[dict[str, Any]] = []
    for bound in [*bounds, None]:
        tier = {"up_to": None if bound is None else plain(bound), price_name: draw(prices)}
        if draw(st.booleans()):
            tier["flat_fee"] = draw(prices)
        made.append(tier)
    return made


@st.composite
def model_fields(draw: st.DrawFn, model: str) -> dict[str, Any]:
    if model == "per_unit":
        return {"unit_price": draw(prices)}
    if model in ("graduated", "volume"):
        return {"tiers": draw(tiers("unit_price"))}
    if model == "graduated_percentage":
        return {"tiers": draw(tiers("rate"))}
    if model == "package":
        size = draw(decimals(20, 12, is_positive=True))
        return {"package_size": size, "package_price": draw(prices)}
    if model == "cost_plus":
        return {"markup": draw(prices)}
    if model == "matrix":
        return draw(matrix_fields())
    return draw(percentage_fields())


@st.composite
def matrix_fields(draw: st.DrawFn) -> dict[str, Any]:
    matches = st.dictionaries(st.sampled_from(["model", "region"]), values, min_size=1)
    cells = draw(
        st.lists(
            matches, min_size=1, max_size=5, unique_by=lambda match: tuple(sorted(match.items(), key=str))
        )
    )
    return {
        "dimensions": ["model", "region"],
        "cells": [{"match": match, "unit_price": draw(prices)} for match in cells],
        "default_unit_price": draw(prices),
    }


@st.composite
def percentage_fields(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, Any] = {"rate": draw(prices)}
    optional = {"fixed_fee": prices, "free_transactions": st.integers(0, 4), "free_amount": prices}
    for name, strategy in optional.items():
        if draw(st.booleans()):
            fields[name] = draw(strategy)
    bounds = sorted([draw(prices), draw(prices)], key=Decimal)
    names = ("min_per_transaction", "max_per_transaction")
    return fields | {name: bound for name, bound in zip(names, bounds, strict=True) if draw(st.booleans())}


@st.composite
def components(draw: st.DrawFn, models: tuple[str, ...] = QUANTITY_MODELS + EVENT_MODELS) -> dict[str, Any]:
    """A valid component with any modifiers that its model allows."""
    model = draw(st.sampled_from(models))
    component = {"key": "c", "model": model} | draw(model_fields(model))
    if model in QUANTITY_MODELS:
        if draw(st.booleans()):
            component["included"] = draw(quantities)
        if draw(st.booleans()):
            mode = draw(st.sampled_from(["up", "down", "half_up"]))
            component["quantity_rounding"] = {"mode": mode, "to": draw(decimals(20, 12, is_positive=True))}
    if draw(st.booleans()):
        component["group_by"] = draw(st.sampled_from([["model"], ["region"], ["model", "region"]]))
    if draw(st.booleans()):
        component["discount_percent"] = draw(discounts)
    minimum, maximum = sorted([draw(prices), draw(prices)], key=Decimal)
    for name, bound in (("minimum", minimum), ("maximum", maximum)):
        if draw(st.booleans()):
            component[name] = bound
    component["bill_zero_usage"] = draw(st.booleans())
    return component


@st.composite
def events(draw: st.DrawFn, *, is_signed: bool = True, max_size: int = 8) -> list[dict[str, Any]]:
    """Events that every model takes: value, dimensions and cost; some negative if signed."""
    value = decimals(20, 12, is_signed=is_signed)
    cost = decimals(20, 18, is_signed=is_signed)
    event = st.fixed_dictionaries({"value": value, "cost": cost, "dimensions": dimensions})
    return draw(st.lists(event, max_size=max_size))
