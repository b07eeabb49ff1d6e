"""An event that was taken back counts neither in a simulation nor in the upcoming price, on either side."""

from __future__ import annotations

from typing import Any

import pytest

from billing.simulations import run_simulations
from tests.scenarios.money import Story, tiers

pytestmark = pytest.mark.django_db

TRANSACTIONS = {"key": "tok", "meter": "tok", "model": "percentage", "rate": "0.1", "fixed_fee": "1"}
LEVELS = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "2"), (None, "1"))}
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    # 1 + 0.1 x 20; events are read for it.
    "events": (TRANSACTIONS, "3"),
    # 10 at 2 and 10 at 1; buckets are read for it.
    "buckets": (LEVELS, "30"),
}


@pytest.mark.parametrize("model", MODELS)
def test_a_reversed_event_counts_on_neither_side(money: Story, model: str) -> None:
    content, expected = MODELS[model]
    money.meter("tok")
    new = money.plan(content)
    payer, other = (money.payer(money.plan(TRANSACTIONS), top_up="1000") for _ in range(2))
    assert money.charge(payer, tok=20) == "3"
    money.at(3, 2)
    assert money.charge(payer, tok=40) == "5"
    assert money.charge(other, tok=20) == "3"
    latest = money.api.get("/v1/charges", billing_entity=payer).json()["data"][0]
    money.api.make("/v1/reversals", event=latest["event"], reason="sent twice")
    assert money.settled(payer) == 997

    money.at(3, 11)
    for each in (payer, other):
        path = f"/v1/billing-entities/{each}/upcoming"
        (found,) = money.api.get(path, plan_version=new).json()["subscriptions"]
        so_far = found["current_period"]["so_far"]
        assert (so_far["current"], so_far["upcoming"]) == ("3", expected)

    body = {"versions": [new], "from": "2026-03-01T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
    made = money.api.post("/v1/simulations", body)
    assert made.status_code == 202, made.content
    run_simulations()
    (totals,) = money.api.get(f"/v1/simulations/{made.json()['id']}").json()["totals"]
    assert (totals["current"], totals["simulated"]) == ("6", str(2 * int(expected)))
