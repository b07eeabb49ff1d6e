"""Documents put together: sections, what they may name of each other, every problem with its place."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pricing.catalog import Catalog, CatalogError, Document, load_catalog, read_catalog, read_documents

METERS = """
meters:
  - {key: tokens, event: completion, aggregation: sum, property: usage.tokens, group_by: [model], unit: token}
"""
PLAN = """
plan: pro
currency: USD
components:
  - {key: tok, meter: tokens, model: per_unit, unit_price: "0.01"}
"""


def catalog(*texts: str) -> Catalog:
    """The catalog of these files."""
    documents: list[Document] = []
    for number, text in enumerate(texts):
        documents += read_documents(text.encode(), f"{number}.yaml")
    return read_catalog(documents)


def problems(*texts: str) -> list[str]:
    """What is printed about these files."""
    with pytest.raises(CatalogError) as caught:
        catalog(*texts)
    return [str(problem) for problem in caught.value.problems]


def test_a_plan_may_have_its_meters_beside_it() -> None:
    found = catalog(METERS + PLAN)
    assert list(found.plans) == ["pro"]
    meter = found.meters["tokens"]
    assert (meter.name, meter.unit, meter.late_policy) == ("tokens", "token", "delta_line")
    assert meter.definition.property == "usage.tokens"
    assert meter.definition.group_by == ("model",)


def test_plans_may_stand_in_a_section_in_documents_of_a_file_or_in_files_of_their_own() -> None:
    section = "plans:\n  - {plan: a, currency: USD}\n  - {plan: b, currency: EUR}\n"
    assert list(catalog(section).plans) == ["a", "b"]
    assert list(catalog(METERS + "---" + PLAN, "plan: free\ncurrency: USD\n").plans) == ["pro", "free"]


def test_a_document_may_have_sections_and_no_plan() -> None:
    assert catalog(METERS).plans == {}


def test_cost_rates_have_a_price_a_currency_and_a_beginning() -> None:
    found = catalog(
        """
cost_rates:
  - vendor: openai
    event: completion
    property: tokens
    filter: [{property: model, op: eq, value: gpt-4o}]
    unit_cost: "0.0000025"
    currency: USD
    starts_at: 2026-01-01T00:00:00Z
  - {vendor: aws, event: completion, unit_cost: "0.001", currency: EUR,
     starts_at: "2026-01-01T00:00:00+01:00", ends_at: "2026-02-01T00:00:00+01:00"}
