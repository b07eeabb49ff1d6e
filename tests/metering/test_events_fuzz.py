"""Whatever is sent as an event, it is either refused with a sentence or can be kept and read back exactly."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import InvalidRequest
from metering.cloudevents import parse_cloudevent
from metering.event_values import normalise_api_key
from metering.events import FIELDS, EventInput, parse_event
from metering.payload import differing_fields, payload_hash

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DECODE = msgspec.json.Decoder(float_hook=Decimal).decode
ENCODE = msgspec.json.Encoder(decimal_format="number").encode

ODD_TEXTS = ["\x00", "\ud800", "a\\u0000", "NaN", "1e999", "ws_1", "2026-01-01T00:00:00Z"]
ODD_NUMBERS = [Decimal("0E-99999"), Decimal("1E+400"), 10**40, -0]
TEXTS = st.text(max_size=8) | st.sampled_from(ODD_TEXTS)
NUMBERS = st.integers() | st.decimals() | st.sampled_from(ODD_NUMBERS)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
WELL_FORMED = st.fixed_dictionaries(
    {"idempotency_key": st.just("k"), "event": st.just("call"), "workspace": st.just("w")},
    optional={"properties": st.dictionaries(TEXTS, JSON, max_size=5)},
)
EVENTS = JSON | st.dictionaries(st.sampled_from(sorted(FIELDS)) | TEXTS, JSON, max_size=6) | WELL_FORMED
ANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def read(raw: Any) -> EventInput | None:
    try:
        return parse_event(raw, NOW)
    except InvalidRequest as error:
        json.dumps(error.as_dict(), ensure_ascii=False).encode()
        return None


@pytest.mark.django_db
@ANY
@given(raw=EVENTS)
@example(raw={"idempotency_key": "k", "event": "e", "workspace": "w", "properties": {"a": Decimal("1.50")}})
def test_an_event_that_is_taken_can_be_kept_and_read_back(raw: Any) -> None:
    event = read(raw)
    if event is None:
        return
    with connection.cursor() as cursor:
        kept = ENCODE(event.properties).decode()
        texts = [event.idempotency_key, event.event, event.user, event.trace]
        cursor.execute("SELECT %s::jsonb::text, %s, %s, %s, %s", [kept, *texts])
        stored, *_ = cursor.fetchone()
    again = raw | {"properties": DECODE(stored)}
    assert differing_fields(event.payload, parse_event(again, NOW).payload) == []


@ANY
@given(raw=EVENTS)
def test_reading_an_event_twice_gives_the_same_event_and_hash(raw: Any) -> None:
    event = read(raw)
    if event is not None:
        assert parse_event(raw, NOW) == event
        again = parse_event(event.payload, NOW)
        assert again == event
        assert payload_hash(again.payload) == payload_hash(event.payload)


@ANY
@given(raw=JSON | st.dictionaries(st.sampled_from(["id", "source", "type", "subject", "data", "time"]), JSON))
def test_no_cloudevent_is_more_than_refused(raw: Any) -> None:
    whole = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    for message in (raw, whole | raw if isinstance(raw, dict) else whole):
        try:
            parse_cloudevent(message, NOW)
        except InvalidRequest as error:
            json.dumps(error.as_dict(), ensure_ascii=False).encode()


@ANY
@given(secret=st.text(min_size=1, max_size=40, alphabet=st.characters(min_codepoint=33, max_codepoint=126)))
def test_what_is_kept_of_a_key_is_an_id_or_a_fingerprint(secret: str) -> None:
    kept = normalise_api_key(secret)
    assert kept == secret.lower() or kept.startswith("key_") or len(kept) == 64
    assert normalise_api_key(kept) == kept
