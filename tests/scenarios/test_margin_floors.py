"""Dated stories about margin floors, told through the public API: costs from rates, resets on the payer's
clock, costs and bills that come later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks

from billing.models import OutboxMessage
from core import partitions
from core.pipeline import Pipeline
from tests.billing.world import make_meter
from tests.scenarios.life import LifeStory
from tests.scenarios.money import START, per_unit

pytestmark = pytest.mark.django_db
DENY = {"min_margin": "0.20", "min_volume": "50", "action": "deny"}


@pytest.fixture
def story() -> LifeStory:
    told = LifeStory()
    told.meter("tok")
    return told


def rate(story: LifeStory, cost: str, starts_at: str) -> None:
    """From an instant on, a token costs the operator so much."""
    body = {"vendor": "v", "event": "call", "property": "tok", "unit_cost": cost, "currency": "USD"}
    story.api.make("/v1/cost-rates", **body, starts_at=starts_at)


def alerts(story: LifeStory, payer: str) -> list[str]:
    """What staff was told of the payer, the first one first: kind and the day on which its period began."""
    rows = story.api.get("/v1/margin-alerts", billing_entity=payer).json()["data"]
    return [f"{row['kind']} {row['starts_at'][:16]}" for row in rows[::-1]]


def margin(story: LifeStory, payer: str, month: int) -> tuple[str, str, str]:
    """Revenue, cost and coverage of a month, by `GET /v1/margins`."""
    days = {"from": f"2026-{month:02}-01", "to": f"2026-{month + 1:02}-01", "granularity": "month"}
    (series,) = story.api.get("/v1/margins", billing_entity=payer, **days).json()["data"]
    total = series["total"]
    return total["revenue"], total["cost"], total["cost_coverage"]


def test_a_spring_in_berlin(story: LifeStory) -> None:
    payer = story.payer(
        story.plan(per_unit("tok", "1"), margin_floor=DENY), top_up="10000", time_zone="Europe/Berlin"
    )
    rate(story, "0.9", START.isoformat())
    story.at(3, 2)
    assert story.charge(payer, tok=49) == "49"  # the period has not its volume yet
    assert story.refused(payer, tok=1) == "margin_floor"  # 50 of revenue, 45 of cost
    story.report(payer, {"tok": 11})  # what has happened is taken
    assert alerts(story, payer) == ["below_floor 2026-03-01T00:00"]
    rate(story, "0.5", "2026-03-10T00:00:00Z")
    story.at(3, 10)
    assert story.charge(payer, tok=10) == "10"  # leaves half: the payer climbs out
    assert story.charge(payer, tok=30) == "30"
    assert margin(story, payer, 3) == ("100", "74", "1")
    rate(story, "0.9", "2026-03-20T00:00:00Z")
    story.at(3, 31, 21, 59)
    assert story.charge(payer, tok=10) == "10"  # 110 of revenue, 83 of cost
    assert story.refused(payer, tok=51) == "margin_floor"  # 161 and 128.9
    story.at(3, 31, 22)  # midnight in Berlin
    assert story.charge(payer, tok=49) == "49"
    assert story.refused(payer, tok=51) == "margin_floor"
    assert alerts(story, payer) == ["below_floor 2026-03-01T00:00", "below_floor 2026-03-31T22:00"]
    story.audit()


def test_each_alert_has_its_message_to_staff_once_a_period_and_kind(story: LifeStory) -> None:
    payer = story.payer(story.plan(per_unit("tok", "1"), margin_floor=DENY), top_up="10000")
    story.report(payer, {"tok": 60}, {"tok": 1})  # nobody knows what they cost
    rate(story, "0.9", START.isoformat())
    for month in (3, 4):
        story.at(month, 2)
        story.report(payer, {"tok": 60}, {"tok": 10})
    told = list(OutboxMessage.objects.filter(kind__startswith="margin.").order_by("pk"))
    assert [(one.kind, one.payload["starts_at"][:10], one.customer_id) for one in told] == [
        ("margin.unknown_cost", "2026-03-01", None),
        ("margin.below_floor", "2026-04-01", None),
    ]
    customer = story.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    said = told[1].payload
    assert (said["billing_entity"], said["customer"], said["bound"]) == (payer, customer, "0.2")
    assert (said["revenue"], said["cost"], said["currency"]) == ("60", "54", "USD")
    assert len(told) == len(alerts(story, payer))


def test_a_denied_call_says_whose_floor_it_was_and_nothing_of_the_margin(story: LifeStory) -> None:
    payer = story.payer(story.plan(per_unit("tok", "1"), margin_floor=DENY), top_up="10000")
    rate(story, "0.9", START.isoformat())
    story.at(3, 2)
    answer = story.ask(payer, tok=60).json()
    assert (answer["error"]["type"], answer["error"]["code"]) == ("payment_required", "margin_floor")
    (subscription,) = story.api.get("/v1/subscriptions", billing_entity=payer).json()["data"]
    denial = answer["denial"]
    assert (denial["level"], denial["id"]) == ("subscription", subscription["id"])
    assert (denial["limit"], denial["used"]) == (None, None)
    period = "2026-04-01T00:00:00Z"
    assert (denial["retryable"], denial["resets_at"]) == (True, period), "a later period starts anew"
    assert "0.9" not in str(answer)
    row = story.api.get("/v1/denials", billing_entity=payer).json()["data"][0]
    assert (row["reason"], row["level"]) == ("margin_floor", "subscription")


def test_a_change_of_plan_brings_its_floor_and_takes_it(story: LifeStory) -> None:
    with_floor = story.plan(per_unit("tok", "1"), margin_floor=DENY | {"min_volume": "0"})
    without = story.plan(per_unit("tok", "1"))
    payer = story.payer(top_up="10000")
    subscription = story.start(payer, with_floor)
    rate(story, "0.9", START.isoformat())
    story.at(3, 2)
    assert story.refused(payer, tok=10) == "margin_floor"
    story.do(subscription, "change", plan_version=without)
    story.at(3, 3)
    assert story.charge(payer, tok=10) == "10"
    story.do(subscription, "change", plan_version=with_floor)
    assert story.refused(payer, tok=10) == "margin_floor"
    assert margin(story, payer, 3) == ("10", "9", "1")
    story.audit()


def test_a_change_that_waits_brings_its_floor_to_the_first_call_after_it(story: LifeStory) -> None:
    with_floor = story.plan(per_unit("tok", "1"), margin_floor=DENY | {"min_volume": "0"})
    payer = story.payer(top_up="10000")
    subscription = story.start(payer, story.plan(per_unit("tok", "1")))
    rate(story, "0.9", START.isoformat())
    story.at(3, 2)
    story.do(subscription, "change", plan_version=with_floor, at="period_end")
    story.at(3, 31, 23)
    assert story.charge(payer, tok=10) == "10"
    story.at(4, 1)  # no worker has come yet
    assert story.refused(payer, tok=10) == "margin_floor"
    story.audit()


def test_costs_and_a_bill_that_come_later_move_the_same_period(story: LifeStory) -> None:
    payer = story.payer(story.plan(per_unit("tok", "1"), margin_floor=DENY), top_up="10000")
    story.at(3, 5)
    first = story.ask(payer, tok=40).json()
    second = story.ask(payer, tok=60).json()
    assert (first["cost"], margin(story, payer, 3)[2]) == (None, "0")
    assert alerts(story, payer) == ["unknown_cost 2026-03-01T00:00"]
    for charge, amount in ((first, "20"), (second, "30")):
        part = {"vendor": "v", "amount": amount, "currency": "USD"}
        story.api.make(f"/v1/charges/{charge['id']}/costs", costs=[part])
    assert margin(story, payer, 3) == ("100", "50", "1")
    story.at(4, 3)
    bill = story.api.make("/v1/vendor-bills", vendor="v", month="2026-03", currency="USD", total="81")
    assert (bill["booked"], bill["spread"], bill["unattributed"]) == ("50", "31", "0")
    assert story.api.post(f"/v1/vendor-bills/{bill['id']}/apply", {}).status_code == 200
    story.run_due()
    assert margin(story, payer, 3) == ("100", "81", "1")
    assert [story.api.get(f"/v1/charges/{one['id']}").json()["cost"] for one in (first, second)] == [
        "32.4",
        "48.6",
    ]
    assert alerts(story, payer) == ["unknown_cost 2026-03-01T00:00", "below_floor 2026-03-01T00:00"]
    for charge in (first, second):
        assert story.api.post(f"/v1/charges/{charge['id']}/recompute", {}).json()["matches"] is True
        assert story.api.get(f"/v1/charges/{charge['id']}").json()["amount"] == charge["amount"]
    assert story.settled(payer) == 9900
    story.at(4, 4)
    back = story.api.make("/v1/vendor-bills", vendor="v", month="2026-03", currency="USD", total=None)
    assert story.api.post(f"/v1/vendor-bills/{back['id']}/apply", {}).status_code == 200
    story.run_due()
    assert margin(story, payer, 3) == ("100", "50", "1")
    story.audit()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the charge path sends."""
    sent: list[str] = []
    execute = Pipeline.execute

    def count(pipe: Pipeline, query: str, params: Any = ()) -> Any:
        sent.append(query)
        return execute(pipe, query, params)

    monkeypatch.setattr(Pipeline, "execute", count)
    return sent


