"""Bodies that are not checked value by value, because their bytes say already that nothing can be wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.api.parsers import _is_plainly_fine, checked_json, parse_leniently
from core.errors import InvalidRequest
from core.jsonio import DEPTH_MAX, check_json

TEXTS = st.text(st.sampled_from('aN\x00\ud800\udc00é\\u"I{[')) | st.text(max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS | st.sampled_from([float("nan"), float("-inf")]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@given(VALUES, st.booleans())
def test_what_is_plainly_fine_is_refused_by_no_check(value: Any, is_ascii: bool) -> None:
    raw = json.dumps(value, ensure_ascii=is_ascii).encode(errors="replace")
    if _is_plainly_fine(raw):
        check_json(parse_leniently(raw))


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (rb'{"a":"\u0000"}', "invalid_text"),
        (rb'{"a\u0000":1}', "invalid_text"),
        (rb'["\ud800"]', "invalid_text"),
        (b"[NaN]", "invalid_json"),
        (b'{"a":-Infinity}', "invalid_json"),
        (nested(DEPTH_MAX + 1).encode(), "too_deep"),
    ],
)
def test_what_no_store_can_hold_is_looked_at_and_refused(raw: bytes, code: str) -> None:
    assert not _is_plainly_fine(raw)
    with pytest.raises(InvalidRequest) as caught:
        checked_json(raw)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "raw", [b'{"tokens":12,"model":"gpt-4o"}', nested(DEPTH_MAX).encode(), b'"\xc3\xa9"']
)
def test_ordinary_bodies_are_plainly_fine(raw: bytes) -> None:
    assert _is_plainly_fine(raw)
    assert checked_json(raw) == json.loads(raw)
