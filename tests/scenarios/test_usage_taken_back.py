"""What was taken back counts in no answer of `GET /v1/usage`, whatever it is narrowed to, as in its sum."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db
MARCH = {"from": "2026-03-01", "to": "2026-04-01"}


def call(money: Story, payer: str, key: str, tok: str, **fields: Any) -> None:
    """A call of maria's in the trace `t`."""
    body = {"idempotency_key": key, "event": "call", "workspace": f"w-{payer}", "user": "maria", "trace": "t"}
    answer = money.api.post("/v1/charges", body | {"properties": {"tok": tok}} | fields)
    assert answer.status_code == 201, answer.content


def usage(money: Story, payer: str, **narrowed: str) -> dict[str, tuple[str | None, int]]:
    """(total, events) by meter."""
    answer = money.api.get("/v1/usage", billing_entity=payer, **MARCH, **narrowed)
    assert answer.status_code == 200, answer.content
    return {series["meter"]: (series["total"], series["events"]) for series in answer.json()["data"]}


@pytest.mark.parametrize("narrowed", [{}, {"user": "maria"}, {"trace": "t"}, {"user": "maria", "trace": "t"}])
def test_narrowed_or_not_it_is_the_same(money: Story, narrowed: dict[str, str]) -> None:
    money.meter("tok")
    money.meter("level", "latest", property_path="tok")
    money.meter("calls", "count", property_path=None)
    payer = money.payer(money.plan(per_unit("tok", "1")), top_up="100")
    money.at(3, 2)
    for key, tok in (("a", "5"), ("b", "7"), ("c", "2")):
        call(money, payer, key, tok)
        money.at(3, 2 + ord(key) - ord("a"), 6)
    assert usage(money, payer, **narrowed) == {"tok": ("14", 3), "level": ("2", 3), "calls": ("3", 3)}
    for key, left in (("c", ("12", 2)), ("a", ("7", 1))):
        money.api.make("/v1/reversals", event=key, reason="a mistake")
        assert usage(money, payer, **narrowed)["tok"] == left
    assert usage(money, payer, **narrowed) == {"tok": ("7", 1), "level": ("7", 1), "calls": ("1", 1)}


def test_what_was_charged_again_counts_once(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(top_up="100")
    body = {"billing_entity": payer, "plan_version": money.plan(per_unit("tok", "1"))}
    subscription = money.api.make("/v1/subscriptions", **body)["id"]
    money.at(3, 5)
    call(money, payer, "a", "5")
    money.at(3, 6)
    change = {"plan_version": money.plan(per_unit("tok", "3")), "at": "2026-03-02T00:00:00Z"}
    assert money.api.post(f"/v1/subscriptions/{subscription}/change", change).status_code == 200
    assert money.settled(payer) == 85
    for narrowed in ({}, {"user": "maria"}):
        assert usage(money, payer, **narrowed) == {"tok": ("5", 1)}