def test_a_floor_adds_no_statement_to_calls_that_leave_enough_and_one_to_others(
    story: LifeStory,
    counted: list[str],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """However many calls and periods: one reads what the periods came to, one moves hours that are over, and
    two tell staff, once."""
    monkeypatch.setattr(partitions, "_ready", set())  # what this says is committed is not
    make_meter("img", event="call", aggregation="sum")
    plain = story.payer(story.plan(per_unit("tok", "1")), top_up="10000")
    floored = story.payer(
        story.plan(per_unit("tok", "1"), margin_floor=DENY),
        story.plan(per_unit("img", "1"), margin_floor=DENY, interval="year"),
        top_up="10000",
    )
    rate(story, "0.1", START.isoformat())
    story.at(3, 2)
    for payer in (plain, floored):
        with django_capture_on_commit_callbacks(execute=True):
            story.report(payer, {"tok": 1})  # the process knows the payer, and the periods are kept

    def sent(payer: str, calls: int, **fields: Any) -> int:
        counted.clear()
        with django_capture_on_commit_callbacks(execute=True):
            story.report(payer, *({"tok": number + 1} for number in range(calls)), **fields)
        return len(counted)

    usual = sent(plain, 1)
    assert [sent(plain, 40), sent(floored, 1), sent(floored, 40)] == [usual] * 3
    earlier = (START + timedelta(hours=1)).isoformat()
    late = [sent(payer, calls, occurred_at=earlier) for payer in (plain, floored) for calls in (1, 40)]
    assert late == [usual, usual, usual + 1, usual + 1]
    rate(story, "5", "2026-03-03T00:00:00Z")
    story.at(3, 3, 1)
    sent(plain, 1)
    sent(floored, 1)  # the process knows the new rate, and keeps the periods on once a day
    assert [sent(floored, 1), sent(floored, 20)] == [usual + 1] * 2
    assert [sent(floored, 40), sent(floored, 40)] == [usual + 3, usual], "told, and not looked at again"
    story.audit()
