"""How events are written and how reports are cut into batches."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from tests.client.scripted import Script, taken
from tollgate_client import Cost, Event, Report
from tollgate_client.events import encode, make_event
from tollgate_client.operations import BYTES_MAX, EVENTS_MAX, reports, usage

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_event_is_written_with_what_was_given_and_nothing_else() -> None:
    event = Event(
        "completion",
        workspace="w1",
        properties={"tokens": 3, "seconds": Decimal("1.10"), "model": "small", "ok": True, "rate": 0.1},
        costs=[Cost("openai", Decimal("0.0000012"))],
        user="u1",
        occurred_at=NOON,
        idempotency_key="k1",
    )
    assert json.loads(encode(event.as_dict())) == {
        "idempotency_key": "k1",
        "event": "completion",
        "workspace": "w1",
        "user": "u1",
        "occurred_at": "2026-03-01T12:00:00+00:00",
        "properties": {"tokens": 3, "seconds": "1.10", "model": "small", "ok": True, "rate": 0.1},
        "costs": [{"vendor": "openai", "amount": "0.0000012", "currency": "USD"}],
    }


def test_known_to_cost_nothing_is_not_the_same_as_not_known() -> None:
    assert "costs" not in Event("e", workspace="w").as_dict()
    assert Event("e", workspace="w", costs=[]).as_dict()["costs"] == []


def test_an_instant_keeps_its_zone_and_may_not_lack_one() -> None:
    there = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert b"2026-03-01T14:00:00+02:00" in encode(Event("e", occurred_at=there).as_dict())
    with pytest.raises(ValueError, match="time zone"):
        Event("e", occurred_at=datetime(2026, 3, 1))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), b'"1000"'),
        (Decimal("1E-9"), b'"0.000000001"'),
        (Decimal("0.10"), b'"0.10"'),
        (MappingProxyType({"a": (1, 2)}), b'{"a":[1,2]}'),
    ],
)
def test_values_are_written_exactly(value: Any, text: bytes) -> None:
    assert encode(value) == text


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Decimal("NaN"), ValueError),
        (Decimal("Infinity"), ValueError),
        (float("nan"), ValueError),
        (datetime(2026, 1, 1), ValueError),  # noqa: DTZ001
        (object(), TypeError),
        ({1, 2}, TypeError),
    ],
)
def test_what_json_cannot_say_is_refused_before_it_is_sent(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        encode({"properties": value})


def test_a_secret_is_never_shown() -> None:
    assert "sk_live_1" not in repr(Event("e", api_key="sk_live_1"))


def test_an_event_may_be_given_whole_or_by_its_fields() -> None:
    whole = Event("e", workspace="w1", idempotency_key="k")
    assert make_event("e", {"workspace": "w1", "idempotency_key": "k"}) == whole
    assert make_event(whole, {"user": "u"}) == Event("e", workspace="w1", user="u", idempotency_key="k")


def test_ten_thousand_events_are_one_batch_and_one_more_is_two() -> None:
    server = Script(otherwise=taken)
    events = [Event("completion", workspace="w1") for _ in range(EVENTS_MAX + 1)]
    with server.client() as client:
        report = client.report(events)
    assert report == Report(accepted=EVENTS_MAX + 1)
    assert [len(body["events"]) for body in server.bodies] == [EVENTS_MAX, 1]
    sent = [event["idempotency_key"] for body in server.bodies for event in body["events"]]
    assert sent == [event.idempotency_key for event in events]


def test_errors_of_later_batches_have_the_index_of_the_callers_list() -> None:
    server = Script(otherwise=taken)
    names = {1: "bad", EVENTS_MAX + 2: "bad"}
    events = [Event(names.get(index, "good"), workspace="w1") for index in range(EVENTS_MAX + 3)]
    with server.client() as client:
        report = client.report(events)
    assert (report.accepted, report.rejected) == (EVENTS_MAX + 1, 2)
    assert [error.index for error in report.errors] == [1, EVENTS_MAX + 2]
    assert report.errors[0].param == "event"


def test_a_batch_stays_below_what_the_server_takes() -> None:
    large = [Event("e", workspace="w1", properties={"text": "x" * 60_000}) for _ in range(600)]
    batches = list(reports(large))
    assert len(batches) == 3
    assert all(len(batch.content or b"") < BYTES_MAX + 100 for batch in batches)
    assert sum(len(json.loads(batch.content or b"")["events"]) for batch in batches) == 600


def test_no_events_are_no_request() -> None:
    server = Script(otherwise=taken)
    with server.client() as client:
        assert client.report([]) == Report()
    assert server.requests == []


def test_a_report_has_more_time_than_a_charge() -> None:
    server = Script(otherwise=taken)
    with server.client(timeout=1.0) as client:
        client.report([Event("e", workspace="w1")])
    assert server.requests[0].extensions["timeout"]["read"] == 30.0


def test_a_window_of_usage_is_asked_for_by_the_names_of_the_api() -> None:
    asked = usage({"workspace": "w1", "meter": ["a", "b"], "start": date(2026, 1, 1), "end": NOON})
    assert asked.params == {
        "workspace": "w1",
        "meter": "a,b",
        "from": "2026-01-01",
        "to": "2026-03-01T12:00:00+00:00",
    }