"""
    )
    first, second = found.cost_rates.values()
    assert (first.vendor, first.property_path, first.unit_cost) == ("openai", "tokens", Decimal("0.0000025"))
    assert (first.starts_at, first.ends_at) == (datetime(2026, 1, 1, tzinfo=UTC), None)
    assert (second.property_path, second.starts_at) == (None, datetime(2025, 12, 31, 23, tzinfo=UTC))


def test_an_entitlement_must_be_of_the_type_that_its_feature_is_declared_with() -> None:
    declared = "features: [{key: sso, name: Single sign-on, type: boolean}]\n---\n"
    plan = "plan: pro\ncurrency: USD\nentitlements:\n  - {feature: sso, type: limit, limit: 5}\n"
    assert problems(declared + plan) == [
        "0.yaml:6: entitlements[0].type must be boolean, as the feature is declared."
    ]
    assert catalog(plan).plans["pro"].entitlements[0].feature == "sso"


def test_every_problem_of_every_file_is_found_at_once() -> None:
    found = problems(
        "plan: a\ncurrency: usd\n---\nplan: b\ncurrency: USD\ninterval: week\n",
        "meters:\n  - {key: m, event: e, aggregation: total}\n  - 5\n",
    )
    assert found[0].startswith("1.yaml:2: meters[0].aggregation: One of count, sum")
    assert found[1:] == [
        "1.yaml:3: meters[1] must be an object.",
        "0.yaml:2: currency must be a currency code in capitals, such as USD.",
        "0.yaml:6: interval must be one of: month, quarter, year.",
    ]


def test_two_plans_with_one_key_are_a_problem_that_names_both_places() -> None:
    assert problems(PLAN, "# one line\nplans:\n  - plan: pro\n    currency: EUR\n") == [
        "1.yaml:3: plans[0]: 'pro' is defined in 0.yaml:2 already."
    ]


def test_a_meter_defined_twice_is_a_problem_even_when_both_say_the_same() -> None:
    assert problems(METERS, METERS) == ["1.yaml:3: meters[0]: 'tokens' is defined in 0.yaml:3 already."]


def test_two_rates_of_one_vendor_for_one_property_may_not_begin_at_once() -> None:
    rate = '{vendor: v, event: e, unit_cost: "1", currency: USD, starts_at: 2026-01-01T00:00:00Z}'
    assert problems(f"cost_rates:\n  - {rate}\n  - {rate}\n") == [
        "0.yaml:3: cost_rates[1]: 'v e' is defined in 0.yaml:2 already."
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- plan: pro\n", "0.yaml:1: A document must be an object with fields."),
        ("just words\n", "0.yaml:1: A document must be an object with fields."),
        ("{}\n", "0.yaml:1: plan is missing."),
        ("name: Pro\n", "0.yaml:1: plan is missing."),
        ("plans: {plan: pro}\n", "0.yaml:1: plans must be a list."),
        ("meters: 5\n", "0.yaml:1: meters must be a list."),
        ("plans: [{}]\n", "0.yaml:1: plans[0].plan is missing."),
        ("discounts: []\nplan: a\ncurrency: USD\n", "0.yaml:1: discounts is not known here"),
        (
            "meters: [{key: m, event: e, aggregation: sum}]\n",
            "0.yaml:1: meters[0].property: property is missing.",
        ),
        (
            "meters: [{key: m, event: e, aggregation: count, late_policy: drop}]\n",
            "0.yaml:1: meters[0].late_policy",
        ),
        (
            "meters: [{key: m, event: e, aggregation: count, group_by: [a..b]}]\n",
            "0.yaml:1: meters[0].group_by[0]",
        ),
        (
            "meters: [{key: m, event: e, aggregation: count, group: [a]}]\n",
            "0.yaml:1: meters[0].group is not known",
        ),
        (
            f"meters: [{{key: m, event: e, aggregation: count, unit: {'u' * 41}}}]\n",
            "0.yaml:1: meters[0].unit may have",
        ),
        (
            "meters:\n- {key: m, event: e, aggregation: count,\n  filter: [{property: p, op: lt, value: x}]}",
            "0.yaml:3: meters[0].filter[0].value",
        ),
        ("features: [{key: f, type: toggle}]\n", "0.yaml:1: features[0].type must be one of"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(text: str, said: str) -> None:
    assert problems(text)[0].startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"currency": "US"}, "0.yaml:1: cost_rates[0].currency must be an ISO 4217 code"),
        ({"starts_at": "2026-01-01"}, "0.yaml:1: cost_rates[0].starts_at: An instant is RFC 3339 text"),
        ({"starts_at": "null"}, "0.yaml:1: cost_rates[0].starts_at is missing."),
        ({"unit_cost": "'-1'"}, "0.yaml:1: cost_rates[0].unit_cost must not be negative."),
        ({"unit_cost": "1"}, "0.yaml:1: cost_rates[0].unit_cost must be a decimal number in quotes"),
        ({"ends_at": "2026-01-01T00:00:00Z"}, "0.yaml:1: cost_rates[0].ends_at must be after starts_at."),
        ({"property": "a..b"}, "0.yaml:1: cost_rates[0].property must be a path"),
        ({"vendor": "v" * 101}, "0.yaml:1: cost_rates[0].vendor may have at most 100 characters."),
        ({"filter": "[{property: p}]"}, "0.yaml:1: cost_rates[0].filter[0].op: op is missing."),
        ({"price": "'1'"}, "0.yaml:1: cost_rates[0].price is not known here"),
    ],
)
def test_what_does_not_fit_in_a_cost_rate_is_said_too(change: dict[str, str], said: str) -> None:
    fields = {"vendor": "v", "event": "e", "unit_cost": "'1'", "currency": "USD"}
    fields |= {"starts_at": "2026-01-01T00:00:00Z"} | change
    text = ", ".join(f"{name}: {value}" for name, value in fields.items())
    assert problems(f"cost_rates: [{{{text}}}]\n")[0].startswith(said)


@pytest.mark.parametrize("number", [0.5, Decimal("0.5"), Decimal("NaN"), 1e400])
def test_a_json_document_may_not_hold_bare_decimals_either(number: Any) -> None:
    component = {"key": "a", "meter": "m", "model": "per_unit", "unit_price": number}
    with pytest.raises(CatalogError) as caught:
        read_catalog([Document({"plan": "pro", "currency": "USD", "components": [component]})])
    assert caught.value.param == "components[0].unit_price"
    assert caught.value.message == "components[0].unit_price must be a decimal number in quotes."


def test_meters_that_nothing_defines_are_listed_with_where_they_are_named() -> None:
    quota = "entitlements:\n  - {feature: images, type: metered, meter: images, limit: '5'}\n"
    found = catalog(PLAN + quota)
    hint = "define it under meters, or create it first."
    assert [str(problem) for problem in found.unknown_meters()] == [
        f"0.yaml:5: components[0].meter: There is no meter 'tokens' in use: {hint}",
        f"0.yaml:7: entitlements[0].meter: There is no meter 'images' in use: {hint}",
    ]
    assert found.unknown_meters(["tokens", "images"]) == []


def test_a_directory_is_read_whole_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "plans" / "pro.yaml").write_text(PLAN)
    (tmp_path / "meters.yml").write_text(METERS)
    (tmp_path / "notes.txt").write_text("not: [yaml")
    (tmp_path / ".hidden" / "old.yaml").write_text("not: [yaml")
    (tmp_path / ".draft.yaml").write_text("not: [yaml")
    found = load_catalog(tmp_path)
    assert (list(found.plans), list(found.meters)) == (["pro"], ["tokens"])
    document, path = found.places["plans", "pro"]
    assert (document.file, path) == (str(tmp_path / "plans" / "pro.yaml"), "")


def test_files_that_cannot_be_read_are_problems_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    (tmp_path / "b.yaml").write_text("a: [")
    (tmp_path / "c.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["invalid_utf8", "invalid_yaml"]
    with pytest.raises(CatalogError, match="cannot be read: No such file"):
        load_catalog(tmp_path / "missing.yaml")


def test_nothing_at_all_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"No \.yaml or \.yml file"):
        load_catalog(tmp_path)
    (tmp_path / "empty.yaml").write_text("# later\n")
    with pytest.raises(CatalogError, match="Nothing is defined here"):
        load_catalog(tmp_path)
