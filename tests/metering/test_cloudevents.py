from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from core.errors import InvalidRequest
from metering.cloudevents import parse_cloudevent

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MESSAGE: dict[str, Any] = {
    "specversion": "1.0",
    "id": "0193-77",
    "source": "/gateway/eu",
    "type": "completion",
    "time": "2026-02-28T10:00:00Z",
    "subject": "acme-research",
    "datacontenttype": "application/json",
    "data": {"input_tokens": 5, "model": "m"},
}


def refusal(**attributes: Any) -> tuple[str, str | None]:
    with pytest.raises(InvalidRequest) as caught:
        parse_cloudevent({name: value for name, value in (MESSAGE | attributes).items() if value != "-"}, NOW)
    return caught.value.code, caught.value.param


def test_a_cloudevent_is_a_usage_event() -> None:
    event = parse_cloudevent(MESSAGE, NOW)
    assert event.idempotency_key == "/gateway/eu/0193-77"
    assert event.event == "completion"
    assert event.occurred_at == datetime(2026, 2, 28, 10, tzinfo=UTC)
    assert event.workspace == "acme-research"
    assert event.properties == {"input_tokens": 5, "model": "m"}


def test_without_a_time_it_occurred_when_it_was_received() -> None:
    message = {name: value for name, value in MESSAGE.items() if name != "time"}
    assert parse_cloudevent(message, NOW).occurred_at == NOW


def test_without_data_there_are_no_properties() -> None:
    assert parse_cloudevent(MESSAGE | {"data": None}, NOW).properties == {}


@pytest.mark.parametrize(
    ("subject", "field"),
    [
        ("ws_1", "workspace"),
        ("key_0000001h", "api_key"),
        ("be_1", "billing_entity"),
        ("best_customer", "workspace"),
    ],
)
def test_the_subject_says_whose_call_it_was(subject: str, field: str) -> None:
    event = parse_cloudevent(MESSAGE | {"subject": subject}, NOW)
    named = {name: getattr(event, name) for name in ("workspace", "api_key", "billing_entity")}
    assert {name for name, value in named.items() if value is not None} == {field}
    assert named[field] == subject


def test_an_extension_goes_before_the_subject_and_a_secret_is_not_kept() -> None:
    event = parse_cloudevent(MESSAGE | {"apikey": "sk-1", "user": "maria", "trace": "t-1", "costs": []}, NOW)
    assert event.workspace is None
    assert event.api_key == sha256(b"sk-1").hexdigest()
    assert (event.user, event.trace, event.costs) == ("maria", "t-1", ())
    assert "sk-1" not in repr(event)


def test_other_extensions_are_properties_unless_the_data_has_the_name() -> None:
    event = parse_cloudevent(MESSAGE | {"region": "eu", "model": "other"}, NOW)
    assert event.properties == {"input_tokens": 5, "model": "m", "region": "eu"}


def test_how_a_message_travelled_is_not_part_of_it() -> None:
    retried = parse_cloudevent(MESSAGE | {"traceparent": "00-a-b-01", "sequence": "17"}, NOW)
    assert retried.payload == parse_cloudevent(MESSAGE, NOW).payload


def test_source_and_id_never_run_into_each_other() -> None:
    pairs = [("a/b", "c"), ("a", "b/c"), ("a", "b%2Fc"), ("a/b%2Fc", "d"), ("a", "b%252Fc")]
    keys = {
        parse_cloudevent(MESSAGE | {"source": source, "id": identity}, NOW).idempotency_key
        for source, identity in pairs
    }
    assert len(keys) == len(pairs)


@pytest.mark.parametrize("name", ["id", "source", "type"])
def test_required_attributes_are_required(name: str) -> None:
    assert refusal(**{name: "-"}) == ("missing_field", name)
    assert refusal(**{name: 5}) == ("invalid_type", name)
    assert refusal(**{name: ""}) == ("invalid_length", name)


def test_errors_name_the_cloudevents_own_attributes() -> None:
    assert refusal(specversion="0.3") == ("invalid_value", "specversion")
    assert refusal(specversion="-") == ("invalid_value", "specversion")
    assert refusal(time="yesterday") == ("invalid_instant", "time")
    assert refusal(data=[1]) == ("invalid_type", "data")
    assert refusal(data="text") == ("invalid_type", "data")
    assert refusal(data={"tokens": 10**40}) == ("number_out_of_range", "data.tokens")
    assert refusal(data_base64="aGk=") == ("invalid_type", "data_base64")
    assert refusal(id="x" * 250, source="y" * 20) == ("invalid_length", "id")
    assert refusal(subject="-") == ("missing_field", "workspace")
    assert refusal(subject=5) == ("invalid_type", "subject")
    assert refusal(subject="a\x00b") == ("invalid_text", "subject")


@pytest.mark.parametrize("raw", [None, [], "text", 7])
def test_a_cloudevent_is_an_object(raw: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_cloudevent(raw, NOW)
    assert caught.value.code == "invalid_type"


def test_the_message_itself_is_left_alone() -> None:
    message = MESSAGE | {"data": {"a": 1}, "region": "eu"}
    parse_cloudevent(message, NOW)
    assert message["data"] == {"a": 1}
