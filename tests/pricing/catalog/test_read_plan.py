"""A plan's fields: what they mean when left out, and what is said about those that do not fit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.errors import InvalidRequest
from pricing.catalog import PlanTerms, content_hash, read_plan
from pricing.catalog.components import canonical_component
from pricing.cycles import Anchor, Interval, Proration
from pricing.rating import read_component

BARE: dict[str, Any] = {"plan": "pro", "currency": "USD"}
PER_UNIT: dict[str, Any] = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "0.01"}
MODELS: list[dict[str, Any]] = [
    PER_UNIT,
    {"key": "a", "meter": "m", "model": "per_unit", "unit_price": "1.50", "included": "0", "minimum": "0.0"},
    {
        "key": "a",
        "meter": "m",
        "model": "graduated",
        "included": "100",
        "tiers": [
            {"up_to": "10.0", "unit_price": "0.10", "flat_fee": "0"},
            {"up_to": None, "unit_price": "0"},
        ],
    },
    {
        "key": "a",
        "meter": "m",
        "model": "volume",
        "bill_zero_usage": True,
        "tiers": [{"up_to": "10", "unit_price": "0.10", "flat_fee": "1"}, {"up_to": None, "unit_price": "0"}],
    },
    {
        "key": "a",
        "meter": "m",
        "model": "package",
        "package_size": "1000.0",
        "package_price": "5.00",
        "quantity_rounding": {"mode": "up", "to": "1.0"},
        "maximum": "0",
        "bill_zero_usage": False,
    },
    {
        "key": "a",
        "meter": "m",
        "model": "percentage",
        "rate": "0.0290",
        "fixed_fee": "0.30",
        "free_transactions": "10",
        "free_amount": "100.00",
        "min_per_transaction": "0",
        "max_per_transaction": "5.0",
    },
    {
        "key": "a",
        "meter": "m",
        "model": "graduated_percentage",
        "discount_percent": "10.00",
        "tiers": [{"up_to": "10", "rate": "0.10"}, {"up_to": None, "rate": "0.010"}],
    },
    {
        "key": "a",
        "meter": "m",
        "model": "matrix",
        "dimensions": ["model", "region"],
        "default_unit_price": "1.0",
        "cells": [
            {"match": {"region": "eu", "model": 4}, "unit_price": "2.0"},
            {"match": {"model": True}, "unit_price": "3"},
        ],
    },
    {"key": "a", "meter": "m", "model": "cost_plus", "markup": "0.20", "group_by": ["model"], "minimum": "5"},
]


def plan(**fields: Any) -> PlanTerms:
    """A bare plan with these fields."""
    return read_plan(BARE | fields)


def refused(**fields: Any) -> tuple[str, str | None]:
    """(code, param) of the error that a bare plan with these fields gives."""
    with pytest.raises(InvalidRequest) as caught:
        plan(**fields)
    return caught.value.code, caught.value.param


def test_a_plan_needs_a_key_and_a_currency_and_the_rest_has_a_meaning() -> None:
    terms = plan()
    assert (terms.key, terms.name, terms.family, terms.currency) == ("pro", "pro", "", "USD")
    assert (terms.interval, terms.anchor, terms.proration) == (
        Interval.MONTH,
        Anchor.CALENDAR,
        Proration.SECOND,
    )
    assert (terms.base_fees, terms.components, terms.credits, terms.entitlements) == ((), (), (), ())
    assert (terms.minimum_spend, terms.trial_days, terms.net_days) == (Decimal(0), 0, 0)
    assert terms.margin_floor is None


def test_the_canonical_form_leaves_out_what_says_nothing() -> None:
    said = plan(
        name="pro",
        family=None,
        base_fees=[],
        components=[],
        minimum_spend="0.00",
        trial={"days": 0},
        payment_terms={"net_days": 0},
        proration="second",
        margin_floor=None,
        entitlements=None,
    )
    assert said.content() == plan().content()
    assert said.content() == {
        "plan": "pro",
        "name": "pro",
        "currency": "USD",
        "interval": "month",
        "anchor": "calendar",
    }


def test_the_same_amounts_written_otherwise_have_the_same_hash() -> None:
    one = plan(base_fees=[{"key": "p", "amount": "49.00"}], components=[PER_UNIT])
    other = plan(
        components=[dict(reversed(PER_UNIT.items())) | {"unit_price": "0.0100", "group_by": []}],
        base_fees=[{"prorate": False, "timing": "in_advance", "amount": "49", "key": "p"}],
    )
    assert content_hash(one.content()) == content_hash(other.content())
    assert len(content_hash(one.content())) == 64


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Pro"},
        {"interval": "year"},
        {"anchor": "subscription"},
        {"proration": "day"},
        {"minimum_spend": "0.01"},
        {"trial": {"days": 1}},
        {"payment_terms": {"net_days": 30}},
        {"components": [PER_UNIT]},
        {"components": [PER_UNIT | {"unit_price": "0.02"}]},
        {"components": [PER_UNIT | {"maximum": "0"}]},
        {"base_fees": [{"key": "p", "amount": "49", "prorate": True}]},
        {"base_fees": [{"key": "p", "unit_amount": "49"}]},
        {"base_fees": [{"key": "p", "unit_amount": "49", "quantity": "2"}]},
    ],
)
def test_every_difference_in_meaning_is_a_difference_in_hash(fields: dict[str, Any]) -> None:
    hashes = {content_hash(plan().content()), content_hash(plan(components=[PER_UNIT]).content())}
    expected = 1 if fields == {"components": [PER_UNIT]} else 2
    assert len(hashes | {content_hash(plan(**fields).content())}) == expected + 1


def test_the_order_of_lines_is_part_of_the_content() -> None:
    other = PER_UNIT | {"key": "b"}
    assert content_hash(plan(components=[PER_UNIT, other]).content()) != content_hash(
        plan(components=[other, PER_UNIT]).content()
    )


@pytest.mark.parametrize("component", MODELS, ids=lambda component: component["model"])
def test_a_component_rates_the_same_in_its_canonical_form(component: dict[str, Any]) -> None:
    canonical = canonical_component(component)
    assert read_component(canonical) == read_component(component)
    assert canonical_component(canonical) == canonical
    terms = plan(components=[component])
    assert read_plan(terms.content()) == terms


def test_a_whole_plan_reads_back_from_its_canonical_form() -> None:
    terms = plan(
        family="api",
        name="Pro",
        interval="quarter",
        anchor="subscription",
        proration="day",
        base_fees=[
            {"key": "platform", "amount": "49.00", "timing": "in_arrears", "prorate": True},
            {"key": "seats", "unit_amount": "10.00", "quantity": "3"},
        ],
        components=[PER_UNIT],
        credits=[{"key": "monthly", "amount": "20", "every": "month", "priority": 10, "rollover": "5.0"}],
        minimum_spend="100",
        entitlements=[
            {"feature": "workspaces", "type": "limit", "limit": 5},
            {"feature": "sso", "type": "boolean", "value": False},
            {"feature": "vision", "type": "boolean", "value": True, "meter": "images"},
            {"feature": "length", "type": "limit", "limit": 9, "meter": "calls"},
            {"feature": "images", "type": "metered", "meter": "images", "limit": "1000.50"},
        ],
        margin_floor={"min_margin": "0.20", "min_volume": "50", "action": "deny"},
        trial={"days": 14},
        payment_terms={"net_days": 30},
    )
    assert read_plan(terms.content()) == terms
    assert terms.meters == ("calls", "images")
    assert [fee.amount_for(None) for fee in terms.base_fees] == [Decimal(49), Decimal(30)]
    assert [fee.amount_for(Decimal("2.5")) for fee in terms.base_fees] == [Decimal(49), Decimal(25)]
    assert [entitlement.limit for entitlement in terms.entitlements] == [5, None, None, 9, Decimal("1000.5")]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"plan": None}, "required", "plan"),
        ({"plan": "a plan"}, "invalid_value", "plan"),
        ({"plan": "x" * 101}, "invalid_value", "plan"),
        ({"plan": 5}, "invalid_type", "plan"),
        ({"currency": "usd"}, "unknown_currency", "currency"),
        ({"currency": None}, "required", "currency"),
        ({"interval": "week"}, "invalid_value", "interval"),
        ({"anchor": "monday"}, "invalid_value", "anchor"),
        ({"proration": "hour"}, "invalid_value", "proration"),
        ({"colour": "red"}, "unknown_key", "colour"),
        ({"minimum_spend": 5}, "invalid_type", "minimum_spend"),
        ({"minimum_spend": "-5"}, "negative_number", "minimum_spend"),
        ({"minimum_spend": "NaN"}, "invalid_decimal", "minimum_spend"),
        ({"minimum_spend": "1" * 21}, "number_out_of_range", "minimum_spend"),
        ({"trial": {"days": "soon"}}, "invalid_type", "trial.days"),
        ({"trial": {"days": -1}}, "invalid_type", "trial.days"),
        ({"trial": {"days": 4000}}, "number_out_of_range", "trial.days"),
        ({"trial": {"weeks": 2}}, "unknown_key", "trial.weeks"),
        ({"trial": 14}, "invalid_type", "trial"),
        ({"components": {"a": PER_UNIT}}, "invalid_type", "components"),
        ({"components": [5]}, "invalid_type", "components[0]"),
        ({"components": [PER_UNIT, PER_UNIT]}, "duplicate", "components[1].key"),
        ({"components": [PER_UNIT | {"meter": None}]}, "required", "components[0].meter"),
        ({"components": [PER_UNIT | {"key": "a b"}]}, "invalid_value", "components[0].key"),
        ({"components": [PER_UNIT | {"unit_price": 1}]}, "invalid_type", "components[0].unit_price"),
        ({"components": [PER_UNIT | {"unit_prise": "1"}]}, "unknown_key", "components[0].unit_prise"),
        ({"base_fees": [{"key": "a"}]}, "required", "base_fees[0].amount"),
        (
            {"base_fees": [{"key": "a", "amount": "1", "timing": "later"}]},
            "invalid_value",
            "base_fees[0].timing",
        ),
        ({"base_fees": [{"key": "a b", "amount": "1"}]}, "invalid_value", "base_fees[0].key"),
        (
            {"base_fees": [{"key": "calls", "amount": "1"}], "components": [PER_UNIT]},
            "duplicate",
            "components[0].key",
        ),
        ({"credits": [{"key": "a", "amount": "0"}]}, "invalid_value", "credits[0].amount"),
        ({"credits": [{"key": "a", "amount": "1", "every": "day"}]}, "invalid_value", "credits[0].every"),
        (
            {"credits": [{"key": "a", "amount": "1", "priority": 40_000}]},
            "number_out_of_range",
            "credits[0].priority",
        ),
        ({"credits": [{"key": "a", "amount": "1"}] * 2}, "duplicate", "credits[1].key"),
        ({"entitlements": [{"feature": "a", "type": "boolean"}]}, "required", "entitlements[0].value"),
        (
            {"entitlements": [{"feature": "a", "type": "boolean", "value": "yes"}]},
            "invalid_type",
            "entitlements[0].value",
        ),
        (
            {"entitlements": [{"feature": "a", "type": "limit", "limit": "5.5"}]},
            "invalid_type",
            "entitlements[0].limit",
        ),
        (
            {"entitlements": [{"feature": "a", "type": "limit", "limit": 5, "reset": "month"}]},
            "unknown_key",
            "entitlements[0].reset",
        ),
        (
            {"entitlements": [{"feature": "a", "type": "metered", "limit": "5"}]},
            "required",
            "entitlements[0].meter",
        ),
        ({"entitlements": [{"feature": "a", "type": "toggle"}]}, "invalid_value", "entitlements[0].type"),
        (
            {"entitlements": [{"feature": "a", "type": "limit", "limit": 5}] * 2},
            "duplicate",
            "entitlements[1].feature",
        ),
        ({"margin_floor": {"min_margin": "1.2"}}, "invalid_value", "margin_floor.min_margin"),
        ({"margin_floor": {}}, "required", "margin_floor.min_margin"),
        ({"margin_floor": {"min_margin": "0.2", "action": "shout"}}, "invalid_value", "margin_floor.action"),
    ],
)
def test_a_field_that_does_not_fit_is_named(fields: dict[str, Any], code: str, param: str) -> None:
    assert refused(**fields) == (code, param)


@pytest.mark.parametrize("raw", [None, 5, "pro", [], [BARE]])
def test_a_plan_is_an_object(raw: Any) -> None:
    with pytest.raises(InvalidRequest):
        read_plan(raw)


def test_a_share_of_a_maximum_is_refused_once_the_meter_is_known() -> None:
    component = {"key": "a", "meter": "peak", "model": "percentage", "rate": "0.1"}
    assert read_plan(BARE | {"components": [component]}).components[0].meter == "peak"
    with pytest.raises(InvalidRequest) as caught:
        read_plan(BARE | {"components": [component]}, aggregations={"peak": "max"})
    assert caught.value.param == "components[0].model"
