"""The door of RATING.md section 5: `aggregate_document` and `manage.py aggregate`."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from core.errors import InvalidRequest
from metering.aggregation.door import aggregate_document

PERIOD = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
SUM = {"event": "call", "aggregation": "sum", "property": "tokens"}
EXAMPLE: dict[str, Any] = {
    "meter": {
        "event": "call",
        "aggregation": "sum",
        "property": "tokens",
        "filter": [{"property": "region", "op": "in", "value": ["eu", "us"]}],
        "group_by": ["model"],
    },
    "period": PERIOD,
    "events": [
        {
            "idempotency_key": "a",
            "event": "call",
            "occurred_at": "2026-01-05T00:00:00Z",
            "properties": {"tokens": 5, "region": "eu", "model": "m"},
        }
    ],
}


def call(key: str, tokens: Any, at: str = "2026-01-05T00:00:00Z", **fields: Any) -> dict[str, Any]:
    event = {"idempotency_key": key, "event": "call", "occurred_at": at, "properties": {"tokens": tokens}}
    return event | fields


def answer(*events: Any, meter: Any = SUM, **fields: Any) -> dict[str, Any]:
    return aggregate_document({"meter": meter, "period": PERIOD, "events": list(events)} | fields)


def refusal(document: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        aggregate_document(document)
    return caught.value.code, caught.value.param


def test_the_example_of_the_specification() -> None:
    assert aggregate_document(EXAMPLE) == {
        "groups": [{"dimensions": {"model": "m"}, "value": "5"}],
        "ignored": 0,
        "duplicates": 0,
        "conflicts": 0,
    }


def test_without_group_by_there_is_one_value() -> None:
    meter = EXAMPLE["meter"] | {"group_by": []}
    assert aggregate_document(EXAMPLE | {"meter": meter}) == {
        "value": "5",
        "ignored": 0,
        "duplicates": 0,
        "conflicts": 0,
    }


# Keys


def test_the_first_event_of_a_key_counts() -> None:
    assert answer(call("a", 1), call("a", 1), call("a", 2), call("b", 4)) == {
        "value": "5",
        "ignored": 0,
        "duplicates": 1,
        "conflicts": 1,
    }


def test_every_repetition_is_compared_with_the_first() -> None:
    assert answer(call("a", 1), call("a", 2), call("a", 2), call("a", "1.0"))["conflicts"] == 2


def test_an_absent_field_makes_no_conflict() -> None:
    bare = {"idempotency_key": "a", "event": "call", "occurred_at": "2026-01-05T00:00:00Z"}
    assert answer(call("a", 1, user="u"), bare, call("a", 1, trace="t"))["duplicates"] == 2
    assert answer(call("a", 1, user="u"), call("a", 1, user="v"))["conflicts"] == 1


def test_a_key_is_taken_by_an_event_of_another_name() -> None:
    assert answer(call("a", 1, event="other"), call("a", 1)) == {
        "value": "0",
        "ignored": 0,
        "duplicates": 0,
        "conflicts": 1,
    }


def test_a_key_is_taken_by_an_event_outside_the_period() -> None:
    assert answer(call("a", 1, "2025-12-31T23:59:59Z"), call("a", 1)) == {
        "value": "0",
        "ignored": 0,
        "duplicates": 0,
        "conflicts": 1,
    }


def test_repetitions_outside_the_period_are_still_counted_as_such() -> None:
    late = call("a", 1, "2026-02-01T00:00:00Z")
    assert answer(late, late) == {"value": "0", "ignored": 0, "duplicates": 1, "conflicts": 0}


def test_a_repetition_is_never_ignored_as_well() -> None:
    assert answer(call("a", "x"), call("a", "x")) == {
        "value": "0",
        "ignored": 1,
        "duplicates": 1,
        "conflicts": 0,
    }


def test_the_same_instant_in_another_zone_is_the_same_payload() -> None:
    there = call("a", 1, "2026-01-05T05:30:00+05:30")
    assert answer(call("a", 1), there)["duplicates"] == 1


# What is skipped


def test_other_names_are_skipped_and_counted_nowhere() -> None:
    assert answer(call("a", "x", event="Call"), call("b", 1)) == {
        "value": "1",
        "ignored": 0,
        "duplicates": 0,
        "conflicts": 0,
    }


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("2026-01-01T00:00:00Z", "1"),
        ("2025-12-31T23:59:59.999999Z", "0"),
        ("2026-01-31T23:59:59.999999999Z", "1"),
        ("2026-02-01T00:00:00Z", "0"),
        ("2026-02-01T00:30:00+01:00", "1"),
        ("2026-01-31T19:00:00-05:00", "0"),
    ],
)
def test_the_period_is_half_open_in_absolute_time(at: str, value: str) -> None:
    assert answer(call("a", 1, at))["value"] == value


def test_the_period_may_be_written_in_local_time() -> None:
    period = {"start": "2026-01-01T00:00:00+01:00", "end": "2026-02-01T00:00:00+01:00"}
    assert answer(call("a", 1, "2025-12-31T23:00:00Z"), period=period)["value"] == "1"
    assert answer(call("a", 1, "2026-01-31T23:00:00Z"), period=period)["value"] == "0"


def test_events_that_do_not_pass_the_filter_are_not_ignored_but_skipped() -> None:
    meter = SUM | {"filter": [{"property": "region", "op": "eq", "value": "eu"}]}
    assert answer(call("a", "x"), meter=meter)["ignored"] == 0


def test_properties_may_be_absent_or_null() -> None:
    bare = {"idempotency_key": "a", "event": "call", "occurred_at": "2026-01-05T00:00:00Z"}
    assert answer(bare, bare | {"idempotency_key": "b", "properties": None})["ignored"] == 2


def test_an_event_may_carry_whatever_else() -> None:
    assert answer(call("a", 1, id="evt_1", costs=[], workspace="ws"))["value"] == "1"


# Bad documents


@pytest.mark.parametrize(
    ("document", "code", "param"),
    [
        (5, "invalid_type", None),
        (None, "invalid_type", None),
        ([EXAMPLE], "invalid_type", None),
        ({}, "missing_field", "meter"),
        ({"meter": SUM}, "missing_field", "period"),
        ({"meter": SUM, "period": PERIOD}, "missing_field", "events"),
        ({"meter": SUM, "period": PERIOD, "event": []}, "unknown_field", "event"),
        ({"meter": SUM, "period": 5, "events": []}, "invalid_type", "period"),
        ({"meter": SUM, "period": {}, "events": []}, "missing_field", "period.start"),
        ({"meter": SUM, "period": {"start": PERIOD["start"]}, "events": []}, "missing_field", "period.end"),
        ({"meter": SUM, "period": PERIOD | {"end": "soon"}, "events": []}, "invalid_instant", "period.end"),
        ({"meter": SUM, "period": PERIOD | {"to": "x"}, "events": []}, "unknown_field", "period.to"),
        (
            {"meter": SUM, "period": PERIOD | {"end": PERIOD["start"]}, "events": []},
            "invalid_period",
            "period.end",
        ),
        ({"meter": SUM, "period": PERIOD, "events": {}}, "invalid_type", "events"),
        ({"meter": SUM, "period": PERIOD, "events": [5]}, "invalid_type", "events[0]"),
    ],
)
def test_a_bad_document_names_the_place(document: Any, code: str, param: str | None) -> None:
    assert refusal(document) == (code, param)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"idempotency_key": None}, "missing_field", "events[1].idempotency_key"),
        ({"idempotency_key": ""}, "invalid_type", "events[1].idempotency_key"),
        ({"idempotency_key": 5}, "invalid_type", "events[1].idempotency_key"),
        ({"event": None}, "missing_field", "events[1].event"),
        ({"event": ["call"]}, "invalid_type", "events[1].event"),
        ({"occurred_at": None}, "missing_field", "events[1].occurred_at"),
        ({"occurred_at": "2026-01-05"}, "invalid_instant", "events[1].occurred_at"),
        ({"occurred_at": 1767605400}, "invalid_instant", "events[1].occurred_at"),
        ({"properties": []}, "invalid_type", "events[1].properties"),
        ({"properties": "x"}, "invalid_type", "events[1].properties"),
    ],
)
def test_a_bad_event_names_the_place(fields: dict[str, Any], code: str, param: str) -> None:
    events = [call("a", 1), call("b", 1) | fields]
    assert refusal({"meter": SUM, "period": PERIOD, "events": events}) == (code, param)


@pytest.mark.parametrize(
    ("initial", "code", "param"),
    [
        ("much", "invalid_value", "initial"),
        (True, "invalid_value", "initial"),
        ({"value": "1"}, "invalid_value", "initial"),
        (["1"], "invalid_type", "initial[0]"),
        ([{"dimensions": {"m": "a"}}], "invalid_value", "initial[0].value"),
        ([{"dimensions": "a", "value": "1"}], "invalid_type", "initial[0].dimensions"),
        ([{"dimensions": {"x": "a"}, "value": "1"}], "unknown_field", "initial[0].dimensions.x"),
        ([{"value": "1"}, {"dimensions": {"m": None}, "value": "1"}], "invalid_value", "initial[1]"),
    ],
)
def test_a_bad_initial_level_names_the_place(initial: Any, code: str, param: str) -> None:
    meter = {"event": "call", "aggregation": "weighted_sum", "property": "v", "carry_over": True}
    document = {"meter": meter | {"group_by": ["m"]}, "period": PERIOD, "events": [], "initial": initial}
    assert refusal(document) == (code, param)


# The command


def run_command(tmp_path: Path, raw: str | bytes) -> tuple[Any, int]:
    path = tmp_path / "in.json"
    path.write_bytes(raw.encode() if isinstance(raw, str) else raw)
    out = io.StringIO()
    try:
        call_command("aggregate", str(path), stdout=out)
    except SystemExit as stop:
        return json.loads(out.getvalue()), int(str(stop.code))
    return json.loads(out.getvalue()), 0


def test_the_command_answers_a_document(tmp_path: Path) -> None:
    assert run_command(tmp_path, json.dumps(EXAMPLE)) == (aggregate_document(EXAMPLE), 0)


def test_the_command_answers_an_array_in_place_and_exits_with_2(tmp_path: Path) -> None:
    bad = EXAMPLE | {"meter": EXAMPLE["meter"] | {"aggregation": "median"}}
    answers, exit_code = run_command(tmp_path, json.dumps([EXAMPLE, bad, EXAMPLE]))
    assert exit_code == 2
    assert [list(one) for one in answers] == [
        ["groups", "ignored", "duplicates", "conflicts"],
        ["error"],
        ["groups", "ignored", "duplicates", "conflicts"],
    ]
    assert answers[1]["error"]["param"] == "meter.aggregation"
    assert set(answers[1]["error"]) == {"type", "code", "message", "param"}


def written(document: dict[str, Any], **numbers: str) -> str:
    """The document as JSON, with the texts of `numbers` in place of their names (json has no Decimal)."""
    text = json.dumps(document)
    for name, number in numbers.items():
        text = text.replace(f'"{name}"', number)
    return text


def test_numbers_stay_exact_from_the_file_to_the_answer(tmp_path: Path) -> None:
    document = {"meter": SUM, "period": PERIOD, "events": [call("a", "X"), call("b", "Y"), call("c", "Z")]}
    raw = written(document, X="0.1", Y="0.2", Z="12345678901234567890.000000000001")
    assert run_command(tmp_path, raw)[0]["value"] == "12345678901234567890.300000000001"


@pytest.mark.parametrize(
    "number", ["1e40", "1e999999999", "1e99999999999999999999999", "-1e-99999999999999999999999", "9" * 6000]
)
@pytest.mark.parametrize("aggregation", ["sum", "max", "avg", "latest", "weighted_sum", "unique", "count"])
def test_a_number_of_any_size_is_no_trouble(tmp_path: Path, number: str, aggregation: str) -> None:
    condition = {"property": "tokens", "op": "ne", "value": 1}
    meter = {**SUM, "aggregation": aggregation, "group_by": ["tokens"], "filter": [condition]}
    document = {"meter": meter, "period": PERIOD, "events": [call("a", "X"), call("a", "X")]}
    answered, exit_code = run_command(tmp_path, written(document, X=number))
    assert (exit_code, answered["duplicates"]) == (0, 1)
    assert answered["ignored"] == (0 if aggregation in ("unique", "count") else 1)


@pytest.mark.parametrize("raw", ["", "[", "NaN", b"\xff", "[" * 100_000])
def test_a_file_that_is_no_json_is_one_error(tmp_path: Path, raw: str | bytes) -> None:
    answered, exit_code = run_command(tmp_path, raw)
    assert (list(answered), exit_code) == (["error"], 2)


def test_the_command_reads_standard_input_and_needs_no_database(tmp_path: Path) -> None:
    """In a process of its own, with a database address that nobody answers."""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "manage.py", "aggregate", "-"],
        cwd=root,
        input=json.dumps([EXAMPLE, 5]),
        env={"PATH": "/usr/bin:/bin", "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert json.loads(done.stdout)[0] == aggregate_document(EXAMPLE)
