"""Subscriptions anchored on the last days of months, leap days and changes of the clock: periods, fees, credits."""
from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db


def on(life: LifeStory, text: str) -> None:
    life.clock_at(datetime.fromisoformat(text))


def fee(amount: str, **fields: Any) -> dict[str, Any]:
    return {"key": "platform", "amount": amount, "timing": "in_advance", "prorate": True} | fields


def test_an_anchor_of_the_31st_upgraded_on_the_28th(life: LifeStory) -> None:
    life.meter("tok")
    on(life, "2026-01-31T09:30:00+00:00")
    small = life.plan(per_unit("tok", "1"), anchor="subscription", base_fees=[fee("28")])
    large = life.plan(per_unit("tok", "2"), anchor="subscription", base_fees=[fee("31")])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, small)
    print(life.fees(subscription), life.segments(subscription))
    on(life, "2026-02-14T00:00:00+00:00")
    life.run_due()
    print(life.fees(subscription), life.segments(subscription))
    on(life, "2026-02-28T00:00:00+00:00")
    life.run_due()
    print(life.fees(subscription), life.segments(subscription))
    on(life, "2026-03-02T00:00:00+00:00")
    life.do(subscription, "change", plan_version=large)
    print(life.fees(subscription), life.segments(subscription))
    on(life, "2026-03-31T00:00:00+00:00")
    life.run_due()
    on(life, "2026-04-30T00:00:00+00:00")
    life.run_due()
    print(life.fees(subscription), life.segments(subscription), life.read(subscription)["anchor_at"])
    # monthly -> quarterly, restarting on the 30th
    q = life.plan(per_unit("tok", "2"), anchor="subscription", interval="quarter", base_fees=[fee("91")])
    on(life, "2026-05-31T00:00:00+00:00")
    life.run_due()
    life.do(subscription, "change", plan_version=q)
    print(life.fees(subscription), life.segments(subscription), life.read(subscription)["anchor_at"])
    on(life, "2026-08-31T00:00:00+00:00")
    life.run_due()
    on(life, "2026-11-30T00:00:00+00:00")
    life.run_due()
    print(life.fees(subscription), life.segments(subscription), life.read(subscription)["anchor_at"])
    assert 0

def test_leap(life: LifeStory) -> None:
    life.meter("tok")
    on(life, "2028-02-29T00:00:00+00:00")
    year = life.plan(per_unit("tok", "1"), anchor="subscription", interval="year", base_fees=[fee("366")])
    large = life.plan(per_unit("tok", "2"), anchor="subscription", interval="year", base_fees=[fee("732")])
    payer = life.payer(top_up="10000")
    subscription = life.start(payer, year)
    on(life, "2029-02-28T00:00:00+00:00")
    life.run_due()
    print(life.fees(subscription), life.segments(subscription))
    life.do(subscription, "change", plan_version=large)
    print(life.fees(subscription), life.segments(subscription))
    for y in (2030,2031):
        on(life, f"{y}-02-28T00:00:00+00:00")
        life.run_due()
    on(life, f"2032-02-29T00:00:00+00:00")
    life.run_due()
    print(life.fees(subscription), life.segments(subscription))
    assert 0

def test_dst(life: LifeStory) -> None:
    life.meter("tok")
    on(life, "2026-03-01T06:00:00+00:00")
    for proration in ("second", "day"):
        small = life.plan(per_unit("tok", "1"), proration=proration, base_fees=[fee("743")])
        large = life.plan(per_unit("tok", "1"), proration=proration, base_fees=[fee("1486")])
        on(life, "2026-02-28T23:00:00+00:00")
        payer = life.payer(top_up="10000", time_zone="Europe/Berlin")
        subscription = life.start(payer, small)
        # 29 March, 3:00 summer time = 01:00 UTC
        on(life, "2026-03-29T01:00:00+00:00")
        life.do(subscription, "change", plan_version=large)
        print(life.fees(subscription), life.segments(subscription))
    assert 0
