"""A payer is closed: it buys nothing more, so its subscriptions and their fees end with it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
SUPPORT = {"key": "support", "unit_amount": "3.1", "timing": "in_arrears", "prorate": True}


def close(life: LifeStory, payer: str) -> Any:
    headers = {"Authorization": f"Bearer {life.api.secret}"}
    path, body = f"/v1/billing-entities/{payer}", {"status": "closed"}
    answer = life.api.client.patch(path, body, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_its_fees_end_that_day_and_what_was_paid_ahead_stays(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1", minimum="310"), base_fees=[PLATFORM, SUPPORT])
    subscription = life.start(payer, plan, quantities={"support": "10"})
    assert life.charge(payer, tok=5) == "5"
    life.at(3, 11)
    close(life, payer)
    shown = life.read(subscription)
    assert (shown["status"], shown["ends_at"]) == ("canceled", "2026-03-11T00:00:00Z")
    assert life.changes(subscription) == [("cancel", "applied")]
    life.at(6, 1)
    life.run_due()
    assert life.fees(subscription) == ["platform 31 03-01..04-01", "support 10 03-01..03-11"]
    assert life.settled(payer) == 1000 - 5 - 31 - 10 - 95  # a third of the minimum is 100
    life.audit()


def test_an_end_that_was_planned_and_a_start_that_was_do_not_come(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    plan = life.plan(base_fees=[PLATFORM])
    leaving, coming = life.start(payer, plan), life.start(payer, plan, starts_at="2026-05-01T00:00:00Z")
    life.do(leaving, "cancel", at="2026-09-01T00:00:00Z")
    life.do(coming, "change", plan_version=life.plan(base_fees=[PLATFORM]), at="2026-07-01T00:00:00Z")
    life.at(3, 11)
    close(life, payer)
    life.at(12, 1)
    life.run_due()
    assert life.fees(leaving) == ["platform 31 03-01..04-01"]
    assert life.fees(coming) == []
    life.audit()


def test_one_that_has_ended_is_left_alone_and_closing_again_is_nothing(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]))
    life.do(subscription, "cancel")
    before = life.read(subscription)
    life.at(3, 11)
    close(life, payer)
    close(life, payer)
    assert life.read(subscription) == before


def test_what_a_clock_was_ahead_of_stays_charged(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="100")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 31, 23, 58)
    assert life.charge(payer, occurred_at="2026-04-01T00:01:00Z", tok=5) == "5"
    close(life, payer)
    assert life.read(subscription)["ends_at"] == "2026-04-01T00:01:00.000001Z"
    life.at(6, 1)
    life.run_due()
    assert life.settled(payer) == 95
    life.audit()


def test_credit_that_comes_each_month_comes_no_more(life: LifeStory) -> None:
    life.meter("tok")
    credit = {"key": "gift", "amount": "10", "every": "month"}
    payer = life.payer()
    life.start(payer, life.plan(per_unit("tok", "1"), credits=[credit]))
    assert life.remaining(payer) == ["10"]
    close(life, payer)
    life.at(6, 1)
    life.run_due()
    assert len(life.remaining(payer)) == 1


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_it_neither_rests_nor_goes_on_nor_changes(life: LifeStory, verb: str) -> None:
    payer = life.payer()
    subscription = life.start(payer, life.plan(base_fees=[]))
    close(life, payer)
    life.at(3, 11)
    assert life.refusal(subscription, verb) == (403, "closed")
    assert life.refusal(subscription, "change", plan_version=life.plan()) == (403, "closed")


def test_a_closed_payer_owes_no_more_than_when_it_was_closed(life: LifeStory) -> None:
    payer = life.payer()
    life.start(payer, life.plan(base_fees=[PLATFORM]))
    owed = life.settled(payer)
    close(life, payer)
    life.clock_at(life.now + timedelta(days=400))
    life.run_due()
    assert life.settled(payer) == owed


def test_its_end_is_not_withdrawn_while_a_hold_is_open(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="100")
    subscription = life.start(payer, life.plan(per_unit("tok", "1"), base_fees=[PLATFORM]))
    life.api.make(
        "/v1/authorizations", idempotency_key="h", workspace=f"w-{payer}", amount="5", expires_in=3600
    )
    life.at(3, 11)
    life.api.make(
        "/v1/authorizations", idempotency_key="i", workspace=f"w-{payer}", amount="5", expires_in=3600
    )
    close(life, payer)
    shown = life.read(subscription)
    assert shown["ends_at"] == "2026-03-11T01:00:00.000001Z"
    assert life.refusal(subscription, "withdraw", change=shown["changes"][-1]["id"]) == (403, "closed")
    life.at(6, 1)
    life.run_due()
    assert life.fees(subscription) == ["platform 31 03-01..04-01"]
