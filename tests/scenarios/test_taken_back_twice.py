"""Taking back what was taken back: the same event again, under another key, after a close, after a change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}


def charged(life: LifeStory, payer: str, occurred_at: str | None = None, **properties: Any) -> Any:
    """A charge that must be allowed, whole."""
    answer = life.ask(payer, occurred_at, **properties)
    assert answer.status_code == 201, answer.content
    return answer.json()


def key_of(life: LifeStory, charge: Any) -> str:
    return str(life.api.get(f"/v1/charges/{charge['id']}").json()["idempotency_key"])


def reverse(life: LifeStory, event: str, key: str = "", **headers: str) -> Any:
    body = {"event": event, "reason": "a mistake"} | ({"idempotency_key": key} if key else {})
    return life.api.post("/v1/reversals", body, **headers)


def test_an_event_is_taken_back_once_whoever_asks_again(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(life.plan(GRADUATED), top_up="100")
    first = charged(life, payer, tok=10)
    second = charged(life, payer, tok=10)
    assert (first["amount"], second["amount"]) == ("10", "1")
    event = key_of(life, first)
    answers = [reverse(life, event, "r-1") for _ in range(2)]
    assert [answer.status_code for answer in answers] in ([201, 201], [201, 200])
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["amount"] == "-1", "what is left is the first ten"
    for again in (
        reverse(life, event),
        reverse(life, event, "r-2"),
        reverse(life, answers[0].json()["event"]),
    ):
        assert (again.status_code, again.json()["error"]["code"]) == (409, "already_reversed")
    changed = life.api.post("/v1/reversals", {"event": event, "reason": "another", "idempotency_key": "r-1"})
    assert changed.status_code == 409
    assert life.settled(payer) == 90


def test_a_reversal_is_no_event_and_cannot_be_taken_back(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(life.plan(GRADUATED), top_up="100")
    event = key_of(life, charged(life, payer, tok=4))
    made = reverse(life, event).json()
    for name in (made["id"], made["charge"], made["charge"].replace("ch_", "evt_")):
        assert reverse(life, name).status_code == 404
    assert life.settled(payer) == 100


def test_the_key_of_what_was_taken_back_is_used_up(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(life.plan(GRADUATED), top_up="100")
    body = {"idempotency_key": "once", "event": "call", "workspace": f"w-{payer}", "properties": {"tok": 4}}
    first = life.api.post("/v1/charges", body).json()
    assert reverse(life, "once").json()["amount"] == "-4"
    replay = life.api.post("/v1/charges", body)
    assert (replay.status_code, replay.json()["id"], replay.json()["amount"]) == (200, first["id"], "4")
    assert life.settled(payer) == 100, "a replay is an answer, not a charge"


def test_after_a_change_in_the_past_what_stands_is_taken_back_and_no_more(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="100")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 5)
    event = key_of(life, charged(life, payer, tok=4))
    other = key_of(life, charged(life, payer, tok=6))
    life.at(3, 10)
    assert reverse(life, other).json()["amount"] == "-6"
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "3")), at="2026-03-04T00:00:00Z")
    assert life.settled(payer) == 88, "what was taken back is not charged again"
    made = reverse(life, event)
    assert made.json()["amount"] == "-12"
    assert reverse(life, event).status_code == 409
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "5")), at="2026-03-04T12:00:00Z")
    assert life.settled(payer) == 100


def test_an_event_taken_back_before_and_after_the_close_with_a_minimum(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    life.start(payer, life.plan(per_unit("tok", "1", minimum="31")))
    life.at(3, 5)
    events = [key_of(life, charged(life, payer, tok=amount)) for amount in (20, 20, 5)]
    assert reverse(life, events[0]).json()["amount"] == "-20"
    life.at(4, 3)
    life.run_due()
    assert life.settled(payer) == 1000 - 31, "25 of usage, and 6 to the minimum"
    assert reverse(life, events[1]).json()["amount"] == "0", "the minimum is owed all the same"
    assert reverse(life, events[1]).status_code == 409
    late = charged(life, payer, "2026-03-20T00:00:00Z", tok=50)
    assert late["amount"] == "24", "55 against the minimum of 31"
    assert reverse(life, key_of(life, late)).json()["amount"] == "-24"
    assert reverse(life, events[2]).json()["amount"] == "0"
    assert life.settled(payer) == 1000 - 31
