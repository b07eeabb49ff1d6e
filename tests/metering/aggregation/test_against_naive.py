"""The door against a naive oracle over thousands of random documents."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from core.instants import instant_text, parse_instant
from metering.aggregation.door import aggregate_document
from metering.aggregation.filters import OPS
from metering.aggregation.kinds import AGGREGATIONS
from metering.payload import differing_fields, payload_hash
from tests.metering.aggregation.naive import naive_answer

VALUES: list[Any] = [
    *(0, 1, -1, 5, 7, 10**20 - 1, 10**20, -(10**19)),
    *(Decimal("5.0"), Decimal("0.1"), Decimal("-2.5"), Decimal("1E+3"), Decimal("1E-12"), Decimal("1E-13")),
    *(
        "5",
        "5.00",
        "-2.5",
        "05",
        " 7 ",
        "1e3",
        ".5",
        "5.",
        "+1",
        "NaN",
        "inf",
        "",
        "x",
        "eu",
        "EU",
        "true",
        "\u0665",
    ),
    *(True, False, None, [], [5, "eu"], ["5"], {"a": 1}, {"b": {"c": "5"}}),
]
SCALARS = [value for value in VALUES if isinstance(value, (str, int, Decimal))]
NUMBERS = [
    value for value in SCALARS if not isinstance(value, bool) and not str(value).strip(" +.").isalpha()
]
NUMBERS = [value for value in NUMBERS if value not in ("", "\u0665")]
PATHS = ["v", "w", "a.b", "a.b.c", "m"]
INSTANTS = [
    "2025-12-31T23:59:59.999999Z",
    "2026-01-01T00:00:00Z",
    "2026-01-05T00:00:00Z",
    "2026-01-05T05:30:00+05:30",
    "2026-01-20T12:34:56.789012-03:00",
    "2026-01-31T23:59:59.999999Z",
    "2026-02-01T00:30:00+01:00",
    "2026-02-01T00:00:00Z",
]


def random_properties(rng: random.Random) -> dict[str, Any]:
    properties = {name: rng.choice(VALUES) for name in ("v", "w", "m") if rng.random() < 0.8}
    if rng.random() < 0.4:
        properties["a"] = rng.choice([{"b": rng.choice(VALUES)}, {"b": {"c": rng.choice(VALUES)}}, 5])
    if rng.random() < 0.2:
        properties["a.b"] = rng.choice(VALUES)
    return properties


def random_event(rng: random.Random, keys: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "idempotency_key": f"k{rng.randrange(keys)}",
        "event": rng.choice(["call", "call", "call", "other"]),
        "occurred_at": rng.choice(INSTANTS),
        "properties": random_properties(rng),
    }
    if rng.random() < 0.2:
        event["user"] = rng.choice(["7", "07", None])
    return event


def random_condition(rng: random.Random) -> dict[str, Any]:
    op = rng.choice(OPS)
    condition: dict[str, Any] = {"property": rng.choice(PATHS), "op": op}
    if op in ("in", "not_in"):
        condition["value"] = rng.choices(SCALARS, k=rng.randrange(4))
    elif op in ("gt", "gte", "lt", "lte"):
        condition["value"] = rng.choice(NUMBERS)
    elif op != "exists":
        condition["value"] = rng.choice(SCALARS)
    elif rng.random() < 0.5:
        condition["value"] = rng.choice([True, False])
    return condition


def random_document(rng: random.Random) -> dict[str, Any]:
    aggregation = rng.choice(list(AGGREGATIONS))
    meter: dict[str, Any] = {"event": "call", "aggregation": aggregation, "property": rng.choice(PATHS)}
    if rng.random() < 0.5:
        meter["filter"] = [random_condition(rng) for _ in range(rng.randrange(3))]
    if rng.random() < 0.5:
        meter["group_by"] = rng.sample(PATHS, rng.randrange(3))
    if aggregation == "weighted_sum":
        meter["carry_over"] = rng.random() < 0.5
    count = rng.randrange(13)
    document = {
        "meter": meter,
        "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"},
        "events": [random_event(rng, rng.choice([3, 10, 100])) for _ in range(count)],
    }
    if rng.random() < 0.3:
        document["initial"] = rng.choice(["7", "-0.5", "0"])
    return document


@pytest.mark.parametrize("seed", range(20))
def test_random_documents_are_answered_as_the_naive_oracle_answers_them(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(300):
        document = random_document(rng)
        assert aggregate_document(document) == naive_answer(document), document


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_events_matters_to_keys_and_ties_only(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(100):
        document = random_document(rng)
        for index, event in enumerate(document["events"]):
            event["idempotency_key"] = f"own-{index}"
        if document["meter"]["aggregation"] == "latest":
            continue
        shuffled = rng.sample(document["events"], len(document["events"]))
        assert aggregate_document(document | {"events": shuffled}) == aggregate_document(document)


@pytest.mark.parametrize("seed", range(10))
def test_sending_everything_again_changes_nothing_but_the_number_of_duplicates(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        document = random_document(rng)
        once = aggregate_document(document)
        events = document["events"]
        twice = aggregate_document(document | {"events": events + events})
        assert (
            twice["duplicates"] + twice["conflicts"] == len(events) + once["duplicates"] + once["conflicts"]
        )
        for field in ("duplicates", "conflicts"):
            del once[field], twice[field]
        assert twice == once


@pytest.mark.parametrize("seed", range(10))
def test_equal_hashes_are_equal_payloads(seed: int) -> None:
    rng = random.Random(seed)
    events = [random_event(rng, 1) for _ in range(60)]
    for first in events:
        for second in events:
            differing = differing_fields(first, second)
            assert differing == differing_fields(second, first)
            if payload_hash(first) == payload_hash(second):
                assert not differing


def test_the_notation_of_an_event_does_not_change_its_hash() -> None:
    event = {"event": "call", "occurred_at": "2026-01-05T01:00:00+01:00", "properties": {"b": 5, "a": "1.50"}}
    again = {
        "properties": {"a": Decimal("1.5"), "c": None, "b": "5.0"},
        "occurred_at": parse_instant("2026-01-05T00:00:00Z"),
        "event": "call",
        "idempotency_key": "k",
        "user": None,
    }
    assert payload_hash(event) == payload_hash(again)
    assert instant_text(parse_instant(event["occurred_at"])) == "2026-01-05T00:00:00Z"
