"""A price change: simulated on the past, shown to the customer, then lived, to the same amounts."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.simulations import run_simulations
from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db
MARCH = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
NEW: dict[str, dict[str, Any]] = {
    "graduated": {
        "key": "tok",
        "meter": "tok",
        "model": "graduated",
        "tiers": tiers(("20", "2"), (None, "1")),
    },
    "volume": {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("20", "2"), (None, "1"))},
    "package": {"key": "tok", "meter": "tok", "model": "package", "package_size": "8", "package_price": "9"},
    "included": per_unit("tok", "3", included="15", maximum="60"),
    "percentage": {
        "key": "tok",
        "meter": "tok",
        "model": "percentage",
        "rate": "0.5",
        "fixed_fee": "1",
        "free_transactions": 1,
    },
    "grouped": {
        "key": "tok",
        "meter": "tok",
        "model": "graduated",
        "tiers": tiers(("10", "2"), (None, "1")),
        "group_by": ["region"],
    },
}
CALLS = ((3, 7, "eu"), (9, 11, "us"), (17, 13, "eu"), (30, 5, None))
"""Day, tokens and region; each month the same."""


def a_month(money: Story, payer: str, month: int) -> Decimal:
    """The calls of a month; gives what they were charged."""
    total = Decimal(0)
    for day, tokens, region in CALLS:
        money.at(month, day, 12)
        total += Decimal(money.charge(payer, tok=tokens, region=region))
    return total


def simulated(money: Story, version: str, window: dict[str, str], **body: Any) -> dict[str, Any]:
    """A simulation over the API, run to its end; its totals."""
    answer = money.api.post("/v1/simulations", {"versions": [version], **window, **body})
    assert answer.status_code == 202, answer.content
    run_simulations()
    found = money.api.get(f"/v1/simulations/{answer.json()['id']}").json()
    assert found["status"] == "done", found
    (totals,) = found["totals"]
    return dict(totals)


@pytest.mark.parametrize("model", NEW)
def test_what_was_simulated_is_what_is_charged_afterwards(money: Story, model: str) -> None:
    money.meter("tok")
    old, new = money.plan(per_unit("tok", "1")), money.plan(NEW[model])
    payer = money.payer(old, top_up="1000")
    march = a_month(money, payer, 3)
    assert march == 36
    money.at(4, 1)
    totals = simulated(money, new, MARCH)
    assert Decimal(totals["current"]) == march

    # It moves at the turn of the month, and does in April just what it did in March.
    (subscription,) = money.api.get("/v1/subscriptions", billing_entity=payer).json()["data"]
    money.api.post(f"/v1/subscriptions/{subscription['id']}/cancel", {"at": "2026-04-01T00:00:00Z"})
    body = {"billing_entity": payer, "plan_version": new, "starts_at": "2026-04-01T00:00:00Z"}
    money.api.make("/v1/subscriptions", **body)
    april = a_month(money, payer, 4)
    assert april == Decimal(totals["simulated"])

    # And looking back over both months, each is what it was.
    money.at(5, 1)
    both = simulated(money, new, MARCH | {"to": "2026-05-01T00:00:00Z"})
    assert Decimal(both["current"]) == march + april
    assert Decimal(both["simulated"]) == 2 * april


def test_forty_customers_under_the_new_price(money: Story) -> None:
    """Thirty use 10, 20, ... 300 units; ten use nothing. Old: 1 a unit. New: 30 a month, and half a unit."""
    money.meter("tok")
    old = money.plan(per_unit("tok", "1"))
    fee = {"key": "platform", "amount": "30", "timing": "in_advance", "prorate": True}
    new = money.plan(per_unit("tok", "0.5"), base_fees=[fee])
    payers = [money.payer(old, top_up="1000") for _ in range(40)]
    money.at(3, 20)
    for number, payer in enumerate(payers[:30], start=1):
        money.report(payer, {"tok": 10 * number})
    money.at(4, 1)
    totals = simulated(money, new, MARCH, grows_by="50")
    # Usage: 10 x (1 + ... + 30) = 4650. New: half of it, and forty times thirty.
    assert (totals["payers"], totals["current"], totals["simulated"]) == (40, "4650", "3525")
    # 30 + u/2 against u: above 60 units it is less. Six pay 25, 20, ... 0 more or the same; ten pay 30 more.
    assert (totals["winners"], totals["unchanged"], totals["losers"]) == (24, 1, 15)
    # More than half as much again: 30 + u/2 > 1.5 u, so u < 30: two of them, and the ten with nothing.
    assert totals["growing"] == 12
    # In ascending order: -120, -115, ... -5 (24), 0, 5, ... 25 (5), 30 (10); each tenth is four places.
    assert totals["deciles"] == [
        "-120",
        "-105",
        "-85",
        "-65",
        "-45",
        "-25",
        "-5",
        "15",
        "30",
        "30",
        "30",
    ]


def test_a_customer_sees_its_own_months_under_both_prices(money: Story) -> None:
    money.meter("tok")
    old = money.plan(per_unit("tok", "1"))
    new = money.plan(NEW["graduated"])
    payer = money.payer(old, top_up="1000")
    charged = {month: a_month(money, payer, month) for month in (3, 4)}
    money.at(5, 11)
    money.report(payer, {"tok": 30}, occurred_at=datetime(2026, 5, 4, tzinfo=UTC).isoformat())
    answer = money.api.get(f"/v1/billing-entities/{payer}/upcoming", plan_version=new)
    (found,) = answer.json()["subscriptions"]
    assert [Decimal(month["current"]) for month in found["last_periods"]] == [charged[4], charged[3]]
    # 36 units: 20 at 2, 16 at 1.
    assert {month["upcoming"] for month in found["last_periods"]} == {"56"}
    so_far, projection = found["current_period"]["so_far"], found["current_period"]["projection"]
    assert (so_far["current"], so_far["upcoming"], so_far["difference"]) == ("30", "50", "20")
    # 30 units in ten days are 93 in thirty-one.
    assert (projection["current"], projection["upcoming"]) == ("93", "113")


def test_a_payer_in_kathmandu_is_simulated_on_its_own_months(money: Story) -> None:
    money.meter("tok")
    version = money.plan(NEW["graduated"])
    payer = money.payer(version, top_up="1000", time_zone="Asia/Kathmandu")
    money.at(4, 2)
    # 18:15 UTC is midnight there: 20 units end March, 20 begin April.
    first = money.charge(payer, occurred_at="2026-03-31T18:14:59.999999Z", tok=20)
    second = money.charge(payer, occurred_at="2026-03-31T18:15:00Z", tok=20)
    assert (first, second) == ("40", "40")
    local = {"from": "2026-02-28T18:15:00Z", "to": "2026-03-31T18:15:00Z"}
    assert simulated(money, version, local)["simulated"] == "40"
    assert simulated(money, version, MARCH)["simulated"] == "80"


def test_usage_that_comes_late_is_simulated_where_it_occurred(money: Story) -> None:
    money.meter("tok")
    version = money.plan(NEW["graduated"])
    payer = money.payer(version, top_up="1000")
    money.at(3, 31)
    money.charge(payer, tok=19)
    money.at(4, 20)
    late = Decimal(money.charge(payer, occurred_at="2026-03-30T00:00:00Z", tok=3))
    assert late == 4  # one more at 2, two at 1
    totals = simulated(money, version, MARCH)
    assert totals["current"] == totals["simulated"] == "42"
    after = {"from": "2026-04-01T00:00:00Z", "to": "2026-04-20T00:00:00Z"}
    assert simulated(money, version, after)["simulated"] == "0"
