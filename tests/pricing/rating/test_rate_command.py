"""`manage.py rate` answers JSON with JSON, in place, without a database, and exits with 2 for errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

ROOT = Path(__file__).resolve().parents[3]
GOOD = {
    "currency": "USD",
    "components": [{"key": "c", "model": "per_unit", "unit_price": "0.5"}],
    "usage": {"c": {"quantity": "3"}},
}
BAD = GOOD | {
    "components": [{"key": "c", "model": "graduated", "tiers": [{"up_to": "1", "unit_price": "1"}]}]
}


def rate(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Any, int]:
    """The answer to a file, and the exit code."""
    exit_code: Any = 0
    try:
        call_command("rate", str(path))
    except SystemExit as ended:
        exit_code = ended.code
    return json.loads(capsys.readouterr().out), exit_code


@pytest.fixture
def document(tmp_path: Path) -> Path:
    return tmp_path / "document.json"


def test_an_object_gives_an_object(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(json.dumps(GOOD))
    answer, exit_code = rate(document, capsys)
    assert exit_code == 0
    assert answer["total"] == "1.50"


def test_an_array_gives_an_array_with_errors_in_place(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_text(json.dumps([GOOD, BAD, 5, GOOD]))
    answer, exit_code = rate(document, capsys)
    assert exit_code == 2
    assert [item.get("total") for item in answer] == ["1.50", None, None, "1.50"]
    assert answer[1] == {
        "error": {
            "type": "invalid_request",
            "code": "invalid_value",
            "message": "components[0].tiers[0].up_to must be null: the last tier has no upper bound.",
            "param": "components[0].tiers[0].up_to",
        }
    }
    assert answer[2]["error"]["param"] is None


def test_a_single_bad_object_is_answered_by_its_error(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_text(json.dumps(BAD))
    answer, exit_code = rate(document, capsys)
    assert (list(answer), exit_code) == (["error"], 2)


def test_an_empty_array_is_no_error(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text("[]")
    assert rate(document, capsys) == ([], 0)


def test_an_array_of_good_items_exits_with_zero(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(json.dumps([GOOD] * 100))
    answer, exit_code = rate(document, capsys)
    assert (len(answer), exit_code) == (100, 0)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b"\xff",
        b"[" * 100_000,
        b'{"currency": "US\\u0000D"}',
        b'{"currency": "\\ud800"}',
        b'{"currency": "USD", "components": [{"key": "c", "model": "per_unit", "unit_price": 0.5}]}',
        b'{"currency": "USD", "base_fees": [{"key": "c", "amount": 1e400}]}',
        b'{"currency": "USD", "base_fees": [{"key": "c", "amount": ' + b"9" * 10_000 + b"}]}",
        b'{"currency": "USD", "usage": ' + b"[" * 60 + b"]" * 60 + b"}",
    ],
)
def test_a_broken_document_is_one_error(
    document: Path, raw: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_bytes(raw)
    answer, exit_code = rate(document, capsys)
    assert exit_code == 2
    assert set(answer["error"]) == {"type", "code", "message", "param"}


def test_a_missing_file_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer, exit_code = rate(tmp_path / "nowhere.json", capsys)
    assert (answer["error"]["code"], exit_code) == ("unreadable_file", 2)


def test_standard_input_is_read_in_a_process_without_database() -> None:
    environment = os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "LC_ALL": "C"}
    ended = subprocess.run(
        [sys.executable, "manage.py", "rate", "-"],
        input=json.dumps([GOOD | {"currency": "é"}, GOOD]).encode(),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (2, b"")
    answer = json.loads(ended.stdout)
    assert answer[0]["error"]["code"] == "unknown_currency"
    assert answer[1]["total"] == "1.50"
