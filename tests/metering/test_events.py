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


# --- properties


def with_properties(properties: object) -> dict[str, Any]:
    return EVENT | {"properties": properties}


@pytest.mark.parametrize("value", [[], "a", 5, True])
def test_properties_are_an_object(value: object) -> None:
    assert refusal(with_properties(value)) == ("invalid_type", "properties")


def test_any_json_value_is_a_property() -> None:
    properties = {"a": None, "b": True, "c": ["x", 1, {"d": Decimal("0.5")}], "": "", "e.f": "\n\t"}
    assert parse_event(with_properties(properties), NOW).properties == properties


@pytest.mark.parametrize(
    "number",
    [
        10**20 - 1,
        -(10**20 - 1),
        Decimal("99999999999999999999.999999999999"),
        Decimal("1E+19"),
        Decimal("1.50E-10"),
        Decimal("-0.0"),
        Decimal("0.1000000000000000"),
    ],
)
def test_numbers_within_the_range_are_taken_exactly(number: int | Decimal) -> None:
    kept = parse_event(with_properties({"tokens": number}), NOW).properties["tokens"]
    assert kept == number
    assert type(kept) is type(number)


@pytest.mark.parametrize(
    "number",
    [
        10**20,
        -(10**20),
        10**40,
        10**4000,
        Decimal("1E+20"),
        Decimal("1E-13"),
        Decimal("1E+999999999999"),
        Decimal("1E-999999999999"),
        Decimal("0E+999999"),
        Decimal("0E-999999"),
        Decimal("1.0000000000001"),
    ],
)
@pytest.mark.parametrize("nest", [lambda n: n, lambda n: [n], lambda n: {"x": [{"y": n}]}])
def test_numbers_out_of_range_are_refused_wherever_they_stand(number: int | Decimal, nest: Any) -> None:
    code, param = refusal(with_properties({"ok": 1, "tokens": nest(number)}))
    assert code == "number_out_of_range"
    assert param is not None
    assert param.startswith("properties.tokens")


@pytest.mark.parametrize(
    "number", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")]
)
def test_nan_and_infinity_are_refused(number: Decimal) -> None:
    assert refusal(with_properties({"tokens": number})) == ("invalid_json", "properties.tokens")


@pytest.mark.parametrize("value", [1.5, float("nan"), b"x", {1, 2}, NOW, (1, 2)])
def test_what_json_does_not_know_is_refused(value: object) -> None:
    assert refusal(with_properties({"tokens": value})) == ("invalid_type", "properties.tokens")


def test_at_most_256_properties() -> None:
    parse_event(with_properties({str(n): n for n in range(256)}), NOW)
    assert refusal(with_properties({str(n): n for n in range(257)})) == ("too_many_properties", "properties")


def test_at_most_64_kilobytes_of_properties() -> None:
    parse_event(with_properties({"a": "x" * 65_000}), NOW)
    assert refusal(with_properties({"a": "x" * 65_537})) == ("properties_too_large", "properties")
    assert refusal(with_properties({"a": "é" * 33_000})) == ("properties_too_large", "properties")
    assert refusal(with_properties({"a": [1] * 40_000})) == ("properties_too_large", "properties")


def nested(levels: int, make: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda value: [value], lambda value: {"a": value}])
def test_properties_nest_16_levels_deep(make: Any) -> None:
    parse_event(with_properties({"a": nested(15, make)}), NOW)
    code, param = refusal(with_properties({"a": nested(16, make)}))
    assert code == "too_deep"
    assert param is not None
    assert len(param) <= 200
    assert refusal(with_properties({"a": nested(500_000, make)}))[0] == "too_deep"


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "\ud800", "\udfff tail"])
@pytest.mark.parametrize("place", [lambda t: {"a": t}, lambda t: {t: 1}, lambda t: {"a": [{"b": t}]}])
def test_what_postgresql_cannot_keep_in_a_text_is_refused(text: str, place: Any) -> None:
    assert refusal(with_properties(place(text))) == ("invalid_text", "properties")


def test_a_backslash_before_u0000_is_ordinary_text() -> None:
    parse_event(with_properties({"path": "C:\\u0000"}), NOW)


# --- costs


def with_cost(**part: object) -> dict[str, Any]:
    return EVENT | {"costs": [{"vendor": "openai", "amount": "1", "currency": "USD"} | part]}


def test_an_empty_list_of_costs_says_that_it_costs_nothing() -> None:
    assert parse_event(EVENT | {"costs": []}, NOW).costs == ()


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("0", "0"),
        ("0.000000000000000001", "0.000000000000000001"),
        (3, "3"),
        (Decimal("0.25"), "0.25"),
        (Decimal("-0.0"), "0"),
        (Decimal("1E-5"), "0.00001"),
        ("-0", "0"),
        (0, "0"),
    ],
)
def test_a_cost_is_a_decimal_text_or_number(sent: object, amount: str) -> None:
    costs = parse_event(with_cost(amount=sent), NOW).costs
    assert costs == (CostPart("openai", Decimal(amount), "USD"),)
    assert not costs[0].amount.is_signed()


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("-1", "negative_amount"),
        (-1, "negative_amount"),
        (Decimal("-0.1"), "negative_amount"),
        ("1e5", "invalid_decimal"),
        ("NaN", "invalid_decimal"),
        ("", "invalid_decimal"),
        ("1,5", "invalid_decimal"),
        (Decimal("NaN"), "invalid_json"),
        (10**20, "number_out_of_range"),
        ("1" * 21, "number_out_of_range"),
        (Decimal("1E-19"), "number_out_of_range"),
        (Decimal("0E-99999"), "number_out_of_range"),
        (True, "invalid_type"),
        (None, "invalid_type"),
        (0.5, "invalid_type"),
        ([], "invalid_type"),
    ],
)
def test_an_amount_that_is_none_is_refused(amount: object, code: str) -> None:
    assert refusal(with_cost(amount=amount)) == (code, "costs[0].amount")


@pytest.mark.parametrize("currency", ["usd", "XYZ", "", "DOLLAR", 5, None, ["USD"], {}])
def test_the_currency_of_a_cost_is_known(currency: object) -> None:
    assert refusal(with_cost(currency=currency)) == ("unknown_currency", "costs[0].currency")


@pytest.mark.parametrize(
    ("vendor", "code"), [("", "invalid_length"), (5, "invalid_type"), ("a\x00", "invalid_text")]
)
def test_the_vendor_of_a_cost_has_a_name(vendor: object, code: str) -> None:
    assert refusal(with_cost(vendor=vendor)) == (code, "costs[0].vendor")


def test_a_cost_has_its_three_fields_and_no_other() -> None:
    good = {"vendor": "a", "amount": "1", "currency": "USD"}
    assert refusal(EVENT | {"costs": [good, {"vendor": "a", "currency": "USD"}]}) == (
        "missing_field",
        "costs[1].amount",
    )
    assert refusal(with_cost(note="x")) == ("unknown_field", "costs[0].note")
    assert refusal(EVENT | {"costs": good}) == ("invalid_type", "costs")
    assert refusal(EVENT | {"costs": ["1"]}) == ("invalid_type", "costs[0]")
    assert refusal(EVENT | {"costs": [good] * 101}) == ("too_many_costs", "costs")


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
