"""Reading an event: what is taken, what is refused, and what the error names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from core.api.parsers import parse_leniently
from core.errors import InvalidRequest
from core.ids import public_id
from metering.events import CostPart, parse_event

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "idempotency_key": "req_1",
    "event": "completion",
    "workspace": "ws_1h",
    "occurred_at": "2026-01-05T09:30:00.125Z",
    "properties": {"model": "gpt-4o", "provider": "openai", "input_tokens": 1234, "output_tokens": 56},
}


def refusal(raw: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        parse_event(raw, NOW)
    assert "\x00" not in caught.value.message
    caught.value.message.encode()
    (caught.value.param or "").encode()
    return caught.value.code, caught.value.param


def without(*fields: str) -> dict[str, Any]:
    return {name: value for name, value in EVENT.items() if name not in fields}


def test_an_event_is_read_as_it_was_sent() -> None:
    event = parse_event(EVENT, NOW)
    assert event.idempotency_key == "req_1"
    assert event.event == "completion"
    assert event.workspace == "ws_1h"
    assert event.api_key is None
    assert event.billing_entity is None
    assert event.occurred_at == datetime(2026, 1, 5, 9, 30, 0, 125000, tzinfo=UTC)
    assert event.properties == EVENT["properties"]
    assert event.costs is None
    assert event.user is None
    assert event.trace is None
    assert event.payload == EVENT


def test_all_fields_together() -> None:
    raw = EVENT | {
        "api_key": "sk-live-1",
        "billing_entity": "acme-eu",
        "costs": [{"vendor": "openai", "amount": "0.0031", "currency": "USD"}],
        "user": "maria",
        "trace": "podcast-7",
    }
    event = parse_event(raw, NOW)
    assert (event.billing_entity, event.user, event.trace) == ("acme-eu", "maria", "podcast-7")
    assert event.costs == (CostPart("openai", Decimal("0.0031"), "USD"),)


def test_without_an_instant_it_occurred_when_it_was_received_and_the_payload_does_not_say_so() -> None:
    event = parse_event(without("occurred_at"), NOW)
    assert event.occurred_at == NOW
    assert "occurred_at" not in event.payload


def test_without_properties_there_are_none() -> None:
    assert parse_event(without("properties"), NOW).properties == {}


def test_null_is_the_same_as_absent() -> None:
    event = parse_event(EVENT | {"user": None, "costs": None, "api_key": None, "occurred_at": None}, NOW)
    assert event.costs is None
    assert event.occurred_at == NOW
    assert event.payload == without("occurred_at")


def test_reading_an_event_leaves_the_callers_object_alone() -> None:
    raw = EVENT | {"api_key": "sk-secret", "user": None}
    before = dict(raw)
    parse_event(raw, NOW)
    assert raw == before


# --- who


def test_a_secret_is_kept_as_its_fingerprint_only() -> None:
    event = parse_event(without("workspace") | {"api_key": "sk-live-secret"}, NOW)
    fingerprint = sha256(b"sk-live-secret").hexdigest()
    assert event.api_key == fingerprint
    assert event.payload["api_key"] == fingerprint
    assert "sk-live-secret" not in repr(event)


def test_a_fingerprint_and_its_secret_are_one_key() -> None:
    fingerprint = sha256(b"sk-live-secret").hexdigest()
    sent = {parse_event(EVENT | {"api_key": key}, NOW).api_key for key in ("sk-live-secret", fingerprint)}
    assert sent == {fingerprint}
    assert parse_event(EVENT | {"api_key": fingerprint.upper()}, NOW).payload["api_key"] == fingerprint


def test_our_own_key_id_stays() -> None:
    assert parse_event(EVENT | {"api_key": public_id("key", 4711)}, NOW).api_key == public_id("key", 4711)


@pytest.mark.parametrize("secret", ["key_live_0123456789", "key_", "key_ILOU", "key_" + "z" * 30])
def test_a_secret_that_begins_like_our_ids_is_still_a_secret(secret: str) -> None:
    assert parse_event(EVENT | {"api_key": secret}, NOW).api_key == sha256(secret.encode()).hexdigest()


def test_a_refused_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_event(EVENT | {"api_key": "sk-live\x00-secret"}, NOW)
    assert caught.value.param == "api_key"
    assert "secret" not in caught.value.message.replace("a secret", "")


@pytest.mark.parametrize("reference", ["workspace", "api_key", "billing_entity"])
def test_one_of_workspace_key_and_payer_is_enough(reference: str) -> None:
    parse_event(without("workspace") | {reference: "x"}, NOW)


def test_none_of_workspace_key_and_payer_is_an_error() -> None:
    assert refusal(without("workspace")) == ("missing_field", "workspace")
    assert refusal(without("workspace") | {"workspace": None}) == ("missing_field", "workspace")


# --- texts


@pytest.mark.parametrize("field", ["idempotency_key", "event"])
def test_key_and_name_must_be_there(field: str) -> None:
    assert refusal(without(field)) == ("missing_field", field)
    assert refusal(EVENT | {field: None}) == ("missing_field", field)


TEXTS = ["idempotency_key", "event", "workspace", "billing_entity", "api_key", "user", "trace"]


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", [5, Decimal("1.5"), True, ["a"], {"a": 1}])
def test_a_text_of_another_type_is_refused(field: str, value: object) -> None:
    assert refusal(EVENT | {field: value}) == ("invalid_type", field)


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", ["", "x" * 513])
def test_a_text_that_is_empty_or_too_long_is_refused(field: str, value: str) -> None:
    assert refusal(EVENT | {field: value}) == ("invalid_length", field)


@pytest.mark.parametrize("field", TEXTS)
@pytest.mark.parametrize("value", ["a\x00b", "a\nb", "\x7f", "a\x85", "\ud800", "a\u2028b"])
def test_control_characters_and_half_surrogates_are_refused(field: str, value: str) -> None:
    assert refusal(EVENT | {field: value}) == ("invalid_text", field)


@pytest.mark.parametrize("value", ["日本-42", "naïve", "a b", "😀", "a\u00a0b", "'; DROP TABLE x; --", "%s"])
def test_any_readable_text_is_a_key(value: str) -> None:
    assert parse_event(EVENT | {"idempotency_key": value}, NOW).idempotency_key == value


@pytest.mark.parametrize(("field", "longest"), [("idempotency_key", 255), ("event", 200), ("user", 255)])
def test_the_longest_text_is_taken_and_one_more_is_not(field: str, longest: int) -> None:
    parse_event(EVENT | {field: "x" * longest}, NOW)
    assert refusal(EVENT | {field: "x" * (longest + 1)}) == ("invalid_length", field)


def test_unknown_fields_are_named() -> None:
    assert refusal(EVENT | {"proprties": {}}) == ("unknown_field", "proprties")
    assert refusal(EVENT | {"\ud800": 1})[0] == "unknown_field"
    assert refusal(EVENT | {"z" * 10_000: 1}) == ("unknown_field", "z" * 80)


@pytest.mark.parametrize("raw", [None, [], "event", 5, Decimal(1), True])
def test_an_event_is_an_object(raw: object) -> None:
    assert refusal(raw) == ("invalid_type", None)


# --- instants


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-05T09:30:00Z", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
        ("2026-01-05T10:30:00+01:00", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
        ("2026-01-05 09:30:00Z", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
        ("2026-01-05T09:30:00.1234567Z", datetime(2026, 1, 5, 9, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_an_instant_names_its_offset(text: str, instant: datetime) -> None:
    event = parse_event(EVENT | {"occurred_at": text}, NOW)
    assert event.occurred_at == instant
    assert event.occurred_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-05T09:30:00",
        "2026-01-05",
        "yesterday",
        "",
        1767605400,
        Decimal("1767605400.5"),
        True,
        {},
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-01-05T09:30:00Z\x00",
    ],
)
def test_anything_else_is_no_instant(value: object) -> None:
    assert refusal(EVENT | {"occurred_at": value}) == ("invalid_instant", "occurred_at")


# --- from the wire


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (b"NaN", "invalid_json"),
        (b"Infinity", "invalid_json"),
        (b"1e400", "number_out_of_range"),
        (b"1e99999999999999999999", "number_out_of_range"),
        (b"1" + b"0" * 6000, "number_out_of_range"),
        (b"0e-999999999", "number_out_of_range"),
        (b'"a\\u0000b"', "invalid_text"),
        (b'"\\ud800"', "invalid_text"),
    ],
)
def test_one_bad_value_on_the_wire_is_its_own_events_error(number: bytes, code: str) -> None:
    body = b'{"idempotency_key": "k", "event": "e", "workspace": "w", "properties": {"a": %s}}' % number
    assert refusal(parse_leniently(body))[0] == code


def test_numbers_on_the_wire_stay_exact() -> None:
    properties_text = b'{"a": 0.1, "b": 9007199254740993}'
    body = b'{"idempotency_key": "k", "event": "e", "workspace": "w", "properties": %s}' % properties_text
    properties = parse_event(parse_leniently(body), NOW).properties
    assert properties == {"a": Decimal("0.1"), "b": 9007199254740993}
    assert isinstance(properties["a"], Decimal)
