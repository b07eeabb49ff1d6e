"""Ramps move subscriptions by themselves, and one-off fees are paid once. Dated, through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
SETUP = {"key": "setup", "amount": "100"}


def phase(months: int, fee: str, price: str) -> dict[str, Any]:
    """A phase that begins after so many months, at another base fee and unit price."""
    overrides = {"base_fees": {"platform": {"amount": fee}}, "components": {"tok": {"unit_price": price}}}
    return {"after_months": months, "overrides": overrides}


def ramp(life: LifeStory, *phases: dict[str, Any]) -> str:
    """A version that begins at 31 a month and 1 a token."""
    return life.plan(per_unit("tok", "1"), base_fees=[PLATFORM], ramps=list(phases))


def test_a_ramp_moves_the_subscription_from_phase_to_phase(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, ramp(life, phase(1, "62", "2"), phase(2, "93", "3")))
    assert life.charge(payer, tok=1) == "1"
    life.at(4, 1)
    assert life.charge(payer, tok=1) == "2", "before any worker"
    life.run_due()
    life.at(5, 2)
    assert life.charge(payer, tok=1) == "3"
    life.run_due()
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform 62 04-01..05-01",
        "platform 93 05-01..06-01",
    ]
    assert life.changes(subscription) == [("change", "applied"), ("change", "applied")]


def test_a_start_in_the_past_passes_over_the_phases_that_have_begun_and_ended(life: LifeStory) -> None:
    life.meter("tok")
    life.at(5, 16)
    payer = life.payer(top_up="1000")
    version = ramp(life, phase(1, "62", "2"), phase(3, "93", "3"))
    subscription = life.start(payer, version, starts_at="2026-04-01T00:00:00Z")
    assert life.fees(subscription) == ["platform 31 04-01..05-01", "platform 62 05-01..06-01"]
    assert life.charge(payer, tok=1) == "2"
    life.report(payer, {"tok": 1}, occurred_at="2026-04-20T00:00:00Z")
    assert life.settled(payer) == 1000 - 31 - 62 - 2 - 1
    assert life.read(subscription)["plan_version"] != version


def test_another_version_ends_the_ramp_and_its_withdrawal_brings_it_back(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, ramp(life, phase(1, "62", "2")))
    flat = life.plan(per_unit("tok", "7"))
    shown = life.do(subscription, "change", plan_version=flat, at="2026-03-20T00:00:00Z")
    [change] = [one for one in shown["changes"] if one["at"] == "2026-03-20T00:00:00Z"]
    assert [status for _, status in life.changes(subscription)] == ["scheduled", "withdrawn"]
    life.do(subscription, "withdraw", change=change["id"])
    life.at(4, 1)
    assert life.charge(payer, tok=1) == "2"
    life.do(subscription, "change", plan_version=flat)
    life.at(6, 1)
    assert life.charge(payer, tok=1) == "7"


def test_a_ramp_that_a_subscription_is_changed_to_counts_from_the_change(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "9")))
    life.at(3, 15)
    life.do(subscription, "change", plan_version=ramp(life, phase(1, "62", "2")))
    life.at(4, 1)
    life.run_due()
    life.at(4, 14, 23, 59)
    assert life.charge(payer, tok=1) == "1"
    life.at(4, 15)
    assert life.charge(payer, tok=1) == "2"
    life.run_due()
    assert life.fees(subscription) == [
        "platform 17 03-15..04-01",
        "platform 31 04-01..05-01",
        "platform -16.533333333333333333 04-01..04-15",
        "platform 33.066666666666666667 04-15..05-01",
    ]


def test_a_one_off_fee_is_paid_once_whatever_comes(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    version = life.plan(base_fees=[PLATFORM], one_off_fees=[SETUP])
    subscription = life.start(payer, version)
    life.at(3, 11)
    life.do(subscription, "change", plan_version=life.plan(one_off_fees=[SETUP | {"amount": "500"}]))
    life.at(3, 12)
    life.do(subscription, "change", plan_version=version)
    life.at(5, 1)
    life.run_due()
    setups = [fee for fee in life.fees(subscription) if fee.startswith("setup")]
    assert setups == ["setup 100 03-01..04-01"]


def test_a_one_off_fee_after_the_trial_waits_for_its_end(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    late = SETUP | {"key": "late", "amount": "50", "due": "trial_end"}
    version = life.plan(base_fees=[PLATFORM], one_off_fees=[SETUP, late], trial={"days": 41})
    subscription = life.start(payer, version)
    assert life.fees(subscription) == ["setup 100 03-01..04-01"]
    life.at(4, 10)
    life.run_due()
    assert len(life.fees(subscription)) == 1
    life.at(4, 11)
    life.run_due()
    assert life.fees(subscription, 1) == [
        "late 50 04-11..05-01",
        "platform 20.666666666666666667 04-11..05-01",
    ]


def test_one_that_is_canceled_in_its_trial_never_pays_the_fee_after_it(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    late = SETUP | {"due": "trial_end"}
    subscription = life.start(payer, life.plan(one_off_fees=[late], trial={"days": 10}))
    life.at(3, 5)
    life.do(subscription, "cancel")
    life.at(5, 1)
    life.run_due()
    assert life.fees(subscription) == []
