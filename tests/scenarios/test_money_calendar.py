"""Money and the calendar: months of the payer, local hours, usage that comes late or is rated later."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing.models import MarginBucket
from core.sql import driver
from metering.models import UsageEvent
from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}


def test_hours_begin_on_the_clocks_of_kathmandu(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "1")), top_up="100", time_zone="Asia/Kathmandu")
    money.at(3, 10)
    for minute, tokens in ((14, 1), (15, 2), (59, 3)):  # +05:45: 10:15 is 16:00 there
        money.charge(payer, occurred_at=f"2026-03-09T10:{minute}:59.999999Z", tok=tokens)
    rows = MarginBucket.objects.order_by("hour").values_list("hour", "revenue")
    assert [(hour.strftime("%H:%M"), revenue) for hour, revenue in rows] == [("09:15", 1), ("10:15", 5)]
    usage = money.api.get(
        "/v1/usage",
        billing_entity=payer,
        granularity="hour",
        **{"from": "2026-03-09T09:15:00Z", "to": "2026-03-09T11:15:00Z"},
    ).json()
    (series,) = usage["data"]
    assert [(point["start"], point["value"]) for point in series["points"]] == [
        ("2026-03-09T09:15:00Z", "1"),
        ("2026-03-09T10:15:00Z", "5"),
    ]


def test_a_month_ends_at_the_payers_midnight_and_tiers_begin_anew(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(GRADUATED), top_up="100", time_zone="Asia/Kathmandu")
    money.at(4, 2)
    assert money.charge(payer, occurred_at="2026-03-31T18:14:59.999999Z", tok=20) == "11"
    assert money.charge(payer, occurred_at="2026-03-31T18:15:00Z", tok=20) == "11"
    assert money.charge(payer, occurred_at="2026-03-31T18:14:00Z", tok=10) == "1"
    assert money.settled(payer) == 77


def test_usage_of_before_the_subscription_is_recorded_and_not_charged(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(GRADUATED), top_up="100")
    money.at(3, 2)
    answer = money.ask(payer, occurred_at="2026-02-28T23:59:59Z", tok=1)
    assert answer.json()["denial"]["reason"] == "no_subscription"
    money.report(payer, {"tok": 5}, occurred_at="2026-02-28T23:59:59Z")
    assert money.settled(payer) == 100
    assert UsageEvent.objects.get().unpriced


def test_a_volume_tier_reached_in_a_backfill_gives_value_back(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(top_up="100")
    money.report(payer, {"tok": 6}, {"tok": 4}, {"tok": 2})
    assert money.settled(payer) == 100
    volume = {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("10", "1"), (None, "0.5"))}
    money.subscribe(payer, money.plan(volume))
    money.at(5, 20)  # long after the accept window: what is stored may still be rated
    done = money.api.make("/v1/backfills", billing_entity=payer)
    assert done == {"looked_at": 3, "charged": 3, "amount": "6"}
    assert money.settled(payer) == 94
    assert money.api.make("/v1/backfills", billing_entity=payer) == {
        "looked_at": 0,
        "charged": 0,
        "amount": "0",
    }


def test_money_that_comes_in_a_leap_of_months_keeps_its_numbers(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(GRADUATED), top_up="100")
    for month in range(3, 13):
        money.at(month, 28)
        assert money.charge(payer, tok=11) == "10.1" if month < 12 else "-0.9"
        if month == 11:
            money.top_up(payer, "1.0")
            break
    row = driver().execute("SELECT count(*), max(seq) FROM billing_charge").fetchone()
    assert row == (9, 10)
    assert money.settled(payer) == Decimal("10.1")
