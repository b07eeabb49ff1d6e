"""`/v1/reversals`: an event is taken back by its id or its key, once; charges say what became of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api_client import Api
from tests.scenarios.money import Story

pytestmark = pytest.mark.django_db
COMPONENT = {"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": "2"}


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def payer(story: Story) -> str:
    """One who has paid in 10 and used 3."""
    story.meter("tokens")
    payer = story.payer(story.plan(COMPONENT), top_up="10")
    story.at(3, 2)
    body = {"idempotency_key": "a", "event": "call", "billing_entity": payer, "properties": {"tokens": 3}}
    assert story.api.post("/v1/charges", body).status_code == 201
    return payer


def charge_of(api: Api, key: str = "a") -> dict[str, Any]:
    """The first charge of the event under a key."""
    rows: list[dict[str, Any]] = api.get("/v1/charges").json()["data"]
    return [row for row in rows if row["idempotency_key"] == key][-1]


@pytest.mark.parametrize("by", ["key", "id"])
def test_an_event_is_reversed_by_its_key_or_its_id(story: Story, payer: str, by: str) -> None:
    first = charge_of(story.api)
    body = {"idempotency_key": "r-1", "event": "a" if by == "key" else first["event"], "reason": "A mistake"}
    answer = story.api.post("/v1/reversals", body)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert {
        name: made[name] for name in ("event", "amount", "currency", "cause", "reason", "replaced_by")
    } == {
        "event": first["event"],
        "amount": "-6",
        "currency": "USD",
        "cause": "event",
        "reason": "A mistake",
        "replaced_by": None,
    }
    assert made["reversed_charges"] == [first["id"]]
    assert (made["billing_entity"], made["seq"]) == (payer, first["seq"] + 1)
    assert story.settled(payer) == 10
    assert story.api.get(f"/v1/reversals/{made['id']}").json() == made
    assert story.api.get("/v1/reversals", billing_entity=payer).json()["data"] == [made]
    assert story.api.get("/v1/reversals", cause="rerating").json()["data"] == []
    story.audit()


def test_charges_say_that_they_were_taken_back(story: Story, payer: str) -> None:
    first = charge_of(story.api)
    made = story.api.make("/v1/reversals", event="a", reason="A mistake")
    taken = story.api.get(f"/v1/charges/{first['id']}").json()
    assert taken["reversal"] is None
    assert taken["reversed_by"]["charge"] == made["charge"]
    taking = story.api.get(f"/v1/charges/{made['charge']}").json()
    assert taking["reversed_by"] is None
    assert (taking["reversal"]["reversed_charges"], taking["is_rerated"]) == ([first["id"]], False)
    assert (taking["amount"], taking["lines"][0]["quantity"]) == ("-6", "-3")
    assert taking["lines"][0]["breakdown"] == [{"quantity": "-3", "unit_price": "2", "amount": "-6"}]
    assert [part["amount"] for part in taking["funding"]] == ["-6"]
    for charge in (first["id"], made["charge"]):
        assert story.api.post(f"/v1/charges/{charge}/recompute", {}).json()["matches"]


def test_the_same_key_again_gets_the_first_answer(story: Story, payer: str) -> None:
    body = {"idempotency_key": "r-1", "event": "a", "reason": "A mistake"}
    first, again = (story.api.post("/v1/reversals", body) for _ in range(2))
    assert (first.json(), again.headers["Idempotent-Replayed"]) == (again.json(), "true")
    assert story.settled(payer) == 10
    other = story.api.post("/v1/reversals", body | {"reason": "Another"})
    assert (other.status_code, other.json()["error"]["param"]) == (409, "reason")
    header = {"Idempotency-Key": "r-2"}
    differs = story.api.post("/v1/reversals", body, **header)
    assert (differs.status_code, differs.json()["error"]["code"]) == (400, "key_mismatch")
    second = story.api.post("/v1/reversals", body | {"idempotency_key": "r-2"}, **header)
    assert (second.status_code, second.json()["error"]["code"]) == (409, "already_reversed")


def test_a_key_that_two_customers_used_needs_the_customer(story: Story, payer: str) -> None:
    other = story.payer(top_up="10")
    body = {"idempotency_key": "a", "event": "call", "billing_entity": other}
    assert story.api.post("/v1/events", {"events": [body]}).json()["accepted"] == 1
    answer = story.api.post("/v1/reversals", {"event": "a", "reason": "r"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "ambiguous_event")
    customer = charge_of(story.api)["customer"]
    made = story.api.make("/v1/reversals", event="a", customer=customer, reason="r")
    assert made["billing_entity"] == payer
    story.audit()


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"event": "nothing"}, 404, "event"),
        ({"event": "evt_0"}, 404, "event"),
        ({"event": "evt_" + "0" * 30}, 404, "event"),
        ({"event": None}, 400, "event"),
        ({"reason": ""}, 400, "reason"),
        ({"reason": None}, 400, "reason"),
        ({"customer": "cus_nobody"}, 400, "customer"),
        ({"idempotency_key": 5}, 400, "idempotency_key"),
        ({"amount": "5"}, 400, "amount"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(
    story: Story, payer: str, fields: dict[str, Any], status: int, param: str
) -> None:
    answer = story.api.post("/v1/reversals", {"event": "a", "reason": "r"} | fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.content
    assert story.settled(payer) == 4


def test_who_may_charge_may_reverse_and_who_reads_may_look(story: Story, payer: str) -> None:
    body = {"event": "a", "reason": "r"}
    for scope in ("read", "events:write"):
        assert Api(scope).post("/v1/reversals", body).status_code == 403
    assert Api("charges:write").post("/v1/reversals", body).status_code == 201
    assert len(Api("read").get("/v1/reversals").json()["data"]) == 1


def test_margins_forget_a_reversed_event(story: Story, payer: str) -> None:
    story.api.make("/v1/reversals", event="a", reason="r")
    window = {"billing_entity": payer, "from": "2026-03-01T00:00:00Z", "to": "2026-03-03T00:00:00Z"}
    for narrow in ({}, {"granularity": "hour"}):
        answer = story.api.get("/v1/margins", **window, **narrow)
        assert answer.status_code == 200, answer.content
        figures = [figure for figure in _figures(answer.json()) if "revenue" in figure]
        assert {(figure["revenue"], figure["events"]) for figure in figures} == {("0", 0)}


def _figures(found: Any) -> list[dict[str, Any]]:
    """Every object in an answer."""
    if isinstance(found, dict):
        return [found, *(inner for value in found.values() for inner in _figures(value))]
    return [inner for value in found for inner in _figures(value)] if isinstance(found, list) else []
