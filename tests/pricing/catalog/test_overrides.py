"""Overrides: named parts changed, added and taken away, and errors that name the override."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidRequest
from pricing.catalog import read_plan
from pricing.catalog.overrides import IN_A_CONTRACT, IN_A_PHASE, apply_overrides, canonical_overrides, placed
from tests.pricing.catalog.test_catalog_fuzzed import ANYTHING, paths, quietly, with_another

TIERS = [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}]
BASE = read_plan(
    {
        "plan": "pro",
        "family": "api",
        "name": "Pro",
        "currency": "USD",
        "base_fees": [
            {"key": "platform", "amount": "49"},
            {"key": "seats", "unit_amount": "10", "quantity": "3", "prorate": True},
        ],
        "components": [
            {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS, "included": "100"},
            {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "0.1", "maximum": "50"},
        ],
        "credits": [{"key": "monthly", "amount": "5"}],
        "entitlements": [{"feature": "spaces", "type": "limit", "limit": 5}],
        "minimum_spend": "100",
        "trial": {"days": 14},
    }
).content()


def overridden(**overrides: Any) -> dict[str, Any]:
    """The canonical content of the base with these overrides."""
    return read_plan(apply_overrides(BASE, overrides)).content()


def part(content: dict[str, Any], section: str, key: str) -> dict[str, Any]:
    """One part of a plan."""
    name = "feature" if section == "entitlements" else "key"
    found: dict[str, Any] = next(item for item in content[section] if item[name] == key)
    return found


def read_over(overrides: dict[str, Any], allowed: tuple[str, ...] = IN_A_CONTRACT) -> None:
    """Read the base with overrides as a contract does."""
    raw = apply_overrides(BASE, overrides, "overrides", allowed)
    try:
        read_plan(raw)
    except InvalidRequest as error:
        raise placed(error, raw, "overrides") from None


def refused(allowed: tuple[str, ...] = IN_A_CONTRACT, **overrides: Any) -> tuple[str, str | None]:
    """(code, param) of what stands against the overrides."""
    with pytest.raises(InvalidRequest) as caught:
        read_over(overrides, allowed)
    return caught.value.code, caught.value.param


def test_without_overrides_the_base_stays_as_it_is() -> None:
    assert overridden() == BASE


def test_a_parameter_that_is_given_replaces_the_whole_parameter() -> None:
    tiers = [{"up_to": None, "unit_price": "0.002"}]
    content = overridden(components={"tok": {"tiers": tiers}})
    assert part(content, "components", "tok") == part(BASE, "components", "tok") | {"tiers": tiers}
    assert part(content, "components", "calls") == part(BASE, "components", "calls")


def test_null_takes_a_parameter_or_a_part_away() -> None:
    content = overridden(components={"tok": {"included": None}, "calls": None}, base_fees={"seats": None})
    assert "included" not in part(content, "components", "tok")
    assert [item["key"] for item in content["components"]] == ["tok"]
    assert [item["key"] for item in content["base_fees"]] == ["platform"]


def test_a_key_that_the_plan_lacks_adds_a_part_at_the_end() -> None:
    image = {"meter": "images", "model": "per_unit", "unit_price": "0.04"}
    content = overridden(components={"img": image}, credits={"extra": {"amount": "7"}})
    assert [item["key"] for item in content["components"]] == ["tok", "calls", "img"]
    assert part(content, "components", "img") == image | {"key": "img"}
    assert part(content, "credits", "extra")["amount"] == "7"


def test_another_model_leaves_the_old_ones_parameters_and_modifiers_behind() -> None:
    content = overridden(
        components={"calls": {"model": "package", "package_size": "10", "package_price": "1"}}
    )
    assert part(content, "components", "calls") == {
        "key": "calls",
        "meter": "calls",
        "model": "package",
        "package_size": "10",
        "package_price": "1",
    }


def test_a_fixed_fee_may_become_one_by_quantity_and_back() -> None:
    content = overridden(base_fees={"platform": {"unit_amount": "5"}, "seats": {"amount": "20"}})
    assert part(content, "base_fees", "platform")["unit_amount"] == "5"
    assert "amount" not in part(content, "base_fees", "platform")
    seats = part(content, "base_fees", "seats")
    assert (seats["amount"], "unit_amount" in seats, "quantity" in seats) == ("20", False, False)
    assert seats["prorate"] is True


def test_an_entitlement_of_another_type_is_a_new_one() -> None:
    metered = {"type": "metered", "meter": "calls", "limit": "1000"}
    content = overridden(entitlements={"spaces": metered, "sso": {"type": "boolean", "value": True}})
    assert part(content, "entitlements", "spaces") == metered | {"feature": "spaces", "reset": "month"}
    assert part(content, "entitlements", "sso")["value"] is True
    assert part(overridden(entitlements={"spaces": {"limit": 9}}), "entitlements", "spaces")["limit"] == 9


def test_terms_are_replaced_as_a_whole_or_taken_away_by_null() -> None:
    content = overridden(
        name="Acme", interval="year", minimum_spend="5000", trial=None, payment_terms={"net_days": 60}
    )
    assert (content["name"], content["interval"], content["minimum_spend"]) == ("Acme", "year", "5000")
    assert content["payment_terms"] == {"net_days": 60}
    assert "trial" not in content
    assert (content["plan"], content["family"], content["currency"]) == ("pro", "api", "USD")


@pytest.mark.parametrize(
    ("discounts", "tok", "calls"),
    [
        ([{"percent": "15"}], "15", "15"),
        ([{"percent": "15", "components": ["tok"]}], "15", None),
        (
            [{"percent": "15", "components": ["tok"]}, {"percent": "5.50", "components": ["calls"]}],
            "15",
            "5.5",
        ),
        ([], None, None),
    ],
)
def test_a_discount_is_given_to_the_named_components_or_to_all(
    discounts: list[dict[str, Any]], tok: str | None, calls: str | None
) -> None:
    content = overridden(discounts=discounts)
    found = [part(content, "components", key).get("discount_percent") for key in ("tok", "calls")]
    assert found == [tok, calls]


def test_a_discount_applies_to_what_the_other_overrides_made() -> None:
    image = {"meter": "images", "model": "per_unit", "unit_price": "0.04"}
    content = overridden(components={"img": image, "tok": None}, discounts=[{"percent": "10"}])
    assert [item["discount_percent"] for item in content["components"]] == ["10", "10"]


@pytest.mark.parametrize(
    ("overrides", "code", "param"),
    [
        ({"components": {"nope": None}}, "unknown_key", "overrides.components.nope"),
        ({"components": {"nope": {"unit_price": "1"}}}, "required", "overrides.components.nope.meter"),
        ({"components": {"tok": {"unit_price": "1"}}}, "unknown_key", "overrides.components.tok.unit_price"),
        ({"components": {"tok": {"key": "other"}}}, "invalid_value", "overrides.components.tok.key"),
        ({"components": {"tok": 5}}, "invalid_type", "overrides.components.tok"),
        ({"components": ["tok"]}, "invalid_type", "overrides.components"),
        (
            {"components": {"tok": {"tiers": [{"up_to": "5", "unit_price": "1"}]}}},
            "invalid_value",
            "overrides.components.tok.tiers[0].up_to",
        ),
        (
            {"components": {"calls": {"minimum": "60"}}},
            "invalid_value",
            "overrides.components.calls.minimum",
        ),
        (
            {"base_fees": {"platform": {"amount": "-1"}}},
            "negative_number",
            "overrides.base_fees.platform.amount",
        ),
        ({"base_fees": {"tok": {"amount": "1"}}}, "duplicate", "overrides.components.tok.key"),
        ({"entitlements": {"spaces": {"limit": "x"}}}, "invalid_type", "overrides.entitlements.spaces.limit"),
        ({"discounts": [{"percent": "101"}]}, "invalid_value", "overrides.discounts[0].percent"),
        ({"discounts": [{}]}, "required", "overrides.discounts[0].percent"),
        (
            {"discounts": [{"percent": "1", "components": ["x"]}]},
            "unknown_key",
            "overrides.discounts[0].components[0]",
        ),
        (
            {"discounts": [{"percent": "1"}, {"percent": "2", "components": ["tok"]}]},
            "unknown_key",
            "overrides.discounts[1].components[0]",
        ),
        ({"minimum_spend": "much"}, "invalid_decimal", "overrides.minimum_spend"),
        ({"trial": {"days": -1}}, "invalid_type", "overrides.trial.days"),
        ({"currency": "EUR"}, "unknown_key", "overrides.currency"),
        ({"plan": "mine"}, "unknown_key", "overrides.plan"),
    ],
)
def test_what_does_not_fit_is_said_of_the_override(overrides: Any, code: str, param: str) -> None:
    assert refused(**overrides) == (code, param)


def test_the_message_names_the_override_too() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_over({"components": {"tok": {"tiers": []}}})
    assert caught.value.message.startswith("overrides.components.tok.tiers must have a tier")


@pytest.mark.parametrize("field", ["trial", "interval", "ramps", "one_off_fees", "name"])
def test_a_phase_changes_prices_and_not_the_calendar(field: str) -> None:
    assert refused(IN_A_PHASE, **{field: None}) == ("unknown_key", f"overrides.{field}")


def test_overrides_have_one_notation_in_which_null_and_zero_stay() -> None:
    raw = {
        "minimum_spend": "10.00",
        "components": {
            "tok": {"included": None, "minimum": "0.0", "tiers": [{"up_to": None, "unit_price": "0.10"}]},
            "m": {"cells": [{"match": {"size": "10.0"}, "unit_price": "1.0"}], "dimensions": ["1.0"]},
        },
        "discounts": [{"percent": "5.0", "components": ["tok"]}],
    }
    found = canonical_overrides(raw)
    assert found == {
        "components": {
            "m": {"cells": [{"match": {"size": "10.0"}, "unit_price": "1"}], "dimensions": ["1.0"]},
            "tok": {"included": None, "minimum": "0", "tiers": [{"unit_price": "0.1", "up_to": None}]},
        },
        "discounts": [{"components": ["tok"], "percent": "5"}],
        "minimum_spend": "10",
    }
    assert canonical_overrides(found) == found
    assert list(found) == sorted(found)


OVERRIDES: dict[str, Any] = {
    "components": {"tok": {"tiers": TIERS}, "calls": None},
    "base_fees": {"seats": {"unit_amount": "1"}},
    "entitlements": {"spaces": {"limit": 5}},
    "discounts": [{"percent": "5", "components": ["tok"]}],
    "ramps": [{"after_months": 3, "overrides": {"components": {"tok": {"included": "5"}}}}],
    "trial": {"days": 3},
}


@quietly
@given(st.sampled_from(paths(OVERRIDES)), ANYTHING)
def test_any_value_at_any_place_is_taken_or_named(path: tuple[Any, ...], value: Any) -> None:
    raw = with_another(OVERRIDES, path, value)
    refusal: InvalidRequest | None = None
    try:
        read_over(raw)
    except InvalidRequest as error:
        refusal = error
    if refusal is None:
        content = read_plan(apply_overrides(BASE, raw)).content()
        assert read_plan(content).content() == content
    else:
        assert refusal.param is None or refusal.param.startswith("overrides")
        assert refusal.message
