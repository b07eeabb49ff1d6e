"""Seats, pauses, ends, trials and add-ons: dated stories through the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
SEATS = {"key": "seats", "unit_amount": "3.1", "prorate": True}
ARREARS = {"key": "support", "unit_amount": "3.1", "timing": "in_arrears", "prorate": True}


def test_seats_added_and_given_back_are_prorated_and_leave_other_fees_alone(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM, SEATS])
    subscription = life.start(payer, plan, quantities={"seats": "10"})
    assert life.charge(payer, tok=1) == "1"
    life.at(3, 11)
    shown = life.do(subscription, "change", quantities={"seats": "12"})
    assert shown["quantities"] == {"seats": "12"}
    life.at(3, 21)
    life.do(subscription, "change", quantities={"seats": "5"})
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "seats 31 03-01..04-01",
        "seats -21 03-01..03-11",
        "seats 25.2 03-11..04-01",
        "seats -13.2 03-11..03-21",
        "seats 5.5 03-21..04-01",
    ]
    assert len(life.segments(subscription)) == 1, "the counters of usage go on"
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription, 6) == ["platform 31 04-01..05-01", "seats 15.5 04-01..05-01"]
    quantities = [change["quantities"] for change in life.read(subscription)["changes"]]
    assert quantities == [{"seats": "10"}, {"seats": "12"}, {"seats": "5"}]


def test_a_fee_in_arrears_counts_the_seats_that_there_were(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[ARREARS]), quantities={"support": "10"})
    life.at(3, 11)
    life.do(subscription, "change", quantities={"support": "20"})
    life.at(5, 1)
    life.run_due()
    assert life.fees(subscription) == [
        "support 10 03-01..03-11",
        "support 42 03-11..04-01",
        "support 62 04-01..05-01",
    ]


def test_a_change_of_seats_in_the_past_corrects_what_was_booked(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[SEATS]), quantities={"seats": "10"})
    life.at(3, 21)
    life.do(subscription, "change", quantities={"seats": "20"}, at="2026-03-01T00:00:00Z")
    assert life.fees(subscription) == ["seats 31 03-01..04-01", "seats 31 03-01..04-01"]
    life.do(subscription, "change", quantities={"seats": "0"}, at="2026-03-01T00:00:00Z")
    assert life.settled(payer) == 1000


def test_a_pause_denies_charges_records_reports_and_costs_nothing(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM, ARREARS])
    subscription = life.start(payer, plan, quantities={"support": "10"})
    assert life.charge(payer, tok=1) == "1"
    life.at(3, 11)
    assert life.do(subscription, "pause", reason="summer")["status"] == "paused"
    assert life.refused(payer, tok=1) == "no_subscription"
    life.report(payer, {"tok": 5})
    assert life.refusal(subscription, "pause") == (409, "paused_already")
    life.at(3, 21)
    assert life.do(subscription, "resume")["status"] == "active"
    assert life.refusal(subscription, "resume") == (409, "not_paused")
    assert life.charge(payer, tok=2) == "2"
    assert life.segments(subscription) == [
        ("2026-03-01T00:00:00Z", "2026-03-11T00:00:00Z"),
        ("2026-03-21T00:00:00Z", "2026-04-01T00:00:00Z"),
    ]
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform -21 03-01..03-11",
        "platform 11 03-21..04-01",
        "support 10 03-01..03-11",
        "support 11 03-21..04-01",
        "platform 31 04-01..05-01",
    ]
    assert life.settled(payer) == 1000 - 1 - 2 - 31 + 21 - 11 - 10 - 11 - 31


def test_a_pause_over_whole_periods_costs_nothing_in_them(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]))
    life.do(subscription, "pause", at="period_end")
    life.do(subscription, "resume", at="2026-06-16T00:00:00Z")
    assert life.changes(subscription) == [("pause", "scheduled"), ("resume", "scheduled")]
    life.at(5, 5)
    life.run_due()
    assert life.read(subscription)["status"] == "paused"
    life.at(7, 1)
    life.run_due()
    assert life.read(subscription)["status"] == "active"
    assert life.fees(subscription) == [
        "platform 31 03-01..04-01",
        "platform 15.5 06-16..07-01",  # half of June
        "platform 31 07-01..08-01",
    ]


def test_a_version_changed_in_a_pause_holds_from_the_resumption(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 5)
    life.do(subscription, "pause")
    life.do(subscription, "change", plan_version=life.plan(per_unit("tok", "3")))
    assert life.refused(payer, tok=1) == "no_subscription"
    life.at(3, 6)
    life.do(subscription, "resume")
    assert life.charge(payer, tok=1) == "3"


def test_an_add_on_that_came_in_a_pause_keeps_its_meter(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1"))
    subscription = life.start(payer, plan)
    life.do(subscription, "pause")
    life.at(3, 2)
    add_on = life.start(payer, life.plan(per_unit("tok", "2")))
    assert life.refusal(subscription, "resume") == (409, "meter_priced_already")
    assert life.refusal(subscription, "resume", at="2026-09-01T00:00:00Z") == (409, "meter_priced_already")
    life.do(add_on, "cancel", at="2026-09-01T00:00:00Z")
    life.do(subscription, "resume", at="2026-09-01T00:00:00Z")
    cancellation = life.read(add_on)["changes"][-1]["id"]
    assert life.refusal(add_on, "withdraw", change=cancellation) == (409, "meter_priced_already")


@pytest.mark.parametrize(
    ("credit", "back"),
    [({}, []), ({"credit_unused": True}, ["platform -21 03-01..03-11"])],
)
def test_a_cancellation_gives_back_what_is_unused_if_it_says_so(
    life: LifeStory, credit: dict[str, Any], back: list[str]
) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM, ARREARS]), quantities={"support": "10"})
    life.at(3, 11)
    preview = life.do(subscription, "cancel/preview", **credit)
    shown = life.do(subscription, "cancel", **credit)
    assert (shown["status"], shown["ends_at"]) == ("canceled", "2026-03-11T00:00:00Z")
    booked = [*back, "support 10 03-01..03-11"]
    assert life.fees(subscription, 1) == booked
    assert [f"{fee['fee']} {fee['amount']}" for fee in preview["fees"]] == [
        fee.rsplit(" ", 1)[0] for fee in booked
    ]
    life.at(5, 1)
    life.run_due()
    assert life.fees(subscription, 1) == booked


def test_a_cancellation_on_a_date_gives_back_then(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]))
    life.at(3, 5)
    life.do(subscription, "cancel", at="2026-03-11T00:00:00Z", credit_unused=True)
    life.run_due()
    assert life.settled(payer) == 969
    life.at(3, 11)
    life.run_due()
    assert life.settled(payer) == 990
    assert life.changes(subscription) == [("cancel", "applied")]


def test_a_cancellation_known_before_the_period_costs_only_its_part(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]))
    life.do(subscription, "cancel", at="2026-04-16T00:00:00Z")
    life.at(6, 1)
    life.run_due()
    assert life.fees(subscription) == ["platform 31 03-01..04-01", "platform 15.5 04-01..04-16"]


def test_a_scheduled_cancellation_is_withdrawn_and_life_goes_on(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    subscription = life.start(payer, plan, ends_at="2027-01-01T00:00:00Z")
    shown = life.do(subscription, "cancel", at="2026-03-20T00:00:00Z", credit_unused=True)
    assert life.segments(subscription) == [("2026-03-01T00:00:00Z", "2026-03-20T00:00:00Z")]
    again = life.do(subscription, "withdraw", change=shown["changes"][-1]["id"], reason="stays")
    assert (again["status"], again["ends_at"]) == ("active", "2027-01-01T00:00:00Z")
    assert life.segments(subscription) == [("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")]
    life.at(3, 25)
    assert life.charge(payer, tok=1) == "1"
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription) == ["platform 31 03-01..04-01", "platform 31 04-01..05-01"]
    life.do(subscription, "cancel", at="period_end")
    assert life.read(subscription)["ends_at"] == "2026-05-01T00:00:00Z"


def test_a_change_after_the_end_never_comes(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]))
    other = life.plan(base_fees=[PLATFORM | {"amount": "62"}])
    life.do(subscription, "change", plan_version=other, at="2026-06-01T00:00:00Z")
    life.do(subscription, "cancel", at="period_end")
    life.at(7, 1)
    life.run_due()
    assert life.changes(subscription) == [("cancel", "applied"), ("change", "withdrawn")]
    assert life.fees(subscription) == ["platform 31 03-01..04-01"]


def test_an_upgrade_in_the_trial_keeps_the_trial(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    small = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM], trial={"days": 10})
    large = life.plan(per_unit("tok", "2"), base_fees=[PLATFORM | {"amount": "62"}])
    subscription = life.start(payer, small)
    assert life.charge(payer, tok=1) == "1", "usage is charged in a trial"
    life.at(3, 5)
    life.do(subscription, "change", plan_version=large)
    assert life.charge(payer, tok=1) == "2"
    life.run_due()
    assert life.fees(subscription) == []
    life.at(3, 11)
    life.run_due()
    assert life.fees(subscription) == ["platform 42 03-11..04-01"]


def test_a_subscription_that_has_not_begun_changes_as_of_its_start(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[PLATFORM]), starts_at="2026-04-01T00:00:00Z")
    other = life.plan(base_fees=[PLATFORM | {"amount": "62"}])
    life.do(subscription, "change", plan_version=other)
    life.at(4, 1)
    life.run_due()
    assert life.fees(subscription) == ["platform 62 04-01..05-01"]
    assert life.read(subscription)["plan_version"] == other


def test_a_repeated_change_gets_the_first_answer(life: LifeStory) -> None:
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(base_fees=[SEATS]), quantities={"seats": "1"})
    life.at(3, 11)
    address, body = f"/v1/subscriptions/{subscription}/change", {"quantities": {"seats": "11"}}
    answers = [life.api.post(address, body, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(life.fees(subscription)) == 3
    other = life.api.post(address, {"quantities": {"seats": "12"}}, **{"Idempotency-Key": "k"})
    assert other.status_code == 409
    assert life.settled(payer) == 1000 - Decimal("3.1") + Decimal("2.1") - Decimal("23.1")
