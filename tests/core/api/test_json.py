"""JSON in and out: exact numbers, strict texts, one notation."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import TextChoices
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from core.api.parsers import parse_leniently
from core.api.renderers import render_json
from core.errors import InvalidRequest
from core.jsonio import check_json


class Colour(TextChoices):
    RED = "red"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1),
        (b"1.10", Decimal("1.10")),
        (b"0.1", Decimal("0.1")),
        (b"1e2", Decimal("1E+2")),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"a": {"b": [true, null]}}', {"a": {"b": [True, None]}}),
    ],
)
def test_values_are_read_exactly(text: bytes, value: Any) -> None:
    read = parse_leniently(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"01",
        b"1 2",
        b"'x'",
        b"{a: 1}",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"[1,]",
        b"undefined",
        b'"\x00"',
    ],
)
def test_what_is_no_json_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_leniently(text)
    assert raised.value.code in ("invalid_json", "invalid_utf8")
    assert raised.value.message


@pytest.mark.parametrize(
    "text",
    [
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b'"\\u0000"',
        b'{"\\u0000": 1}',
        b'"\\ud800"',
        b"[" * 65 + b"]" * 65,
    ],
)
def test_what_no_store_can_hold_passes_until_it_is_checked(text: bytes) -> None:
    value = parse_leniently(text)
    with pytest.raises(InvalidRequest):
        check_json(value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000])
def test_deep_json_is_an_error_not_a_crash(text: bytes) -> None:
    with pytest.raises(InvalidRequest):
        check_json(parse_leniently(text))


@pytest.mark.parametrize(
    "text", [b"1" * 100_000, b"-" + b"9" * 5000, b"1e99999999999999999999", b"1e-99999999999999999"]
)
def test_enormous_numbers_are_read_fast_and_left_to_whoever_uses_them(text: bytes) -> None:
    value = parse_leniently(text)
    assert isinstance(value, Decimal | int)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1.500"), '"1.5"'),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("-0.00"), '"0"'),
        (Decimal("0.000000000000000001"), '"0.000000000000000001"'),
        (datetime(2026, 3, 1, tzinfo=UTC), '"2026-03-01T00:00:00Z"'),
        (
            datetime(2026, 3, 1, 2, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))),
            '"2026-03-01T00:00:00.000005Z"',
        ),
        (date(2026, 3, 1), '"2026-03-01"'),
        (Colour.RED, '"red"'),
        (lazystr("later"), '"later"'),
        (mark_safe("<b>"), '"<b>"'),
        ({"a": [(Decimal("2.0"),)]}, '{"a":[["2"]]}'),
        ({Colour.RED: 1}, '{"red":1}'),
        (True, "true"),
        (None, "null"),
    ],
)
def test_values_are_written_in_one_notation(value: Any, text: str) -> None:
    assert render_json(value).decode() == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@given(json_values)
def test_what_is_written_is_read_as_it_was(value: Any) -> None:
    assert parse_leniently(render_json(value)) == value


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    with suppress(InvalidRequest):
        parse_leniently(raw)


@given(json_values)
def test_python_reads_json_as_we_do(value: Any) -> None:
    text = json.dumps(value)
    assert parse_leniently(text.encode()) == json.loads(text)
