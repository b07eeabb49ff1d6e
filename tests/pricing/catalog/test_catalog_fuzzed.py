"""Whatever a file holds, it is a catalog or a list of problems, never another exception."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricing.catalog import (
    CatalogError,
    Document,
    Problem,
    content_hash,
    read_catalog,
    read_documents,
    read_plan,
)
from tests.pricing.documents import CALLS, PER_CALL, TOKENS

T = TypeVar("T")
FULL: dict[str, Any] = {
    "plan": "pro",
    "family": "api",
    "name": "Pro",
    "currency": "USD",
    "interval": "month",
    "anchor": "subscription",
    "base_fees": [
        {"key": "platform", "amount": "49.00", "prorate": True},
        {"key": "seats", "unit_amount": "10"},
    ],
    "components": [
        PER_CALL | {"included": "5", "quantity_rounding": {"mode": "up", "to": "1"}},
        {"key": "t", "meter": "tokens", "model": "volume", "tiers": [{"up_to": None, "unit_price": "1"}]},
        {"key": "p", "meter": "calls", "model": "percentage", "rate": "0.1", "free_transactions": 5},
        {
            "key": "m",
            "meter": "calls",
            "model": "matrix",
            "dimensions": ["size"],
            "cells": [{"match": {"size": 5}, "unit_price": "1"}],
        },
    ],
    "credits": [{"key": "c", "amount": "5", "every": "month"}],
    "entitlements": [{"feature": "f", "type": "metered", "meter": "calls", "limit": "5"}],
    "margin_floor": {"min_margin": "0.2"},
    "trial": {"days": 5},
    "meters": [CALLS, TOKENS | {"filter": [{"property": "a", "op": "in", "value": [1]}], "group_by": ["m"]}],
    "features": [{"key": "f", "type": "metered"}],
    "cost_rates": [
        {
            "vendor": "v",
            "event": "e",
            "unit_cost": "1",
            "currency": "USD",
            "starts_at": "2026-01-01T00:00:00Z",
        }
    ],
}
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.text(max_size=20)
    | st.sampled_from(
        ["1", "0", "-1", "1e5", "USD", "count", "per_unit", "calls", "month", "\x00", "9" * 30]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
quietly = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += paths(item, (*path, key))
    return found


def with_another(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of the document with another value at that place."""
    changed = copy.deepcopy(document)
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return changed


def outcome(read: Callable[[], T]) -> tuple[T | None, tuple[Problem, ...]]:
    """What was read, or the problems; any other exception fails the test."""
    try:
        return read(), ()
    except CatalogError as error:
        return None, error.problems


def test_the_document_that_is_changed_below_is_valid() -> None:
    assert list(read_catalog([Document(FULL)]).plans) == ["pro"]


@quietly
@given(st.sampled_from(paths(FULL)), ANYTHING)
def test_any_value_at_any_place_is_taken_or_named(path: tuple[Any, ...], value: Any) -> None:
    catalog, problems = outcome(lambda: read_catalog([Document(with_another(FULL, path, value))]))
    assert (catalog is None) == bool(problems)
    assert all(problem.message for problem in problems)
    for terms in catalog.plans.values() if catalog else ():
        assert read_plan(terms.content()) == terms
        assert content_hash(terms.content()) == content_hash(read_plan(terms.content()).content())


@quietly
@given(ANYTHING)
def test_any_document_is_taken_or_refused(value: Any) -> None:
    catalog, problems = outcome(lambda: read_catalog([Document(value)]))
    assert (catalog is None) == bool(problems)


@quietly
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_are_yaml_or_a_problem(raw: bytes) -> None:
    _, problems = outcome(lambda: read_documents(raw, "f.yaml"))
    assert all(problem.file == "f.yaml" for problem in problems)


@quietly
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%#?, \n\t\\01.~<@`", max_size=60))
def test_any_signs_of_yaml_are_yaml_or_a_problem(text: str) -> None:
    _, problems = outcome(lambda: read_catalog(read_documents(text.encode(), "f.yaml")))
    assert all(str(problem).startswith("f.yaml") for problem in problems)
