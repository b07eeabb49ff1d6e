"""Another version in mid-period: usage, base fees and credits, to the last decimal, through the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "timing": "in_advance", "prorate": True}
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}


def platform(amount: str, **fields: Any) -> dict[str, Any]:
    """A base fee that is due in advance and prorated."""
    return PLATFORM | {"amount": amount} | fields


def test_an_upgrade_on_the_15th_credits_what_is_unused_and_rates_the_next_call_anew(life: LifeStory) -> None:
    life.meter("tok")
    basic = life.plan(GRADUATED, base_fees=[PLATFORM])
    pro = life.plan(per_unit("tok", "0.5"), base_fees=[platform("62")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, basic)
    assert life.charge(payer, tok=12) == "10.2"
    life.at(3, 15)
    shown = life.do(subscription, "change", plan_version=pro, reason="grew")
    assert (shown["plan_version"], shown["status"]) == (pro, "active")
    assert life.charge(payer, tok=12) == "6"
    assert life.charge(payer, occurred_at="2026-03-14T23:59:59Z", tok=10) == "1"
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform -17 03-01..03-15",  # 17 of 31 days unused
        "platform 34 03-15..04-01",
    ]
    assert life.segments(subscription) == [
        ("2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z"),
        ("2026-03-15T00:00:00Z", "2026-04-01T00:00:00Z"),
    ]
    assert life.changes(subscription) == [("change", "applied")]
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription, 3) == ["platform 62 04-01..05-01"]
    assert life.settled(payer) == 1000 - Decimal("10.2") - 6 - 1 - 31 + 17 - 34 - 62


def test_a_change_back_and_forth_in_one_day_costs_what_each_part_costs(life: LifeStory) -> None:
    basic, pro = life.plan(base_fees=[PLATFORM]), life.plan(base_fees=[platform("62")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, basic)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=pro)
    life.at(3, 11, 12)
    life.do(subscription, "change", plan_version=basic)
    assert life.settled(payer) == 1000 - 31 - Decimal("0.5")
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform -21 03-01..03-11",
        "platform 42 03-11..04-01",
        "platform -41 03-11..03-11T12:00",
        "platform 20.5 03-11T12:00..04-01",
    ]


def test_the_same_fee_on_both_plans_is_not_booked_twice(life: LifeStory) -> None:
    life.meter("tok")
    one = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    two = life.plan(per_unit("tok", "2"), base_fees=[PLATFORM])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, one)
    life.at(3, 15)
    life.do(subscription, "change", plan_version=two)
    assert life.fees(subscription) == ["platform 31 03-01..04-01"]
    assert life.charge(payer, tok=1) == "2"


def test_at_period_end_the_old_price_holds_to_the_last_instant(life: LifeStory) -> None:
    life.meter("tok")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    new = life.plan(per_unit("tok", "2"), base_fees=[platform("62")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.at(3, 10)
    shown = life.do(subscription, "change", plan_version=new, at="period_end")
    assert (shown["plan_version"], shown["changes"][-1]["at"]) == (old, "2026-04-01T00:00:00Z")
    assert life.changes(subscription) == [("change", "scheduled")]
    life.at(3, 31, 23, 59)
    assert life.charge(payer, tok=1) == "1"
    life.at(4, 1)
    assert life.charge(payer, tok=1) == "2", "no worker has to come first"
    life.run_due()
    life.run_due()
    assert life.read(subscription)["plan_version"] == new
    assert life.changes(subscription) == [("change", "applied")]
    assert life.fees(subscription) == ["platform 31 03-01..04-01", "platform 62 04-01..05-01"]


def test_a_late_worker_books_as_of_the_date(life: LifeStory) -> None:
    life.meter("tok")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    new = life.plan(per_unit("tok", "2"), base_fees=[platform("62")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.do(subscription, "change", plan_version=new, at="2026-03-15T00:00:00Z")
    life.at(3, 20)
    assert life.charge(payer, tok=1) == "2"
    life.at(4, 3)
    life.run_due()
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform -17 03-01..03-15",
        "platform 34 03-15..04-01",
        "platform 62 04-01..05-01",
    ]
    life.run_due()
    assert len(life.fees(subscription)) == 4


def test_a_scheduled_change_is_withdrawn_before_its_time_and_not_after(life: LifeStory) -> None:
    life.meter("tok")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    new = life.plan(per_unit("tok", "2"), interval="year", base_fees=[platform("62")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    first = life.do(subscription, "change", plan_version=new, at="2026-03-15T00:00:00Z")["changes"][-1]["id"]
    assert len(life.segments(subscription)) == 1
    assert life.segments(subscription)[0][1] == "2026-03-15T00:00:00Z"
    life.do(subscription, "withdraw", change=first)
    assert life.segments(subscription) == [("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")]
    assert life.refusal(subscription, "withdraw", change=first) == (409, "too_late")
    second = life.do(subscription, "change", plan_version=new, at="2026-03-20T00:00:00Z")["changes"][-1]["id"]
    life.at(3, 20)
    assert life.refusal(subscription, "withdraw", change=second) == (409, "too_late")
    assert life.charge(payer, tok=1) == "2"
    assert life.refusal(subscription, "withdraw", change="subch_zzzzzzzz") == (404, "not_found")


def test_another_interval_starts_a_new_cycle(life: LifeStory) -> None:
    monthly = life.plan(base_fees=[PLATFORM], anchor="subscription")
    yearly = life.plan(interval="year", anchor="subscription", base_fees=[platform("365")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, monthly)
    life.at(3, 11)
    shown = life.do(subscription, "change", plan_version=yearly)
    assert shown["anchor_at"] == "2026-03-11T00:00:00Z"
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform -21 03-01..03-11",
        "platform 365 03-11..03-11",
    ]
    periods = [(segment["period_starts_at"], segment["period_ends_at"]) for segment in shown["segments"]]
    assert periods == [
        ("2026-03-01T00:00:00Z", "2026-03-11T00:00:00Z"),
        ("2026-03-11T00:00:00Z", "2027-03-11T00:00:00Z"),
    ]
    life.at(6, 1)
    life.run_due()
    assert len(life.fees(subscription)) == 3


def test_a_fee_that_is_not_prorated_costs_the_highest_of_its_period_once(life: LifeStory) -> None:
    small = life.plan(base_fees=[platform("20", prorate=False)])
    large = life.plan(base_fees=[platform("50", prorate=False)])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, small)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=large)
    life.at(3, 21)
    life.do(subscription, "change", plan_version=small)
    assert life.fees(subscription) == ["platform 20 03-01..04-01", "platform 30 03-01..04-01"]
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription, 2) == ["platform 20 04-01..05-01"]


def test_fees_in_arrears_are_the_sum_of_the_parts_at_the_end(life: LifeStory) -> None:
    old = life.plan(base_fees=[platform("31", timing="in_arrears")])
    new = life.plan(base_fees=[platform("62", timing="in_arrears")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=new)
    assert life.fees(subscription) == []
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription) == ["platform 10 03-01..03-11", "platform 42 03-11..04-01"]


def test_by_day_the_day_of_the_change_is_the_new_plans(life: LifeStory) -> None:
    old, new = (life.plan(base_fees=[platform(amount)], proration="day") for amount in ("31", "62"))
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.at(3, 11, 18)
    life.do(subscription, "change", plan_version=new)
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform -21 03-01..03-11T18:00",
        "platform 42 03-11T18:00..04-01",
    ]


def test_what_a_grant_paid_for_the_unused_part_goes_back_to_it(life: LifeStory) -> None:
    old, new = life.plan(base_fees=[PLATFORM]), life.plan()
    payer = life.payer()
    life.grant(payer, "10", priority=1)
    life.top_up(payer, "100")
    subscription = life.start(payer, old)
    assert life.remaining(payer) == ["0", "79"]
    life.at(3, 5)  # 27 of 31 days are unused: 21 back to the top-up, which paid last, then 6 to the grant
    life.do(subscription, "change", plan_version=new)
    assert life.remaining(payer) == ["6", "100"]


def test_an_invoiced_payer_owes_less_for_what_is_unused(life: LifeStory) -> None:
    old, new = life.plan(base_fees=[PLATFORM]), life.plan()
    payer = life.payer(settlement="invoice_only", overdraft=None)
    subscription = life.start(payer, old)
    assert life.account(payer, "receivable") == -31
    life.at(3, 11)
    life.do(subscription, "change", plan_version=new)
    assert (life.account(payer, "receivable"), life.account(payer, "revenue")) == (-10, 10)


def test_what_does_not_fit_is_refused_and_changes_nothing(life: LifeStory) -> None:
    life.meter("tok")
    plan = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    euros = life.plan(currency="EUR")
    payer = life.payer(top_up="100")
    subscription = life.start(payer, plan)
    add_on = life.start(payer, life.plan(base_fees=[platform("1")]))
    before = life.read(subscription), life.read(add_on)
    assert life.refusal(subscription, "change") == (400, "required")
    assert life.refusal(subscription, "change", plan_version=euros) == (422, "currency_mismatch")
    assert life.refusal(subscription, "change", quantities={"seats": "1"}) == (422, "unknown_quantity")
    assert life.refusal(add_on, "change", plan_version=plan) == (409, "meter_priced_already")
    later = {"plan_version": plan, "at": "2026-05-01T00:00:00Z"}
    assert life.refusal(add_on, "change", **later) == (409, "meter_priced_already")
    assert (life.read(subscription), life.read(add_on)) == before
    life.do(subscription, "cancel", at="2026-05-01T00:00:00Z")
    life.do(add_on, "change", **later)
    assert life.refusal(subscription, "change", **later) == (409, "not_active")


@pytest.mark.parametrize("at", [None, "period_end", "2026-03-20T12:00:00Z"])
def test_a_preview_is_what_is_then_booked(life: LifeStory, at: str | None) -> None:
    old = life.plan(base_fees=[PLATFORM, {"key": "seats", "unit_amount": "7.7", "prorate": True}])
    new = life.plan(base_fees=[platform("99.99"), {"key": "seats", "unit_amount": "3", "prorate": True}])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old, quantities={"seats": "3"})
    life.at(3, 12, 7, 31)
    change = {"plan_version": new, "quantities": {"seats": "4"}} | ({"at": at} if at else {})
    before = life.read(subscription), life.balance(payer)
    preview = life.do(subscription, "change/preview", **change)
    assert (life.read(subscription), life.balance(payer)) == before
    life.do(subscription, "change", **change)
    life.at(4, 1)
    life.run_due()
    booked = life.fees(subscription, 2)
    if at is None or at != "period_end":
        booked = booked[:4]
    shown = [f"{fee['fee']} {fee['amount']}" for fee in preview["fees"]]
    assert shown == [fee.rsplit(" ", 1)[0] for fee in booked]
    total = sum(Decimal(fee["amount"]) for fee in preview["fees"])
    assert (Decimal(preview["total"]), preview["currency"], preview["usage"]) == (total, "USD", "0")
