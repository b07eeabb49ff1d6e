"""Two payloads under one key: the same request, or another?"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.payloads import differing_fields


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"a": 1}, {"a": 1}),
        ({"a": 1}, {"a": Decimal("1.00")}),
        ({"a": 0.1}, {"a": Decimal("0.10")}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": None}, {"a": 1, "b": 2}),
        ({"a": {"x": 1}}, {"a": {"y": 2}}),
        ({"a": [1, {"x": 1}]}, {"a": [Decimal("1.0"), {"x": 1}]}),
        ({}, {"a": 1}),
    ],
)
def test_the_same_request(first: Any, second: Any) -> None:
    assert differing_fields(first, second) == []
    assert differing_fields(second, first) == []


@pytest.mark.parametrize(
    ("first", "second", "fields"),
    [
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": "1"}, {"a": 1}, ["a"]),
        ({"a": True}, {"a": 1}, ["a"]),
        ({"a": "x"}, {"a": "X"}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a[0]", "a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["a.b.c"]),
        ({"a": {"b": 1}}, {"a": [1]}, ["a"]),
        ({"b": 1, "a": 1}, {"a": 2, "b": 2}, ["a", "b"]),
    ],
)
def test_another_request(first: Any, second: Any, fields: list[str]) -> None:
    assert differing_fields(first, second) == fields
    assert differing_fields(second, first) == fields


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())))
def test_a_request_never_differs_from_itself(payload: dict[str, Any]) -> None:
    assert differing_fields(payload, payload) == []
