"""Usage that a change leaves without a price, and another change prices again: it is charged once, whatever
comes then, and can be taken back."""

from __future__ import annotations

from typing import Any

import pytest

from billing.models import Charge, Reversal
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db
SINCE = "2026-03-02T00:00:00Z"


def used(life: LifeStory, payer: str, key: str = "a", **properties: Any) -> None:
    body = {"idempotency_key": key, "event": "call", "workspace": f"w-{payer}", "properties": properties}
    answer = life.api.post("/v1/charges", body)
    assert answer.status_code == 201, answer.content


def usage(life: LifeStory, payer: str) -> dict[str, tuple[str | None, int]]:
    """(total, events) by meter."""
    answer = life.api.get("/v1/usage", billing_entity=payer, **{"from": "2026-03-01", "to": "2026-04-01"})
    return {series["meter"]: (series["total"], series["events"]) for series in answer.json()["data"]}


@pytest.mark.parametrize("aggregation", ["sum", "unique", "max", "count"])
def test_it_is_charged_once_whatever_comes_then(life: LifeStory, aggregation: str) -> None:
    life.meter("tok", aggregation, property_path=None if aggregation == "count" else "tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 5)
    used(life, payer, tok=1)
    before = usage(life, payer)
    paid = [life.settled(payer)]
    life.at(3, 6)
    for price in (None, "2", None, "3", "5"):
        part = per_unit("img", "1") if price is None else per_unit("tok", price)
        life.do(subscription, "change", plan_version=life.plan(part), at=SINCE)
        paid.append(life.settled(payer))
        assert usage(life, payer) == before, price
    assert paid == [999, 1000, 998, 1000, 997, 995]
    assert sum(Charge.objects.values_list("amount", flat=True)) == 5
    made = life.api.make("/v1/reversals", event="a", reason="a mistake")
    assert (made["amount"], life.settled(payer)) == ("-5", 1000)
    assert life.api.make("/v1/backfills", billing_entity=payer)["charged"] == 0


def test_a_reversal_of_nothing_leads_on_to_the_charge(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 5)
    used(life, payer, tok=4)
    life.at(3, 6)
    life.do(subscription, "change", plan_version=life.plan(per_unit("img", "1")), at=SINCE)
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "2")), at="2026-03-03T00:00:00Z")
    first, second = Reversal.objects.order_by("pk")
    assert (first.amount, first.replaced_by) == (-4, None)
    assert second.amount == 0
    assert second.replaced_by is not None
    assert Charge.objects.get(id=second.replaced_by).amount == 8
    assert not second.reversed_charges.exists()


def test_a_pause_and_its_end_at_the_instant_of_a_call(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 5)
    used(life, payer, tok=4)
    assert life.refusal(subscription, "pause", at="2026-03-04T00:00:00Z")[0] in (400, 409)
    life.do(subscription, "pause")
    assert life.settled(payer) == 1000
    life.do(subscription, "resume")
    assert life.settled(payer) == 996
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "2")))
    assert life.settled(payer) == 992
