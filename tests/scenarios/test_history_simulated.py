"""A subscription's own history, simulated: what changes, pauses and seats made of it, as it was booked."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.db.models import Sum

from billing.models import BookedFee, Charge, ClosingLine
from billing.simulations import run_simulations
from core.ids import row_id
from core.numbers import plain
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
SEATS = {"key": "seats", "unit_amount": "3.1", "prorate": True}
ARREARS = {"key": "support", "amount": "62", "timing": "in_arrears", "prorate": True}
WHOLE = {"key": "whole", "amount": "7", "prorate": False}
TIERS = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "2"), (None, "1"))}
MARCH, APRIL, MAY, JUNE = (f"2026-0{month}-01T00:00:00Z" for month in (3, 4, 5, 6))


def simulated(life: LifeStory, version: str, start: str, end: str) -> tuple[Decimal, Decimal]:
    """What the payers' own history comes to, and what the version would have."""
    body = {"versions": [version], "from": start, "to": end}
    made = life.api.post("/v1/simulations", body)
    assert made.status_code == 202, made.content
    run_simulations()
    found = life.api.get(f"/v1/simulations/{made.json()['id']}").json()
    assert found["status"] == "done", found
    (totals,) = found["totals"]
    return Decimal(totals["current"]), Decimal(totals["simulated"])


def booked(payer: str) -> Decimal:
    """All that was charged and booked: usage, base fees, closes."""
    own = {"billing_entity_id": row_id("be", payer)}
    sums = [model.objects.filter(**own).aggregate(total=Sum("amount"))["total"] for model in MODELS]
    return sum((total for total in sums if total is not None), Decimal(0))


MODELS: Sequence[Any] = (Charge, BookedFee, ClosingLine)


def full_history(life: LifeStory) -> tuple[str, str, str]:
    """(payer, old, new): March with a change of seats and of version, and a pause; April as it stands."""
    life.meter("tok")
    old = life.plan(TIERS, base_fees=[PLATFORM, SEATS, ARREARS, WHOLE])
    new = life.plan(per_unit("tok", "3", minimum="93"), base_fees=[PLATFORM | {"amount": "62"}, SEATS, WHOLE])
    payer = life.payer(top_up="10000")
    subscription = life.start(payer, old, quantities={"seats": "10"})
    life.at(3, 3)
    life.charge(payer, tok=12)
    life.at(3, 6)
    life.do(subscription, "change", quantities={"seats": "12"})
    life.charge(payer, tok=2)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=new)
    life.charge(payer, tok=5)
    life.at(3, 16)
    life.do(subscription, "pause")
    life.at(3, 21)
    life.do(subscription, "resume")
    life.charge(payer, tok=4)
    life.at(4, 5)
    life.run_due()
    life.charge(payer, tok=50)
    return payer, old, new


def test_a_history_with_changes_a_pause_and_seats_is_what_was_booked(life: LifeStory) -> None:
    payer, _, new = full_history(life)
    # Up to 11 March: 20 + 4; 31/31 a day; 10 seats for five days, then 12 for five, at 0.1 a day; 2 a day in
    # arrears. Then five days and eleven at 2 a day, 12 seats; minimums of 15 and 33 against usage of 15 and
    # 12; 7 once. April: 62, 37.2, 7 and 150 of usage.
    march = (24 + 10 + 20 + Decimal(11)) + (32 + Decimal("19.2") + 15 + 33) + 7
    april = Decimal("62") + Decimal("37.2") + 7 + 150
    life.at(5, 20)
    life.run_due()
    may = Decimal("62") + Decimal("37.2") + 7
    assert booked(payer) == march + april + may
    assert simulated(life, new, MARCH, APRIL)[0] == march
    assert simulated(life, new, APRIL, MAY)[0] == april
    assert simulated(life, new, MARCH, MAY)[0] == march + april


def test_windows_that_follow_each_other_add_up_to_the_history(life: LifeStory) -> None:
    _, _, new = full_history(life)
    life.at(5, 20)
    life.run_due()
    cuts = [MARCH, "2026-03-08T00:00:00Z", "2026-03-18T00:00:00Z", APRIL]
    parts = [simulated(life, new, start, end)[0] for start, end in pairwise(cuts)]
    # In the second and the third the minimum and usage meet as they do in the whole.
    assert sum(parts) == simulated(life, new, MARCH, APRIL)[0]


def test_a_candidate_keeps_the_seats_and_the_pause_and_takes_the_change_away(life: LifeStory) -> None:
    _, old, _ = full_history(life)
    life.at(5, 20)
    life.run_due()
    # 14 + 5 units before the pause: 20 + 9; 4 after it: 8. 26 days at 1, at 2; seats 5, then 21 x 1.2; 7.
    assert simulated(life, old, MARCH, APRIL)[1] == 29 + 8 + 26 + 52 + 5 + Decimal("25.2") + 7


def test_a_fee_that_is_paid_once_counts_on_its_day(life: LifeStory) -> None:
    life.meter("tok")
    version = life.plan(
        per_unit("tok", "1"), base_fees=[PLATFORM], one_off_fees=[{"key": "setup", "amount": "50"}]
    )
    payer = life.payer(top_up="1000")
    life.start(payer, version)
    life.charge(payer, tok=3)
    life.at(4, 2)
    life.run_due()
    assert booked(payer) == 50 + 31 + 3 + 31
    assert simulated(life, version, MARCH, APRIL) == (84, 84)
    assert simulated(life, version, MARCH, "2026-03-11T00:00:00Z") == (63, 63)
    assert simulated(life, version, "2026-03-11T00:00:00Z", APRIL) == (21, 21)


@pytest.mark.parametrize(("credits_unused", "fee"), [(False, "31"), (True, "10")])
def test_a_cancellation_counts_as_it_was_booked(life: LifeStory, credits_unused: bool, fee: str) -> None:
    life.meter("tok")
    version = life.plan(per_unit("tok", "1", minimum="31"), base_fees=[PLATFORM])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, version)
    life.charge(payer, tok=3)
    life.at(3, 11)
    life.do(subscription, "cancel", credit_unused=credits_unused)
    life.at(4, 20)
    life.run_due()
    assert plain(booked(payer)) == plain(Decimal(fee) + 10)
    assert simulated(life, version, MARCH, APRIL) == (booked(payer), booked(payer))


def test_the_phases_of_a_ramp_count_each_in_its_time(life: LifeStory) -> None:
    life.meter("tok")
    ramps = [{"after_months": 1, "overrides": {"components": {"tok": {"unit_price": "2"}}}}]
    version = life.plan(per_unit("tok", "1"), ramps=ramps)
    payer = life.payer(top_up="1000")
    life.start(payer, version)
    assert life.charge(payer, tok=3) == "3"
    life.at(4, 2)
    life.run_due()
    assert life.charge(payer, tok=3) == "6"
    life.at(5, 20)
    life.run_due()
    assert simulated(life, version, MARCH, MAY)[0] == booked(payer) == 9
