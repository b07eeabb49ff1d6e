"""Coupons take off what a period came to when it closes, and who paid gets it back. Through the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import BillingEntity
from billing.models import CouponCredit
from billing.replay import replay_differences
from core.ids import row_id
from core.numbers import plain
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}


def coupon(life: LifeStory, subscription: str, key: str = "welcome", **fields: Any) -> None:
    """Make a coupon and redeem it."""
    made = life.api.post("/v1/coupons", {"key": key, **fields})
    assert made.status_code == 201, made.content
    redeemed = life.api.post(f"/v1/coupons/{key}/redeem", {"subscription": subscription})
    assert redeemed.status_code == 201, redeemed.content


def taken_off() -> list[tuple[str, str, str]]:
    """(key, what the line came to, what was taken off it), in the order of booking."""
    rows = CouponCredit.objects.order_by("seq")
    return [(row.key, plain(row.line_amount), plain(row.amount)) for row in rows]


def test_a_percentage_comes_off_fees_and_usage_when_the_period_closes(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1", minimum="20"), base_fees=[PLATFORM])
    subscription = life.start(payer, plan)
    coupon(life, subscription, percent="50", periods=1)
    life.charge(payer, tok=12)
    life.at(4, 1)
    life.run_due()
    assert life.settled(payer) == 1000 - 31 - 12 - 31, "nothing comes off before the close"
    life.at(4, 20)
    life.run_due()
    assert taken_off() == [("platform", "31", "15.5"), ("tok", "20", "10")]
    life.at(5, 20)
    life.run_due()
    assert len(taken_off()) == 2, "it held for one period"


def test_an_amount_is_used_up_line_after_line_each_period(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1"), base_fees=[PLATFORM]))
    coupon(life, subscription, amount="40", currency="USD")
    life.charge(payer, tok=12)
    life.at(5, 20)
    life.run_due()
    assert taken_off() == [("platform", "31", "31"), ("tok", "12", "9"), ("platform", "31", "31")]
    assert life.settled(payer) == 1000 - 3 * 31 - 12 + 31 + 9 + 31


def test_what_a_change_left_of_a_fee_is_what_a_coupon_takes_off(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    subscription = life.start(payer, old)
    coupon(life, subscription, percent="10", components=["platform", "tok"])
    life.charge(payer, tok=10)
    life.at(3, 11)
    new = life.plan(per_unit("tok", "2"), base_fees=[PLATFORM | {"amount": "62"}])
    life.do(subscription, "change", plan_version=new)
    life.charge(payer, tok=10)
    life.at(4, 20)
    life.run_due()
    assert taken_off() == [("platform", "52", "5.2"), ("tok", "10", "1"), ("tok", "20", "2")]


def test_it_returns_to_who_paid_the_latest_first(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer()
    life.grant(payer, "8", priority=1)
    life.top_up(payer, "100")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    coupon(life, subscription, percent="75")
    life.charge(payer, tok=8)
    life.charge(payer, tok=4)
    life.at(4, 20)
    life.run_due()
    assert life.remaining(payer) == ["5", "100"]


def test_an_invoiced_payer_owes_less(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(settlement="invoice_only", overdraft=None)
    plan = life.plan(per_unit("tok", "1", minimum="20"), base_fees=[PLATFORM | {"timing": "in_arrears"}])
    subscription = life.start(payer, plan)
    coupon(life, subscription, percent="100", periods=1)
    life.charge(payer, tok=5)
    life.at(4, 20)
    life.run_due()
    assert taken_off() == [("platform", "31", "31"), ("tok", "20", "20")]
    assert (life.account(payer, "receivable"), life.account(payer, "wallet")) == (0, 0)
    assert life.account(payer, "revenue") == 0


def test_the_replay_comes_to_what_coupons_took_off_and_finds_what_they_did_not(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1", minimum="20"), base_fees=[PLATFORM]))
    coupon(life, subscription, percent="50", components=["tok"], periods=1)
    coupon(life, subscription, key="more", amount="36", currency="USD")
    life.charge(payer, tok=12)
    life.at(4, 20)
    life.run_due()
    # Half of 20; then 36 of 31 + 10.
    assert taken_off() == [("platform", "31", "31"), ("tok", "20", "15")]
    entity = BillingEntity.objects.get(pk=row_id("be", payer))
    assert replay_differences(entity) == []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("UPDATE billing_couponcredit SET amount = 14 WHERE key = 'tok'")
            cursor.execute("SET LOCAL session_replication_role = DEFAULT")
        (found,) = replay_differences(entity)
        transaction.set_rollback(True)
    assert (found.component, found.booked, found.replayed) == ("coupon tok", 14, 15)
