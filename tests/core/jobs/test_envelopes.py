"""Whatever lies in the queue, what is handed on is a message."""

from __future__ import annotations

import base64
import json

import pytest

from core.jobs.envelopes import NO_MESSAGE, read_envelope

GOOD = {
    "body": base64.b64encode(b"[[], {}, {}]").decode(),
    "content-type": "application/json",
    "content-encoding": "utf-8",
    "headers": {"task": "t"},
    "properties": {
        "body_encoding": "base64",
        "delivery_tag": "tag",
        "delivery_info": {"exchange": "", "routing_key": "celery"},
    },
}


def test_an_envelope_is_read_as_it_is() -> None:
    assert read_envelope(json.dumps(GOOD)) == GOOD


def test_the_workers_own_note_of_a_message_is_read_as_it_is() -> None:
    assert read_envelope(json.dumps([GOOD, "", "celery"])) == [GOOD, "", "celery"]


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "",
        "7",
        "null",
        '"text"',
        "{}",
        "[" * 100_000,
        json.dumps(GOOD | {"body": 7}),
        json.dumps(GOOD | {"body": "é no base64"}),
        json.dumps(GOOD | {"headers": []}),
        json.dumps(GOOD | {"properties": None}),
        json.dumps(GOOD | {"properties": {"delivery_tag": "tag"}}),
        json.dumps(GOOD | {"properties": GOOD["properties"] | {"delivery_tag": 1}}),  # type: ignore[operator]
    ],
    ids=range(13),
)
def test_what_is_no_envelope_becomes_the_body_of_one(text: str) -> None:
    found = read_envelope(text)
    assert found["content-type"] == NO_MESSAGE
    assert base64.b64decode(found["body"]).decode() == text
    assert read_envelope(json.dumps(found)) == found
