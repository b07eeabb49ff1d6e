"""Bodies that are too much, broken or not what they say: the documented error, and nothing lost."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import Any

import pytest

from billing.models import Charge
from metering.models import QuarantinedEvent, UsageEvent
from tests.accounts.caller import Answer
from tests.api.doors import World, bodies, is_documented, make_world

pytestmark = pytest.mark.django_db
EVENTS = "/v1/events"
BATCH_TYPE = "application/cloudevents-batch+json"
PLAIN = json.dumps({"events": []}).encode()
BROKEN_GZIP = {
    "no gzip at all": b"plain",
    "cut": gzip.compress(PLAIN * 1000)[:-20],
    "wrong sum": gzip.compress(PLAIN)[:-8] + b"\x00" * 8,
    "rubbish behind": gzip.compress(PLAIN) + b"rubbish",
    "deflate": b"x\x9c\x03\x00\x00\x00\x00\x01",
    "empty": b"",
    "a thousand members": gzip.compress(b" ") * 1000,
}
BROKEN_JSON = {
    "invalid utf-8": b'{"events": ["\xff\xfe"]}',
    "overlong utf-8": b'{"events": ["\xc0\xaf"]}',
    "utf-16": '{"events": []}'.encode("utf-16"),
    "cut": b'{"events": [',
    "two values": b'{"events": []}{"events": []}',
    "trailing comma": b'{"events": [],}',
    "single quotes": b"{'events': []}",
    "a nul": b'{"events": []}\x00',
    "only nul": b"\x00" * 100,
    "empty": b"",
    "blank": b"   ",
    "a surrogate as a name": rb'{"events": [], "\ud800": 1}',
    "deep": b"[" * 100_000,
    "deep and whole": b"[" * 50_000 + b"]" * 50_000,
    "a list": b"[]",
    "a text": b'"events"',
    "a number": b"5",
    "null": b"null",
    "events is a number": b'{"events": 5}',
    "events is null": b'{"events": null}',
    "another field": b'{"events": [], "more": 1}',
}


@pytest.fixture
def world() -> World:
    return make_world()


def report(world: World, *events: Any) -> Answer:
    return world.caller.post(EVENTS, {"events": list(events)})


def total(answer: Answer) -> int:
    counts = answer.json
    assert counts["rejected"] == len(counts["errors"])
    return int(sum(counts[name] for name in ("accepted", "duplicates", "quarantined", "rejected")))


@pytest.mark.parametrize("kind", BROKEN_GZIP)
def test_broken_gzip_is_a_400(world: World, kind: str) -> None:
    for path in (EVENTS, "/v1/charges", "/v1/customers"):
        answer = world.caller.request("POST", path, BROKEN_GZIP[kind], {"Content-Encoding": "gzip"})
        assert is_documented(answer)
        assert answer.status == 400, answer.body


@pytest.mark.parametrize("kind", BROKEN_JSON)
def test_what_is_no_such_json_is_refused(world: World, kind: str) -> None:
    for path in (EVENTS, "/v1/charges", "/v1/customers", "/v1/pricing/preview"):
        answer = world.caller.request("POST", path, BROKEN_JSON[kind])
        assert is_documented(answer)
        if (path, kind) != ("/v1/pricing/preview", "a list"):
            assert answer.status == 400, answer.body


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd", "\xff", "x" * 500])
def test_an_encoding_that_is_not_read_is_refused(world: World, encoding: str) -> None:
    answer = world.caller.request("POST", EVENTS, PLAIN, {"Content-Encoding": encoding})
    assert is_documented(answer)
    assert answer.status == 400


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "a/b/c", "\xff"]
)
def test_a_content_type_that_is_not_read_is_refused(world: World, kind: str) -> None:
    for _, path in bodies(world):
        answer = world.caller.request("POST", path, b"--x", {"Content-Type": kind})
        assert is_documented(answer), (path, answer.status, answer.body)
        assert answer.status in (400, 404, 405, 415), (path, answer.status)


def test_fifty_megabytes_are_too_large(world: World) -> None:
    answer = world.caller.request("POST", EVENTS, b" " * 50_000_000)
    assert is_documented(answer)
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", [EVENTS, "/v1/charges", "/v1/customers"])
def test_a_bomb_is_noticed_before_it_has_grown(world: World, path: str) -> None:
    bomb = gzip.compress(b"\x00" * 400_000_000, 9)
    assert len(bomb) < 500_000
    tracemalloc.start()
    answer = world.caller.request("POST", path, bomb, {"Content-Encoding": "gzip"})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert is_documented(answer)
    assert answer.status == 413
    assert peak < 100_000_000


def test_ten_thousand_events_with_three_bad_ones(world: World) -> None:
    events: list[Any] = [world.event(f"k{number}", properties={"tokens": 1}) for number in range(10_000)]
    events[0] = {"idempotency_key": "k0"}
    events[5_000] = world.event("k5000", properties={"tokens": "1" * 70_000})
    events[9_999] = "what"
    packed = gzip.compress(json.dumps({"events": events}).encode())
    answer = world.caller.request("POST", EVENTS, packed, {"Content-Encoding": "gzip"})
    assert answer.status == 200, answer.body[:500]
    assert (answer.json["accepted"], answer.json["rejected"]) == (9_997, 3)
    assert total(answer) == 10_000
    assert [error["index"] for error in answer.json["errors"]] == [0, 5_000, 9_999]
    assert UsageEvent.objects.count() == Charge.objects.count() == 9_997
    one_more = json.dumps({"events": [*events, world.event("more")]}).encode()
    answer = world.caller.request("POST", EVENTS, one_more)
    assert (answer.status, answer.error["code"]) == (413, "too_many_events")
    assert UsageEvent.objects.count() == 9_997


def test_an_empty_batch_is_nothing_done(world: World) -> None:
    answer = report(world)
    assert (answer.status, total(answer), answer.json["errors"]) == (200, 0, [])


def test_every_event_of_a_mixed_batch_is_somewhere(world: World) -> None:
    good, again = world.event("good"), world.event("again")
    assert report(world, again).json["accepted"] == 1
    batch: list[Any] = [
        good,
        good,
        again,
        world.event("again", properties={"tokens": 2}),
        world.event("lost", workspace="nowhere"),
        world.event("late", occurred_at="2020-01-01T00:00:00Z"),
        world.event("ahead", occurred_at="9999-12-31T23:59:59Z"),
        world.event("first", occurred_at="0001-01-01T00:00:00Z"),
        world.event("naive", occurred_at="2026-01-01T00:00:00"),
        world.event("unheard", event="misspelt"),
        world.event("huge", properties={"tokens": 10**40}),
        world.event("text", properties={"tokens": "NaN"}),
        world.event("both", billing_entity="be_zzzzzzzz"),
        None,
        [],
    ]
    answer = report(world, *batch)
    assert total(answer) == len(batch), answer.body
    counts = {name: answer.json[name] for name in ("accepted", "duplicates", "quarantined", "rejected")}
    assert counts == {"accepted": 3, "duplicates": 2, "quarantined": 5, "rejected": 5}
    assert UsageEvent.objects.count() == 1 + 3
    assert set(QuarantinedEvent.objects.values_list("idempotency_key", flat=True)) == {
        "lost",
        "late",
        "ahead",
        "first",
        "both",
    }
    for error in answer.json["errors"]:
        assert set(error["error"]) == {"type", "code", "message", "param", "doc_url", "request_id"}


def test_the_last_of_two_equal_names_counts_as_everywhere_in_json(world: World) -> None:
    raw = json.dumps(world.event("one"))[:-1] + ', "idempotency_key": "two"}'
    answer = world.caller.request("POST", "/v1/charges", raw.encode())
    assert answer.status == 201
    assert UsageEvent.objects.get().idempotency_key == "two"


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"specversion": "1.0"},
        {"specversion": "0.3", "id": "1", "source": "s", "type": "completion"},
        {"specversion": "1.0", "id": "", "source": "s", "type": "completion"},
        {"specversion": "1.0", "id": 1, "source": "s", "type": "completion"},
        {"specversion": "1.0", "id": "1", "source": None, "type": "completion", "data": {}},
        {"specversion": "1.0", "id": "1", "source": "s", "type": "completion", "data": []},
        {"specversion": "1.0", "id": "1", "source": "s", "type": "completion", "time": "now", "data": {}},
        {"specversion": "1.0", "id": "1", "source": "s", "type": "completion", "data_base64": "!"},
        {"specversion": "1.0", "id": "1", "source": "s", "type": "completion", "subject": {"a": 1}},
        {"specversion": "1.0", "id": "\ud800", "source": "s", "type": "completion", "data": {}},
        {"specversion": "1.0", "id": "x" * 300, "source": "s" * 300, "type": "completion", "data": {}},
        None,
        5,
        "event",
    ],
)
def test_a_malformed_cloudevent_sinks_nothing(world: World, event: Any) -> None:
    good = {
        "specversion": "1.0",
        "id": "good",
        "source": "gateway",
        "type": "completion",
        "subject": world.workspace,
        "data": {"tokens": 1},
    }
    raw = json.dumps([event, good]).encode()
    answer = world.caller.request("POST", EVENTS, raw, {"Content-Type": BATCH_TYPE})
    assert answer.status == 200, answer.body
    assert (answer.json["accepted"], answer.json["rejected"]) == (1, 1), answer.body
    single = {"Content-Type": "application/cloudevents+json"}
    answer = world.caller.request("POST", EVENTS, json.dumps(event).encode(), single)
    assert is_documented(answer)
    assert answer.status == 200
    assert answer.json["rejected"] == 1


@pytest.mark.parametrize("body", [b"{}", b"5", b'{"events": []}', b"null", b"[[]]"])
def test_a_batch_of_cloudevents_is_a_list(world: World, body: bytes) -> None:
    answer = world.caller.request("POST", EVENTS, body, {"Content-Type": BATCH_TYPE})
    assert is_documented(answer)
    assert answer.status == 200 if body == b"[[]]" else 400
