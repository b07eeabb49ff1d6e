"""The JSON Schema of plan files takes what the readers take, and refuses what they refuse by shape."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from config.environment import BASE_DIR
from pricing.catalog import CatalogError, Document, Problem, read_catalog, read_documents
from pricing.catalog.catalog import SECTIONS
from pricing.catalog.plans import PlanTerms
from pricing.catalog.schema import PLAN_FIELDS, plan_file_schema
from pricing.catalog.schema_components import PARAMETERS
from pricing.rating.models import MODEL_NAMES
from tests.pricing.catalog.test_catalog_fuzzed import FULL
from tests.pricing.documents import CALLS, FULL_PLAN, PER_CALL, TOKENS, plan_document

SCHEMA = plan_file_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EVERYTHING: dict[str, Any] = FULL_PLAN | {
    "meters": [
        CALLS | {"late_policy": "note", "unit": "call"},
        TOKENS
        | {
            "filter": [
                {"property": "region", "op": "in", "value": ["eu", 5, True]},
                {"property": "usage.kind", "op": "exists"},
                {"property": "size", "op": "gt", "value": 10},
            ],
            "group_by": ["model"],
        },
    ],
    "features": [{"key": "sso", "name": "Single sign-on", "type": "boolean"}],
    "cost_rates": FULL["cost_rates"],
    "coupons": [
        {"key": "launch", "percent": "20", "periods": 3, "components": ["tok"]},
        {"key": "voucher", "amount": "50.00", "currency": "USD", "max_redemptions": 10},
    ],
}
SHAPE: frozenset[str] = frozenset({"required", "invalid_type", "unknown_key"})
"""The codes of what has the wrong shape."""


def takes(document: Any) -> bool:
    """Whether the schema takes it."""
    return bool(VALIDATOR.is_valid(document))


def problems(document: Any) -> tuple[Problem, ...]:
    """What the readers have against it."""
    try:
        read_catalog([Document(document)])
    except CatalogError as error:
        return error.problems
    return ()


def test_it_is_a_schema_and_can_be_read_by_editors() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["properties"]["plan"]["description"]
    references = re.findall(r"'#/\$defs/(\w+)'", str(SCHEMA))
    assert set(references) == set(SCHEMA["$defs"])


def test_it_knows_every_field_section_and_model() -> None:
    fields = set(PlanTerms.__dataclass_fields__) - {"key", "trial_days", "net_days"}
    assert set(PLAN_FIELDS) == fields | {"plan", "trial", "payment_terms"}
    assert set(SCHEMA["properties"]) == set(PLAN_FIELDS) | set(SECTIONS)
    assert set(PARAMETERS) == set(MODEL_NAMES)


def test_every_object_refuses_fields_that_it_does_not_know() -> None:
    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            if "properties" in schema and schema.get("type") in ("object", ["object", "null"]):
                yield schema
            for inner in schema.values():
                yield from objects(inner)
        elif isinstance(schema, list):
            for inner in schema:
                yield from objects(inner)

    found = list(objects(SCHEMA))
    assert len(found) > 30
    assert all(each["additionalProperties"] is False for each in found)


@pytest.mark.parametrize("document", [EVERYTHING, FULL_PLAN, FULL, plan_document(), {"meters": [CALLS]}])
def test_it_takes_every_document_that_tests_start_from(document: dict[str, Any]) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []
    assert problems(document) == ()


@pytest.mark.parametrize("path", sorted((BASE_DIR / "billing" / "demo" / "plans").glob("*.yaml")), ids=str)
def test_it_takes_every_plan_of_the_demo(path: Path) -> None:
    for document in read_documents(path.read_bytes(), path.name):
        assert [error.message for error in VALIDATOR.iter_errors(document.value)] == []


def test_it_takes_every_example_of_the_documents() -> None:
    count = 0
    for path in [*(BASE_DIR / "docs").rglob("*.md"), *BASE_DIR.glob("*/README.md"), BASE_DIR / "README.md"]:
        for example_text in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL):
            for document in read_documents(example_text.encode(), path.name):
                if isinstance(document.value, dict) and document.value.keys() & set(SCHEMA["properties"]):
                    assert [error.message for error in VALIDATOR.iter_errors(document.value)] == []
                    count += 1
    assert count >= 2


def _edits(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _edits(item, (*path, key))


def edited(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of EVERYTHING with another value at a place; `...` takes it away."""
    document = copy.deepcopy(EVERYTHING)
    inner: Any = document
    for step in path[:-1]:
        inner = inner[step]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


