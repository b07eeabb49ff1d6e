"""Starts and changes in the past: by reversal and new entries, never by edits. Told through the API."""

from __future__ import annotations

from decimal import Decimal

import pytest

from accounts.models import BillingEntity
from billing.models import Charge, Reversal
from billing.replay import replay_differences
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}


def test_a_start_in_the_past_charges_what_nothing_priced_when_it_came(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    life.report(payer, {"tok": 7})
    life.at(3, 5)
    life.report(payer, {"tok": 5})
    life.at(3, 10)
    life.start(payer, life.plan(GRADUATED, base_fees=[PLATFORM]), starts_at="2026-03-03T00:00:00Z")
    assert life.settled(payer) == 1000 - 5 - 29, "usage of before the start stays unpriced"
    assert life.charge(payer, tok=10) == "5.5"


def test_a_change_in_the_past_takes_back_and_charges_again_from_its_instant(life: LifeStory) -> None:
    life.meter("tok")
    old = life.plan(GRADUATED, base_fees=[PLATFORM])
    new = life.plan(per_unit("tok", "0.5"), base_fees=[PLATFORM | {"amount": "62"}])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    assert life.charge(payer, tok=8) == "8"
    life.at(3, 11)
    assert life.charge(payer, tok=12) == "3"  # two of ten left at 1, ten at 0.1
    life.at(3, 20)
    change = {"plan_version": new, "at": "2026-03-11T00:00:00Z", "reason": "agreed on the 11th"}
    preview = life.do(subscription, "change/preview", **change)
    life.do(subscription, "change", **change)
    assert (preview["usage"], preview["total"]) == ("3", "24")
    assert life.fees(subscription, 1) == ["platform -21 03-01..03-11", "platform 42 03-11..04-01"]
    assert life.settled(payer) == 1000 - 8 - 6 - 10 - 42
    assert sorted(Charge.objects.values_list("amount", flat=True)) == [-3, 3, 6, 8]
    assert Reversal.objects.get().reason == "agreed on the 11th"
    assert life.charge(payer, tok=1) == "0.5"
    assert life.charge(payer, occurred_at="2026-03-05T00:00:00Z", tok=4) == "2.2", (
        "the old counters are right"
    )


def test_a_change_in_the_past_leaves_an_add_ons_charges_alone(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.start(payer, life.plan(per_unit("img", "2")))
    life.at(3, 2)
    assert [life.charge(payer, tok=1), life.charge(payer, img=1), life.charge(payer, tok=1, img=1)] == [
        "1",
        "2",
        "3",
    ]
    life.at(3, 3)
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "5")), at="2026-03-02T00:00:00Z")
    assert Reversal.objects.count() == 2
    assert life.settled(payer) == 1000 - 5 - 2 - 7


def test_a_version_that_prices_another_meter_too_charges_it_since_then(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 2)
    life.charge(payer, tok=1, img=1)
    life.report(payer, {"img": 3})
    life.at(3, 3)
    both = life.plan(per_unit("tok", "1"), per_unit("img", "10"))
    life.do(subscription, "change", plan_version=both, at="2026-03-02T00:00:00Z")
    assert life.settled(payer) == 1000 - 1 - 10 - 30


def test_a_change_over_a_period_that_is_over_corrects_both(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1"), base_fees=[PLATFORM]))
    life.at(3, 20)
    life.charge(payer, tok=3)
    life.at(4, 1, 12)
    life.run_due()
    life.charge(payer, tok=4)
    new = life.plan(per_unit("tok", "2"), base_fees=[PLATFORM | {"amount": "62"}])
    life.do(subscription, "change", plan_version=new, at="2026-03-16T12:00:00Z")
    assert life.fees(subscription, 2) == [
        "platform -15.5 03-01..03-16T12:00",
        "platform 31 03-16T12:00..04-01",
        "platform 31 04-01..05-01",
    ]
    assert life.settled(payer) == 1000 - 6 - 8 - Decimal("15.5") - 31 - 62


def test_usage_from_ahead_of_the_clock_is_rated_by_what_covers_it(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 10)
    assert life.charge(payer, occurred_at="2026-03-10T12:00:00Z", tok=1) == "1"
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "3")))
    assert life.settled(payer) == 997
    assert life.refusal(subscription, "pause") == (409, "usage_after"), "its new segment has begun just now"
    life.at(3, 10, 1)
    life.do(subscription, "pause")
    assert life.settled(payer) == 1000


def test_usage_from_ahead_of_a_change_that_is_to_come_is_rated_by_it(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 10, 8)
    assert life.charge(payer, occurred_at="2026-03-10T12:00:00Z", tok=1) == "1"
    assert life.charge(payer, occurred_at="2026-03-10T09:00:00Z", tok=1) == "1"
    change = {"plan_version": life.plan(per_unit("tok", "3")), "at": "2026-03-10T10:00:00Z"}
    assert life.do(subscription, "change/preview", **change)["usage"] == "2"
    changed = life.do(subscription, "change", **change)
    assert life.settled(payer) == 1000 - 1 - 3
    withdrawn = life.refusal(subscription, "withdraw", change=changed["changes"][-1]["id"])
    assert withdrawn == (409, "usage_after"), "as if the usage had come after the change was planned"
    assert life.charge(payer, occurred_at="2026-03-10T13:00:00Z", tok=1) == "3"
    life.at(3, 10, 11)
    life.run_due()
    assert life.settled(payer) == 1000 - 1 - 3 - 3
    assert replay_differences(BillingEntity.objects.get()) == []


def test_a_closed_period_is_not_changed_any_more(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]))
    life.at(4, 20)
    life.run_due()
    change = {"plan_version": life.plan()}
    assert life.refusal(subscription, "change", **change, at="2026-03-31T00:00:00Z") == (409, "period_closed")
    life.do(subscription, "change", **change, at="2026-04-01T00:00:00Z")
    assert life.settled(payer) == 969
