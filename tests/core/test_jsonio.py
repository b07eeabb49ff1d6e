"""The JSON doors keep numbers exact, refuse what no store can hold, and answer arrays in place."""

from __future__ import annotations

import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidRequest
from core.jsonio import DEPTH_MAX, check_json, parse_json, read_bytes, run_door, write_json


def double(item: Any) -> Any:
    """A door for the tests: doubles an int, refuses anything else."""
    if not isinstance(item, int):
        raise InvalidRequest("not_an_integer", "An integer, please.", "value")
    return {"value": str(item * 2)}


def refusal(raw: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse_json(raw)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"5", 5),
        (b"5.0", Decimal("5.0")),
        (b"1e5", Decimal("1e5")),
        (b'"5.0"', "5.0"),
        (b"0.1000000000000000055511151231257827", Decimal("0.1000000000000000055511151231257827")),
        (b"9" * 5000, Decimal("9" * 5000)),
        (b"true", True),
        (b"null", None),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b"\xef\xbb\xbf{}", {}),
        ('"é"'.encode(), "é"),
    ],
)
def test_a_value_is_read_exactly(raw: bytes, value: Any) -> None:
    assert parse_json(raw) == value
    assert type(parse_json(raw)) is type(value)


@pytest.mark.parametrize(
    "raw", [b"1e99999999999999999999", b"-1E+99999999999999999999", b"1e-99999999999999999999"]
)
def test_a_number_whose_exponent_has_no_room_stays_a_number_out_of_every_range(raw: bytes) -> None:
    value = parse_json(raw)
    assert value.is_finite()
    assert abs(value.adjusted()) > 10**17
    assert (value < 0) == raw.startswith(b"-")


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b"{'a': 1}", "invalid_json", None),
        (b"NaN", "invalid_json", None),
        (b'{"a": [1, Infinity]}', "invalid_json", "a[1]"),
        (b'{"a": {"b": -Infinity}}', "invalid_json", "a.b"),
        (b"\xff\xfe", "invalid_utf8", None),
        ('"é"'.encode("latin-1"), "invalid_utf8", None),
        (b'[{"a": "x\\u0000y"}]', "invalid_text", "[0].a"),
        (b'{"a": {"x\\u0000y": 1}}', "invalid_text", "a"),
        (b'{"a": "\\ud800"}', "invalid_text", "a"),
        (b"[" * 200_000, "too_deep", None),
        (b'{"a":' * 200_000, "too_deep", None),
    ],
)
def test_a_broken_document_is_refused_with_the_place(raw: bytes, code: str, param: str | None) -> None:
    error = refusal(raw)
    assert (error.code, error.param) == (code, param)


def test_nesting_is_allowed_up_to_its_limit() -> None:
    assert parse_json(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX)
    assert refusal(b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1)).code == "too_deep"


def test_a_wide_document_is_no_problem() -> None:
    check_json([[str(number)] for number in range(100_000)])


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "with a space.json"
    path.write_bytes(b'{"a": 1.50}')
    assert read_bytes(str(path)) == b'{"a": 1.50}'


def test_standard_input_is_read_for_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[1]")))
    assert read_bytes("-") == b"[1]"


@pytest.mark.parametrize("name", ["missing.json", ".", "nul\x00.json"])
def test_a_file_that_cannot_be_read_is_an_error_with_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read") as caught:
        read_bytes(str(tmp_path / name))
    assert caught.value.code == "unreadable_file"


def run(tmp_path: Path, raw: bytes) -> tuple[Any, int]:
    path = tmp_path / "in.json"
    path.write_bytes(raw)
    text, exit_code = run_door(str(path), double)
    return json.loads(text), exit_code


def test_a_single_document_gives_a_single_answer(tmp_path: Path) -> None:
    assert run(tmp_path, b"4") == ({"value": "8"}, 0)


def test_an_array_gives_an_array(tmp_path: Path) -> None:
    assert run(tmp_path, b"[1, 2]") == ([{"value": "2"}, {"value": "4"}], 0)
    assert run(tmp_path, b"[]") == ([], 0)


def test_a_bad_item_is_answered_in_its_place_and_the_rest_is_computed(tmp_path: Path) -> None:
    answers, exit_code = run(tmp_path, b'[1, "x", NaN, {"a": "\\u0000"}, 5]')
    assert exit_code == 2
    assert answers[0] == {"value": "2"}
    assert answers[1]["error"] == {
        "type": "invalid_request",
        "code": "not_an_integer",
        "message": "An integer, please.",
        "param": "value",
    }
    assert [answers[2]["error"]["code"], answers[3]["error"]["code"]] == ["invalid_json", "invalid_text"]
    assert answers[3]["error"]["param"] == "a"
    assert answers[4] == {"value": "10"}


def test_a_single_bad_document_is_one_error(tmp_path: Path) -> None:
    answer, exit_code = run(tmp_path, b'"x"')
    assert (answer["error"]["code"], exit_code) == ("not_an_integer", 2)


@pytest.mark.parametrize("raw", [b"", b"[1,", b"\xff", b"[" * 100_000])
def test_an_unreadable_document_is_one_error(tmp_path: Path, raw: bytes) -> None:
    answer, exit_code = run(tmp_path, raw)
    assert (list(answer), exit_code) == (["error"], 2)


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    text, exit_code = run_door(str(tmp_path / "missing"), double)
    assert (json.loads(text)["error"]["code"], exit_code) == ("unreadable_file", 2)


def test_what_is_written_is_ascii_with_plain_decimals() -> None:
    assert write_json({"a": Decimal("1E+3"), "b": "é"}).isascii()
    assert json.loads(write_json({"a": Decimal("1E+3"), "b": "é"})) == {"a": "1000", "b": "é"}


def test_a_float_that_is_not_finite_or_an_unknown_type_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(float("nan"))
    with pytest.raises(TypeError, match="not JSON"):
        write_json(object())
