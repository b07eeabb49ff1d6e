"""Changes in mid-period and what the close of the period makes of them: minimums and commitments by parts,
recurring credits, and the trial of the version that the subscription started on."""

from __future__ import annotations

import pytest

from billing.models import ClosingLine
from core.numbers import plain
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}


def closings() -> list[tuple[str, str]]:
    """(key, amount) of what closes have booked."""
    return [(line.key, plain(line.amount)) for line in ClosingLine.objects.order_by("pk")]


def test_a_commitment_falls_to_each_version_by_its_part(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM], minimum_spend="310")
    new = life.plan(per_unit("tok", "1"), minimum_spend="31")
    subscription = life.start(payer, old)
    life.charge(payer, tok=15)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=new)
    life.at(4, 20)
    life.run_due()
    # 10 of 31 days of 310 and 21 of 31 days of 31 are 121; fees of 10 and usage of 15 count towards it
    assert closings() == [("minimum_spend", "96")]
    assert life.settled(payer) == 1000 - 15 - 31 + 21 - 96


def test_a_pause_owes_no_minimum(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1", minimum="31")))
    life.at(3, 11)
    life.do(subscription, "pause")
    life.at(3, 21)
    life.do(subscription, "resume")
    life.at(4, 20)
    life.run_due()
    assert closings() == [("tok", "10"), ("tok", "11")]


def test_an_upgrade_in_the_trial_owes_its_commitment_after_the_trial(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    small = life.plan(base_fees=[PLATFORM], trial={"days": 10})
    subscription = life.start(payer, small)
    life.at(3, 5)
    life.do(subscription, "change", plan_version=life.plan(minimum_spend="62"))
    life.at(4, 20)
    life.run_due()
    assert closings() == [("minimum_spend", "42")]


def test_a_new_cycle_leaves_the_old_one_its_own_share(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    monthly = life.plan(anchor="subscription", minimum_spend="31")
    yearly = life.plan(anchor="subscription", interval="year")
    subscription = life.start(payer, monthly)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=yearly)
    life.at(4, 20)
    life.run_due()
    assert closings() == [("minimum_spend", "10")]


def test_the_credits_of_a_plan_are_there_with_its_start_and_with_a_change(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(overdraft="0")
    credit = {"key": "monthly", "amount": "20", "every": "month"}
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    assert life.refused(payer, tok=5) == "insufficient_funds"
    life.at(3, 11)
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "2"), credits=[credit]))
    assert life.charge(payer, tok=5) == "10"
    assert life.remaining(payer) == ["10"]
