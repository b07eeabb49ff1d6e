"""What differs between two contents of a plan, and that nothing else is ever said to."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import InvalidRequest
from pricing.catalog import read_plan
from pricing.catalog.diff import Change, Kind, VersionDiff, diff_contents
from tests.pricing.documents import FULL_PLAN

TIERS: list[dict[str, Any]] = [
    {"up_to": "1000", "unit_price": "0.01"},
    {"up_to": "5000", "unit_price": "0.008", "flat_fee": "5"},
    {"up_to": None, "unit_price": "0.005"},
]
TOK: dict[str, Any] = {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}
IMG: dict[str, Any] = {
    "key": "img",
    "meter": "images",
    "model": "matrix",
    "dimensions": ["size", "style"],
    "cells": [
        {"match": {"size": "large", "style": "oil"}, "unit_price": "0.08"},
        {"match": {"size": "large"}, "unit_price": "0.04"},
    ],
}


def content(**fields: Any) -> dict[str, Any]:
    """The canonical form of a plan."""
    return read_plan({"plan": "pro", "currency": "USD"} | fields).content()


def rows(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str, Any, Any]]:
    """What differs, as tuples."""
    return [
        (change.path, change.kind.value, change.old, change.new) for change in diff_contents(old, new).changes
    ]


def tok(**fields: Any) -> dict[str, Any]:
    """A plan with the component `tok`, changed."""
    return content(components=[TOK | fields])


def test_the_same_content_has_no_change() -> None:
    diff = diff_contents(FULL_PLAN, copy.deepcopy(FULL_PLAN))
    assert not diff
    assert diff.changes == ()


def test_without_an_old_content_everything_is_added() -> None:
    diff = diff_contents(None, content(components=[TOK]))
    assert {change.kind for change in diff.changes} == {Kind.ADDED}
    assert [change.path for change in diff.changes] == [
        "name",
        "currency",
        "interval",
        "anchor",
        "components.tok",
        "plan",
    ]


def test_a_price_in_a_tier_is_named_by_component_and_tier() -> None:
    tiers = copy.deepcopy(TIERS)
    tiers[1]["unit_price"] = "0.009"
    assert rows(tok(), tok(tiers=tiers)) == [
        ("components.tok.tiers[1].unit_price", "changed", "0.008", "0.009")
    ]


def test_a_bound_that_moves_is_one_change_while_the_number_of_tiers_stays() -> None:
    tiers = copy.deepcopy(TIERS)
    tiers[0]["up_to"] = "2000"
    assert rows(tok(), tok(tiers=tiers)) == [("components.tok.tiers[0].up_to", "changed", "1000", "2000")]


def test_the_bound_of_the_last_tier_is_null_and_no_absence() -> None:
    one = [{"up_to": None, "unit_price": "1"}]
    two = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "1"}]
    assert rows(tok(tiers=one), tok(tiers=two)) == [("components.tok.tiers[0]", "added", None, two[0])]
    assert rows(tok(tiers=two), tok(tiers=one)) == [("components.tok.tiers[0]", "removed", two[0], None)]


def test_more_or_fewer_tiers_are_matched_by_their_bounds() -> None:
    fewer = [TIERS[0], TIERS[2] | {"unit_price": "0.006"}]
    assert rows(tok(), tok(tiers=fewer)) == [
        ("components.tok.tiers[1].unit_price", "changed", "0.005", "0.006"),
        ("components.tok.tiers[1]", "removed", TIERS[1], None),
    ]


def test_a_flat_fee_that_comes_or_goes_is_a_change_of_its_own() -> None:
    tiers = copy.deepcopy(TIERS)
    del tiers[1]["flat_fee"]
    tiers[2]["flat_fee"] = "1"
    assert rows(tok(), tok(tiers=tiers)) == [
        ("components.tok.tiers[1].flat_fee", "removed", "5", None),
        ("components.tok.tiers[2].flat_fee", "added", None, "1"),
    ]


def test_modifiers_are_compared_one_by_one() -> None:
    old = tok(included="100", quantity_rounding={"mode": "up", "to": "10"})
    new = tok(discount_percent="5", quantity_rounding={"mode": "down", "to": "10"})
    assert rows(old, new) == [
        ("components.tok.included", "removed", "100", None),
        ("components.tok.quantity_rounding.mode", "changed", "up", "down"),
        ("components.tok.discount_percent", "added", None, "5"),
    ]


def test_another_model_shows_every_parameter_that_comes_and_goes() -> None:
    new = content(components=[{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}])
    assert rows(tok(), new) == [
        ("components.tok.model", "changed", "graduated", "per_unit"),
        ("components.tok.tiers", "removed", TIERS, None),
        ("components.tok.unit_price", "added", None, "0.01"),
    ]


def test_cells_are_matched_by_what_they_match() -> None:
    new = copy.deepcopy(IMG)
    new["cells"] = [
        {"match": {"size": "large"}, "unit_price": "0.05"},
        {"match": {"size": "small"}, "unit_price": "0.01"},
    ]
    assert rows(content(components=[IMG]), content(components=[new])) == [
        (
            'components.img.cells[{"size": "large", "style": "oil"}]',
            "removed",
            {"match": {"size": "large", "style": "oil"}, "unit_price": "0.08"},
            None,
        ),
        ('components.img.cells[{"size": "large"}].unit_price', "changed", "0.04", "0.05"),
        (
            'components.img.cells[{"size": "small"}]',
            "added",
            None,
            {"match": {"size": "small"}, "unit_price": "0.01"},
        ),
    ]


def test_components_fees_and_features_come_and_go_whole() -> None:
    fee = {"key": "platform", "amount": "49", "timing": "in_advance", "prorate": False}
    sso = {"feature": "sso", "type": "boolean", "value": True}
    old = content(components=[TOK], base_fees=[fee])
    new = content(components=[IMG], entitlements=[sso])
    assert [row[:2] for row in rows(old, new)] == [
        ("base_fees.platform", "removed"),
        ("components.tok", "removed"),
        ("components.img", "added"),
        ("entitlements.sso", "added"),
    ]
    assert diff_contents(old, new).of("base_fees")[0].old == fee


def test_a_change_says_which_part_it_is_about() -> None:
    old = content(components=[TOK | {"key": "a.b"}], minimum_spend="10", trial={"days": 5})
    new = content(components=[TOK | {"key": "a.b", "maximum": "9"}], minimum_spend="20")
    found = [(change.section, change.part, change.path) for change in diff_contents(old, new).changes]
    assert found == [
        ("components", "a.b", "components.a.b.maximum"),
        ("minimum_spend", None, "minimum_spend"),
        ("trial", None, "trial.days"),
    ]
    diff = diff_contents(old, new)
    assert [change.path for change in diff.of("components", "a.b")] == ["components.a.b.maximum"]
    assert diff.of("components", "a") == []


def test_terms_that_are_left_out_are_added_and_removed() -> None:
    assert rows(content(), content(proration="day", minimum_spend="5")) == [
        ("proration", "added", None, "day"),
        ("minimum_spend", "added", None, "5"),
    ]


def test_another_order_of_the_lines_is_one_change() -> None:
    old, new = content(components=[TOK, IMG]), content(components=[IMG, TOK])
    assert rows(old, new) == [("components", "changed", ["tok", "img"], ["img", "tok"])]
    assert diff_contents(old, new).changes[0].part is None


def test_a_part_added_at_the_end_moves_nothing() -> None:
    assert [row[0] for row in rows(content(components=[TOK]), content(components=[TOK, IMG]))] == [
        "components.img"
    ]


def test_phases_of_a_ramp_are_matched_by_when_they_begin() -> None:
    def ramp(*phases: tuple[int, str]) -> dict[str, Any]:
        return content(
            components=[TOK],
            ramps=[
                {"after_months": months, "overrides": {"minimum_spend": amount}} for months, amount in phases
            ],
        )

    assert rows(ramp((3, "10"), (6, "20")), ramp((3, "15"), (9, "20"))) == [
        ("ramps[3 months].overrides.minimum_spend", "changed", "10", "15"),
        ("ramps[6 months]", "removed", {"after_months": 6, "overrides": {"minimum_spend": "20"}}, None),
        ("ramps[9 months]", "added", None, {"after_months": 9, "overrides": {"minimum_spend": "20"}}),
    ]


def test_as_json_a_change_has_four_fields() -> None:
    [change] = diff_contents(tok(), tok(maximum="5")).changes
    assert change == Change("components", "tok", "components.tok.maximum", Kind.ADDED, None, "5")
    assert change.as_dict() == {
        "path": "components.tok.maximum",
        "kind": "added",
        "old": None,
        "new": "5",
    }


def test_a_diff_is_false_when_it_is_empty() -> None:
    assert not VersionDiff(())
    assert VersionDiff((Change("name", None, "name", Kind.CHANGED, "a", "b"),))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, item in pairs for leaf in _leaves(item, (*path, key))]
    return found or [path]


VALUES = st.sampled_from(["0", "1", "2.5", "tok", "calls", None, 5, True, "month", "year", "day"])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(_leaves(FULL_PLAN)), VALUES | st.just("drop")), max_size=4))
def test_contents_are_equal_if_and_only_if_nothing_changed(edits: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = copy.deepcopy(FULL_PLAN)
    for path, value in edits:
        inner: Any = document
        try:
            for step in path[:-1]:
                inner = inner[step]
            if value == "drop":
                del inner[path[-1]]
            else:
                inner[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
    try:
        new = read_plan(document).content()
    except InvalidRequest:
        return
    old = read_plan(FULL_PLAN).content()
    diff, back = diff_contents(old, new), diff_contents(new, old)
    assert bool(diff) == (old != new) == bool(back)
    paths = [change.path for change in diff.changes]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("section", ["components", "base_fees", "entitlements", "credits"])
def test_dropping_every_part_of_a_section_removes_each_of_them(section: str) -> None:
    old = read_plan(FULL_PLAN).content()
    new = read_plan(
        {key: value for key, value in FULL_PLAN.items() if key not in (section, "ramps")}
    ).content()
    removed = [change for change in diff_contents(old, new).of(section) if change.kind is Kind.REMOVED]
    assert len(removed) == len(FULL_PLAN[section])
