"""A subscription that starts in the past, over usage that came while nothing priced it: months that are over,
add-ons, backfills by choice before and after, and what was taken back meanwhile."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.models import Charge, ClosingLine
from core.numbers import plain
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db
PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}


def backfill(life: LifeStory, payer: str, **fields: Any) -> tuple[int, int, str]:
    """(looked at, charged, amount) of `POST /v1/backfills`."""
    made = life.api.make("/v1/backfills", billing_entity=payer, **fields)
    return made["looked_at"], made["charged"], made["amount"]


def three_months(life: LifeStory, payer: str) -> None:
    """12 units on the 5th and 3 on the 20th of March, April and May, which nothing prices."""
    for month in (3, 4, 5):
        for day, tok in ((5, 12), (20, 3)):
            life.at(month, day)
            life.report(payer, {"tok": tok})


def test_months_that_are_over_are_charged_by_month_and_closed(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    three_months(life, payer)
    life.at(5, 25)
    minimum = {"minimum": "12"}
    subscription = life.start(
        payer, life.plan(GRADUATED | minimum, base_fees=[PLATFORM]), starts_at="2026-03-11T00:00:00Z"
    )
    # March from the 11th: 3. April and May: 15, of which ten at 1.
    assert sorted(Charge.objects.values_list("amount", flat=True)) == [
        Decimal(text) for text in ("0.3", "0.3", "3", "10.2", "10.2")
    ]
    life.run_due()
    assert life.fees(subscription) == [
        "platform 21 03-11..04-01",
        "platform 31 04-01..05-01",
        "platform 31 05-01..06-01",
    ]
    closed = ClosingLine.objects.exclude(amount=0).order_by("pk")
    # 21 of 31 days of 12, and 12, less what usage came to.
    assert [plain(line.amount) for line in closed] == ["5.129032258064516129", "1.5"]
    assert backfill(life, payer) == (1, 0, "0"), "what was before the start stays unpriced"
    assert life.charge(payer, tok=1) == "0.1", "the counters of May stand where they should"


def test_a_backfill_before_it_finds_no_price_and_after_it_nothing_is_left(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    life.report(payer, {"tok": 4}, {"tok": 5})
    assert backfill(life, payer) == (2, 0, "0")
    life.at(3, 10)
    life.start(payer, life.plan(per_unit("tok", "2")), starts_at="2026-03-01T00:00:00Z")
    assert life.settled(payer) == 1000 - 18
    for _ in range(2):
        assert backfill(life, payer) == (0, 0, "0")
    assert life.settled(payer) == 1000 - 18


def test_an_add_on_in_the_past_charges_its_part_of_events_that_were_charged(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    life.start(payer, life.plan(GRADUATED))
    life.at(3, 5)
    assert life.charge(payer, tok=12, img=1) == "10.2"
    life.report(payer, {"img": 2})
    assert life.charge(payer, tok=10) == "1"
    life.at(3, 10)
    life.start(payer, life.plan(per_unit("img", "7")), starts_at="2026-03-02T00:00:00Z")
    assert life.settled(payer) == 1000 - Decimal("11.2") - 21
    assert backfill(life, payer)[1:] == (0, "0")


def test_what_was_taken_back_meanwhile_is_not_charged(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    for key in ("a", "b"):
        body = {"idempotency_key": key, "event": "call", "workspace": f"w-{payer}", "properties": {"tok": 4}}
        assert life.api.post("/v1/events", {"events": [body]}).json()["unpriced"] == 1
    life.at(3, 5)
    assert life.api.make("/v1/reversals", event="a", reason="a mistake")["amount"] == "0"
    life.start(payer, life.plan(per_unit("tok", "2")), starts_at="2026-03-01T00:00:00Z")
    assert life.settled(payer) == 1000 - 8
    assert life.api.make("/v1/reversals", event="b", reason="a mistake")["amount"] == "-8"
    assert backfill(life, payer) == (0, 0, "0")


def test_the_order_of_usage_is_the_order_in_which_it_came(life: LifeStory) -> None:
    life.meter("tok")
    payer, twin = (life.payer(top_up="1000") for _ in range(2))
    volume = {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("10", "1"), (None, "0.1"))}
    plan = life.plan(volume)
    life.start(twin, plan)
    life.at(3, 20)
    for day in (15, 3, 9):
        for each in (payer, twin):
            life.report(each, {"tok": 4}, occurred_at=f"2026-03-{day:02}T00:00:00Z")
    life.start(payer, plan, starts_at="2026-03-01T00:00:00Z")
    for each in (payer, twin):
        rows = life.api.get("/v1/charges", billing_entity=each).json()["data"]
        amounts = [row["amount"] for row in sorted(rows, key=lambda row: row["seq"])]
        assert amounts == ["4", "4", "-6.8"]


def test_a_trial_in_the_past_is_free_of_fees_and_usage_in_it_is_charged(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    life.report(payer, {"tok": 5})
    life.at(3, 25)
    plan = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM], trial={"days": 10}, minimum_spend="62")
    subscription = life.start(payer, plan, starts_at="2026-03-01T00:00:00Z")
    assert life.fees(subscription) == ["platform 21 03-11..04-01"]
    assert life.settled(payer) == 1000 - 5 - 21
    life.at(4, 3)
    life.run_due()
    # 21 of 31 days of the commitment are 42, of which 26 were spent.
    assert life.settled(payer) == 1000 - 5 - 21 - 16 - 31


def test_a_trial_with_free_usage_is_a_credit_that_ends_with_it(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(overdraft="0")
    plan = life.plan(per_unit("tok", "1"), per_unit("img", "1"), base_fees=[PLATFORM], trial={"days": 10})
    life.start(payer, plan)
    life.grant(payer, "20", components=["tok"], expires_at="2026-03-11T00:00:00Z")
    assert life.charge(payer, tok=15) == "15"
    assert life.refused(payer, img=1) == "insufficient_funds", "it is for tokens"
    assert life.refused(payer, tok=6) == "insufficient_funds", "and bounded"
    life.at(3, 11)
    assert life.refused(payer, tok=1) == "insufficient_funds", "the trial is over"


def test_a_credit_of_another_name_is_given_at_once_with_the_version_that_has_it(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(overdraft="0")
    small = life.plan(per_unit("tok", "1"), credits=[{"key": "small", "amount": "10", "every": "month"}])
    large = life.plan(per_unit("tok", "1"), credits=[{"key": "large", "amount": "50", "every": "month"}])
    subscription = life.start(payer, small)
    assert life.charge(payer, tok=8) == "8"
    life.at(3, 15)
    life.do(subscription, "change", plan_version=large)
    assert life.charge(payer, tok=52) == "52"
    assert life.remaining(payer) == ["0", "0"]
    life.at(4, 1)
    life.run_due()
    assert life.settled(payer) == 50
