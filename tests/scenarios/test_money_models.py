"""Prices at work on real charges: every total is worked out by hand beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db


def test_usage_that_is_taken_back_gives_its_price_back(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.5")), top_up="10")
    assert money.charge(payer, tok=10) == "5"
    assert money.charge(payer, tok=-4) == "-2"
    assert money.charge(payer, tok=-10) == "-3"  # the total is -4, of which F is 0
    assert money.charge(payer, tok=4) == "0"  # and 0 again
    assert money.charge(payer, tok=2) == "1"
    assert money.settled(payer) == 9
    assert money.remaining(payer) == ["9"]


def test_nothing_costs_nothing_even_with_an_empty_wallet(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.5")))
    assert money.charge(payer, tok=0) == "0"
    assert money.charge(payer, tok="0.000000000000") == "0"
    assert money.charge(payer, tok=-0.0) == "0"
    assert money.refused(payer, tok=1) == "insufficient_funds"


def test_a_volume_tier_gives_value_back_to_the_grants_that_paid_latest_first(money: Story) -> None:
    money.meter("tok")
    price = {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("10", "1"), (None, "0.5"))}
    payer = money.payer(money.plan(price), top_up="100")
    money.grant(payer, "4", priority=1)
    assert money.charge(payer, tok=3) == "3"  # promotional 3
    assert money.charge(payer, tok=7) == "7"  # promotional 1, paid 6
    assert money.remaining(payer) == ["94", "0"]
    # 11 units at 0.5 are 5.5; 10 were paid: 4.5 come back, latest first: to paid
    assert money.charge(payer, tok=1) == "-4.5"
    assert money.remaining(payer) == ["98.5", "0"]
    # 12 units are 6, so 0.5 more; then back to 9 units at 1
    assert money.charge(payer, tok=1) == "0.5"
    assert money.charge(payer, tok=-3) == "3"
    assert money.settled(payer) == 95
    assert money.account(payer, "revenue") == 9


def test_what_a_volume_tier_gives_back_may_reach_several_grants(money: Story) -> None:
    money.meter("tok")
    price = {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("10", "1"), (None, "0.1"))}
    payer = money.payer(money.plan(price), top_up="2")
    first = money.grant(payer, "5", priority=1)
    assert money.charge(payer, tok=7) == "7"  # promotional 5, paid 2
    money.top_up(payer, "3")
    assert money.charge(payer, tok=3) == "3"  # the second top-up
    # 20 units at 0.1 are 2: 8 come back: 3 to the second top-up, 2 to the first, 3 to the promotion
    assert money.charge(payer, tok=10) == "-8"
    assert money.remaining(payer) == ["2", "3", "3"]
    assert money.settled(payer) == 8
    assert first


def test_a_volume_tier_reached_in_one_batch_with_what_was_paid_there(money: Story) -> None:
    money.meter("tok")
    price = {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("10", "1"), (None, "0.5"))}
    payer = money.payer(money.plan(price), top_up="6")
    money.grant(payer, "4", priority=1)
    money.report(payer, {"tok": 5}, {"tok": 5}, {"tok": 10}, {"tok": -11})
    # 5, 5, 0 (20 at 0.5 = 10 = paid), then 9 at 1 = 9: -1
    assert money.settled(payer) == 1
    assert money.account(payer, "revenue") == 9


def test_a_percentage_with_a_free_allowance_fees_and_bounds(money: Story) -> None:
    money.meter("pay")
    price = {
        "key": "pay",
        "meter": "pay",
        "model": "percentage",
        "rate": "0.02",
        "fixed_fee": "0.30",
        "free_amount": "100",
        "min_per_transaction": "0.5",
        "max_per_transaction": "3",
    }
    payer = money.payer(money.plan(price), top_up="100")
    assert money.charge(payer, pay=60) == "0"
    assert money.charge(payer, pay=100) == "1.5"  # 60 beyond the allowance: 1.20 + 0.30
    assert money.charge(payer, pay=1) == "0.5"  # 0.32, at least 0.5
    assert money.charge(payer, pay=1000) == "3"  # 20.30, at most 3
    assert money.charge(payer, pay=-1000) == "-3"
    assert money.charge(payer, pay=0) == "0.5"
    assert money.settled(payer) == Decimal("97.5")


def test_a_maximum_meter_charges_only_what_is_higher(money: Story) -> None:
    money.meter("seats", aggregation="max")
    payer = money.payer(money.plan(per_unit("seats", "10")), top_up="1000")
    assert [money.charge(payer, seats=n) for n in (3, 2, 3, 5, "4.5", -7)] == ["30", "0", "0", "20", "0", "0"]
    assert money.settled(payer) == 950


def test_a_unique_meter_charges_each_value_once_a_period(money: Story) -> None:
    money.meter("who", aggregation="unique")
    payer = money.payer(money.plan(per_unit("who", "2")), top_up="100")
    assert [money.charge(payer, who=name) for name in ("a", "b", "a", "b", "c")] == ["2", "2", "0", "0", "2"]
    money.report(payer, {"who": "c"}, {"who": "d"}, {"who": "d"})
    assert money.settled(payer) == 92
    money.at(4, 2)
    assert money.charge(payer, who="a") == "2"
    late = "2026-03-31T23:59:59Z"
    assert money.charge(payer, occurred_at=late, who="a") == "0"
    assert money.charge(payer, occurred_at=late, who="e") == "2"


def test_uniques_count_per_group_where_the_component_groups(money: Story) -> None:
    money.meter("who", aggregation="unique", group_by=["region"])
    plan = money.plan(per_unit("who", "2", group_by=["plan"]))
    payer = money.payer(plan, top_up="100")
    assert money.charge(payer, who="a", region="eu", plan="x") == "2"
    assert money.charge(payer, who="a", region="us", plan="x") == "0"
    assert money.charge(payer, who="a", region="eu", plan="y") == "2"


def test_every_combination_of_dimensions_is_rated_on_its_own(money: Story) -> None:
    money.meter("tok")
    price = {
        "key": "tok",
        "meter": "tok",
        "model": "graduated",
        "group_by": ["model", "region"],
        "tiers": tiers(("10", "1"), (None, "0.1")),
        "discount_percent": "50",
        "maximum": "12",
    }
    payer = money.payer(money.plan(price), top_up="100")
    assert money.charge(payer, tok=10, model="a", region="eu") == "5"
    assert money.charge(payer, tok=20, model="a", region="us") == "5.5"  # 10 + 1, half
    assert money.charge(payer, tok=10, model="a") == "1.5"  # 5, but at most 12 in all
    assert money.charge(payer, tok=100, model="a", region="eu") == "0"
    assert money.charge(payer, tok=-5, model="a") == "0"  # 18.5 in all would be less than 24, still above 12
    assert money.settled(payer) == 88


def test_two_meters_hear_one_event_and_a_third_does_not(money: Story) -> None:
    money.meter("tok")
    money.meter("calls", aggregation="count")
    money.meter("big", filter=[{"property": "big", "op": "gt", "value": 10}])
    plan = money.plan(per_unit("tok", "0.01"), per_unit("calls", "0.1"), per_unit("big", "1"))
    payer = money.payer(plan, top_up="100")
    assert money.charge(payer, tok=100, big=5) == "1.1"
    assert money.charge(payer, tok=100, big=11) == "12.1"
    answer = money.ask(payer, big=20).json()
    assert [(line["component"], line["amount"]) for line in answer["lines"]] == [
        ("calls", "0.1"),
        ("big", "20"),
    ]
    assert money.settled(payer) == Decimal("66.7")


def test_two_subscriptions_price_their_own_meters_of_one_event(money: Story) -> None:
    money.meter("tok")
    money.meter("calls", aggregation="count")
    platform, support = money.plan(per_unit("tok", "0.01")), money.plan(per_unit("calls", "0.1"))
    payer = money.payer(platform, support, top_up="2")
    answer = money.ask(payer, tok=100).json()
    assert sorted((line["component"], line["amount"]) for line in answer["lines"]) == [
        ("calls", "0.1"),
        ("tok", "1"),
    ]
    assert answer["amount"] == "1.1"
    assert money.refused(payer, tok=100) == "insufficient_funds"  # 1.1 > 0.9: all or nothing
    assert money.charge(payer, tok=80) == "0.9"
    assert money.settled(payer) == 0


def test_two_subscriptions_may_not_price_one_meter(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.01")))
    body = {"billing_entity": payer, "plan_version": money.plan(per_unit("tok", "0.02"))}
    answer = money.api.post("/v1/subscriptions", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "meter_priced_already")


def test_packages_are_paid_for_when_they_are_opened(money: Story) -> None:
    money.meter("tok")
    price = {"key": "tok", "meter": "tok", "model": "package", "package_size": "100", "package_price": "5"}
    payer = money.payer(money.plan(price | {"included": "50"}), top_up="20")
    amounts = [money.charge(payer, tok=n) for n in (50, "0.000000000001", 99, 1, -1, 200)]
    # billable: 0, a bit, 99 and a bit, 100 and a bit, 99 and a bit, 299 and a bit
    assert amounts == ["0", "5", "0", "5", "-5", "10"]
    assert money.settled(payer) == 5


def test_cost_plus_is_a_share_of_the_vendors_cost_and_needs_it(money: Story) -> None:
    money.meter("calls", aggregation="count")
    price = {"key": "c", "meter": "calls", "model": "cost_plus", "markup": "0.3"}
    payer = money.payer(money.plan(price), top_up="10")
    event = {"event": "call", "billing_entity": payer}
    cost = {"costs": [{"vendor": "v", "amount": "1.5", "currency": "USD"}]}
    answer = money.api.post("/v1/charges", event | cost | {"idempotency_key": "a"}).json()
    assert (answer["amount"], answer["cost"]) == ("1.95", "1.5")
    unknown = money.api.post("/v1/charges", event | {"idempotency_key": "b"})
    assert unknown.status_code in (400, 422)
    reported = money.api.post("/v1/events", {"events": [event | {"idempotency_key": "c"}]}).json()
    assert (reported["accepted"], reported["unpriced"]) == (1, 1)
    assert money.settled(payer) == Decimal("8.05")
