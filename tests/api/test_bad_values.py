"""Values of every wrong kind in every field of every body: the documented error, never a 500."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from tests.accounts.caller import Answer
from tests.api.doors import World, bodies, is_documented, make_world

pytestmark = pytest.mark.django_db
RAW = {
    "null": "null",
    "true": "true",
    "number": "5",
    "negative": "-1",
    "fraction": "0.5",
    "list": "[]",
    "nested": '[[{"a": [1]}]]',
    "object": "{}",
    "odd object": '{"from": {"to": [null]}}',
    "empty": '""',
    "blank": '"  "',
    "text": '"what"',
    "nan": "NaN",
    "infinity": "-Infinity",
    "nan text": '"NaN"',
    "infinity text": '"Infinity"',
    "10^40": "1" + "0" * 40,
    "10^40 text": f'"1{"0" * 40}"',
    "10^5000": "9" * 5000,
    "exponent": "1e999999999999999999999",
    "tiny": "1e-999999",
    "exponent text": '"1e5"',
    "too fine": f'"0.{"0" * 19}1"',
    "nul": r'"a\u0000b"',
    "nul name": r'{"a\u0000b": 1}',
    "half a pair": r'"\ud800"',
    "half a pair name": r'{"\udfff": "\ud800"}',
    "controls": r'"\u0007\u001b[31m"',
    "right to left": r'"\u202eevil"',
    "very long": f'"{"x" * 100_000}"',
    "future": '"9999-12-31T23:59:59Z"',
    "edge": '"9999-12-31T23:59:59-14:00"',
    "ancient": '"0001-01-01T00:00:00Z"',
    "before time": '"0001-01-01T00:00:00+14:00"',
    "naive": '"2026-01-05T09:30:00"',
    "no day": '"2026-02-30T09:30:00Z"',
    "id of none": '"be_zzzzzzzz"',
    "id of another noun": '"cus_00000001"',
    "huge id": f'"be_{"z" * 40}"',
    "arabic digits": '"٣"',
    "surrounded": '" 5 "',
    "plus": '"+5"',
    "underscore": '"1_000"',
    "deep": "[" * 50 + "]" * 50,
    "too deep": "[" * 100 + "]" * 100,
    "far too deep": '{"a":' * 5000 + "1" + "}" * 5000,
}
HOLE = "\ue000hole\ue000"


@pytest.fixture
def world() -> Iterator[World]:
    with override_settings(TOLLGATE_TEST_CLOCK=False):
        yield make_world()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a body, the whole one too."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))


def with_value(body: Any, path: tuple[Any, ...], raw: str) -> bytes:
    """The body as JSON, with `raw` at the place."""
    if not path:
        return raw.encode()
    changed = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = HOLE
    return json.dumps(changed, ensure_ascii=False).replace(f'"{HOLE}"', raw).encode()


def send(world: World, method: str, path: str, raw: bytes) -> Answer:
    return world.caller.request(method, path, raw)


@pytest.mark.parametrize("kind", RAW)
def test_a_bad_value_anywhere_gets_the_documented_answer(world: World, kind: str) -> None:
    """Each kind in every third place, and each place gets a third of the kinds: all of them take minutes."""
    strange = []
    turn = list(RAW).index(kind)
    for number, ((method, path), body) in enumerate(bodies(world).items()):
        for index, place in enumerate(places(body)):
            if (number + index + turn) % 3:
                continue
            raw = with_value(body, place, RAW[kind])
            answer = send(world, method, path, raw)
            if not is_documented(answer):
                strange.append((method, path, place, answer.status, answer.body[:300]))
    assert not strange


@pytest.mark.parametrize("name", ["surprise", "a\x00b", "\x1b", "é" * 300])
def test_a_field_that_nobody_knows_is_refused_by_name(world: World, name: str) -> None:
    for (method, path), body in bodies(world).items():
        answer = world.caller.request(method, path, json.dumps(body | {name: 1}).encode())
        assert is_documented(answer), (path, answer.body)
        if path.endswith(("/write-off", "/release", "/publish", "/retire")):
            continue  # they read no body
        if path.endswith("/validate") and answer.status == 200:
            assert answer.json["valid"] is False  # whose answer it is to say so
            continue
        assert answer.status in (400, 404), (path, answer.status, answer.body)
