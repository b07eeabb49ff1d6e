"""Replays and conflicts of an idempotency key. The rule's table is in docs/algorithms/aggregation.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from core.errors import InvalidRequest
from metering.payload import canonical_hash, canonical_payload, differing_fields, payload_hash

EVENT: dict[str, Any] = {
    "idempotency_key": "req_1",
    "event": "completion",
    "workspace": "ws_1h",
    "occurred_at": "2026-01-05T09:30:00Z",
    "properties": {"model": "gpt-4o", "input_tokens": 1234, "usage": {"cached": 5, "tags": ["a", "b"]}},
    "costs": [{"vendor": "openai", "amount": "0.10", "currency": "USD"}],
    "user": "u7",
}


def test_the_same_event_is_a_replay() -> None:
    assert differing_fields(EVENT, dict(EVENT)) == []
    assert payload_hash(EVENT) == payload_hash(dict(EVENT))
    assert len(payload_hash(EVENT)) == 16


def test_the_key_is_no_part_of_the_payload() -> None:
    other = EVENT | {"idempotency_key": "req_2"}
    assert differing_fields(EVENT, other) == []
    assert payload_hash(EVENT) == payload_hash(other)


def test_the_order_of_fields_does_not_matter() -> None:
    backwards = dict(reversed(EVENT.items())) | {"properties": dict(reversed(EVENT["properties"].items()))}
    assert payload_hash(backwards) == payload_hash(EVENT)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"event": "embedding"}, ["event"]),
        ({"workspace": "ws_2"}, ["workspace"]),
        (
            {"properties": {"input_tokens": 1235, "model": "gpt-5"}},
            ["properties.input_tokens", "properties.model"],
        ),
        ({"properties": {"usage": {"cached": 6}}}, ["properties.usage.cached"]),
        (
            {"properties": {"usage": {"tags": ["b", "a"]}}},
            ["properties.usage.tags[0]", "properties.usage.tags[1]"],
        ),
        ({"properties": {"usage": 5}}, ["properties.usage"]),
        ({"costs": []}, ["costs"]),
        ({"costs": [{"vendor": "azure", "amount": "0.1"}]}, ["costs[0].vendor"]),
        ({"occurred_at": "2026-01-05T09:30:00.000001Z"}, ["occurred_at"]),
        ({"occurred_at": "2026-01-06T09:30:00Z", "user": "u8"}, ["occurred_at", "user"]),
        ({"properties": 5}, ["properties"]),
    ],
)
def test_another_payload_names_the_fields_that_differ(change: dict[str, Any], fields: list[str]) -> None:
    assert differing_fields(EVENT, EVENT | change) == fields
    assert differing_fields(EVENT | change, EVENT) == fields
    assert payload_hash(EVENT) != payload_hash(EVENT | change)


@pytest.mark.parametrize("field", ["workspace", "occurred_at", "properties", "costs", "user"])
def test_a_field_absent_or_null_on_either_side_does_not_differ(field: str) -> None:
    without = {name: value for name, value in EVENT.items() if name != field}
    assert differing_fields(EVENT, without) == differing_fields(without, EVENT) == []
    assert differing_fields(EVENT, EVENT | {field: None}) == []
    assert payload_hash(without) == payload_hash(EVENT | {field: None})


@pytest.mark.parametrize("number", [1234, 1234.0, Decimal("1234.00"), Decimal("1.234E+3"), "1234", "1234.0"])
def test_numbers_compare_by_value_and_have_one_hash(number: Any) -> None:
    again = EVENT | {"properties": EVENT["properties"] | {"input_tokens": number}}
    assert differing_fields(EVENT, again) == []
    assert payload_hash(again) == payload_hash(EVENT)


@pytest.mark.parametrize(
    ("first", "second"), [(1, True), (0, False), ("", None), ([], {}), ("a", ["a"]), (10**30, 10**30 + 1)]
)
def test_values_of_other_kinds_are_other_values(first: Any, second: Any) -> None:
    events = [{"properties": {"x": [value]}} for value in (first, second)]
    assert payload_hash(events[0]) != payload_hash(events[1])
    if second is not None:
        assert differing_fields(*events) == ["properties.x[0]"]


def test_names_and_ids_are_texts() -> None:
    assert differing_fields({"user": "1.0"}, {"user": "1"}) == ["user"]
    assert differing_fields({"workspace": "007"}, {"workspace": "7"}) == ["workspace"]


def test_an_instant_may_come_as_a_text_or_as_a_datetime_of_any_zone() -> None:
    paris = datetime(2026, 1, 5, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    for written in (
        paris,
        paris.astimezone(UTC),
        "2026-01-05T10:30:00+01:00",
        "2026-01-05t09:30:00.000000000z",
    ):
        assert payload_hash(EVENT | {"occurred_at": written}) == payload_hash(EVENT)
        assert differing_fields(EVENT, EVENT | {"occurred_at": written}) == []


def test_an_instant_that_is_none_is_compared_as_it_stands() -> None:
    assert differing_fields({"occurred_at": "soon"}, {"occurred_at": "soon"}) == []
    assert differing_fields({"occurred_at": "soon"}, {"occurred_at": "2026-01-05T00:00:00Z"}) == [
        "occurred_at"
    ]


def test_the_hash_of_a_canonical_payload_is_the_hash_of_the_event() -> None:
    assert canonical_hash(canonical_payload(EVENT)) == payload_hash(EVENT)


def test_numbers_of_any_size_are_hashed_in_no_time() -> None:
    payload_hash({"properties": {"x": Decimal("1E+999999999"), "y": "1e999999", "z": 10**4000}})


def test_a_payload_nested_too_deep_is_refused() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"a": deep}
    with pytest.raises(InvalidRequest) as caught:
        payload_hash({"properties": deep})
    assert caught.value.code == "too_deep"