PATHS = list(_edits(EVERYTHING))
OTHER: st.SearchStrategy[Any] = st.sampled_from(
    [..., None, [], {}, [{}], "text", "5", "-5", 5, True, [5], {"key": "k"}, {"odd": 1}, ""]
)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PATHS), OTHER)
@example(("plan",), ...)
@example(("currency",), None)
@example(("components", 0, "unit_price"), 5)
@example(("components", 4, "included"), "5")
@example(("components", 1, "tiers", 0, "up_to"), ...)
@example(("ramps", 0, "overrides"), {})
def test_what_has_the_wrong_shape_for_the_readers_has_it_for_the_schema(
    path: tuple[Any, ...], value: Any
) -> None:
    document = edited(path, value)
    found = problems(document)
    if any(problem.code in SHAPE and not _is_inside_match(problem) for problem in found):
        assert not takes(document)
    if not takes(document) and not _is_lenient(path):
        assert found


def _is_inside_match(problem: Problem) -> bool:
    """The cells' keys are checked against the dimensions, and a ramp's against the plan: by content."""
    path = problem.path or ""
    is_of_a_ramp = path.startswith("ramps[") or (problem.code == "required" and "overrides" in path)
    return ".match" in path or is_of_a_ramp


def _is_lenient(path: tuple[Any, ...]) -> bool:
    """Where the readers take more: a count has no use for a property, and does not look at it."""
    return (path[0], path[-1]) == ("meters", "property")


def _at(path: tuple[Any, ...]) -> Any:
    inner: Any = EVERYTHING
    for step in path:
        inner = inner[step]
    return inner


OF_THE_CALLER = ("match", "components", "base_fees", "entitlements")
"""Objects whose keys are the caller's own."""
RECORDS = [path for path in PATHS if isinstance(_at(path), dict) and path[-1] not in OF_THE_CALLER]


@pytest.mark.parametrize("path", RECORDS, ids=str)
def test_a_misspelt_field_anywhere_is_refused_by_both(path: tuple[Any, ...]) -> None:
    document = edited(path, _at(path) | {"misspelt": "1"})
    assert not takes(document)
    assert problems(document)


@pytest.mark.parametrize(
    ("component", "is_taken"),
    [
        (PER_CALL, True),
        (PER_CALL | {"tiers": []}, False),
        (PER_CALL | {"included": None}, True),
        (PER_CALL | {"unit_price": 0}, False),
        (PER_CALL | {"unit_price": "1e5"}, False),
        (PER_CALL | {"unit_price": "-1"}, False),
        (PER_CALL | {"unit_price": "0." + "1" * 18}, True),
        (PER_CALL | {"unit_price": "0." + "1" * 19}, False),
        (PER_CALL | {"unit_price": "9" * 20}, True),
        (PER_CALL | {"unit_price": "9" * 21}, False),
        (PER_CALL | {"model": "per_use"}, False),
        (PER_CALL | {"quantity_rounding": {"mode": "up"}}, True),
        (PER_CALL | {"quantity_rounding": {"mode": "up", "to": "0"}}, False),
        (PER_CALL | {"quantity_rounding": {"to": "1"}}, False),
        ({"key": "k", "meter": "calls", "model": "cost_plus", "markup": "0.3", "included": "1"}, False),
        (
            {"key": "k", "meter": "calls", "model": "package", "package_price": "1", "package_size": "0"},
            False,
        ),
    ],
)
def test_components_are_checked_by_their_model(component: dict[str, Any], is_taken: bool) -> None:
    document = {"plan": "p", "currency": "USD", "components": [component]}
    assert takes(document) is is_taken
    assert (problems(document) == ()) is is_taken


@pytest.mark.parametrize(
    ("document", "is_taken"),
    [
        ({}, False),
        ([], False),
        ("plan", False),
        ({"plan": "p"}, False),
        ({"name": None}, False),
        ({"meters": []}, True),
        ({"meters": None, "coupons": None}, True),
        ({"plan": "p", "currency": "USD", "name": None, "trial": {}, "components": None}, True),
        ({"plan": "p", "currency": "usd"}, False),
        ({"plan": "-p", "currency": "USD"}, False),
        ({"plan": "p", "currency": "USD", "interval": "week"}, False),
        ({"plans": [{"plan": "p", "currency": "USD"}]}, True),
        ({"plans": [{"plan": "p", "currency": "USD", "meters": []}]}, False),
    ],
)
def test_a_document_is_a_plan_or_sections_or_both(document: Any, is_taken: bool) -> None:
    assert takes(document) is is_taken
    assert (problems(document) == ()) is is_taken
