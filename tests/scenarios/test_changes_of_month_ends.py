"""Subscriptions anchored on the last days of months, leap days, clocks that change; worked out by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db


def on(life: LifeStory, *days: str) -> None:
    """Live through midnights (UTC) of these days, or given instants, with all that is due on each."""
    for day in days:
        life.clock_at(datetime.fromisoformat(day if "T" in day else f"{day}T00:00:00+00:00"))
        life.run_due()


def fee(amount: str, **fields: Any) -> dict[str, Any]:
    """A base fee, in advance and prorated."""
    return {"key": "platform", "amount": amount, "timing": "in_advance", "prorate": True} | fields


def test_an_anchor_on_the_31st_comes_back_and_a_change_on_a_short_month_is_prorated_by_it(
    life: LifeStory,
) -> None:
    life.meter("tok")
    small = life.plan(per_unit("tok", "1"), anchor="subscription", base_fees=[fee("28")])
    large = life.plan(per_unit("tok", "2"), anchor="subscription", base_fees=[fee("31")])
    on(life, "2026-01-31T09:30:00+00:00")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, small)
    on(life, "2026-02-28", "2026-03-02")
    life.do(subscription, "change", plan_version=large)
    on(life, "2026-03-31", "2026-04-30")
    assert life.fees(subscription) == [
        "platform 27.604166666666666667 01-31T09:30..02-28",  # 28 days less 9.5 hours, of 28
        "platform 28 02-28..03-31",
        "platform -26.193548387096774194 02-28..03-02",  # 29 of 31 days unused
        "platform 29 03-02..03-31",
        "platform 31 03-31..04-30",
        "platform 31 04-30..05-31",
    ]
    assert life.read(subscription)["anchor_at"] == "2026-01-31T09:30:00Z", "the same cycle goes on"


def test_a_quarter_that_begins_on_the_31st_is_counted_from_there(life: LifeStory) -> None:
    life.meter("tok")
    monthly = life.plan(per_unit("tok", "1"), anchor="subscription", base_fees=[fee("31")])
    quarterly = life.plan(
        per_unit("tok", "1"), anchor="subscription", interval="quarter", base_fees=[fee("91")]
    )
    on(life, "2026-03-31")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, monthly)
    on(life, "2026-04-30", "2026-05-31")
    life.do(subscription, "change", plan_version=quarterly)
    on(life, "2026-08-31", "2026-11-30", "2027-02-28")
    assert life.fees(subscription) == [
        "platform 31 03-31..04-30",
        "platform 31 04-30..05-31",
        "platform 31 05-31..06-30",  # the renewal, an instant before the change
        "platform 60 05-31..08-31",  # and what the quarter costs more
        "platform 91 08-31..11-30",
        "platform 91 11-30..02-28",
        "platform 91 02-28..05-31",
    ]


def test_a_year_from_a_leap_day_ends_on_the_28th_and_comes_back_to_the_29th(life: LifeStory) -> None:
    life.meter("tok")
    terms = {"anchor": "subscription", "interval": "year"}
    small = life.plan(per_unit("tok", "1"), base_fees=[fee("366")], **terms)
    large = life.plan(per_unit("tok", "1"), base_fees=[fee("732")], **terms)
    on(life, "2028-02-29")
    payer = life.payer(top_up="10000")
    subscription = life.start(payer, small)
    on(life, "2029-01-29")
    life.do(subscription, "change", plan_version=large)
    on(life, "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29")
    assert life.fees(subscription) == [
        "platform 366 02-29..02-28",
        "platform -30.082191780821917808 02-29..01-29",  # 30 of 365 days
        "platform 60.164383561643835616 01-29..02-28",
        "platform 732 02-28..02-28",
        "platform 732 02-28..02-28",
        "platform 732 02-28..02-29",
        "platform 732 02-29..02-28",
    ]
    assert [end[:10] for _, end in life.segments(subscription)[1:]] == [
        "2029-02-28",
        "2030-02-28",
        "2031-02-28",
        "2032-02-29",
        "2033-02-28",
    ]


CLOCKS = [
    # zone, the month's hours, start, the change in local time, its credit: by seconds, by days
    ("Europe/Berlin", "743", "2026-02-28T23:00", "2026-03-29T01:00", "69", "71.903225806451612903"),
    ("Europe/Berlin", "745", "2026-09-30T22:00", "2026-10-25T01:00", "166", "168.225806451612903226"),
    ("America/New_York", "743", "2026-03-01T05:00", "2026-03-08T07:00", "573", "575.225806451612903226"),
    ("America/New_York", "721", "2026-11-01T04:00", "2026-11-01T06:00", "719", "721"),
    (
        "Australia/Lord_Howe",
        "720.5",
        "2026-03-31T13:00",
        "2026-04-04T15:00",
        "622.5",
        "624.433333333333333333",
    ),
    ("Asia/Kathmandu", "744", "2026-02-28T18:15", "2026-03-14T18:15", "408", "408"),
]


@pytest.mark.parametrize(("zone", "hours", "start", "change", "by_seconds", "by_days"), CLOCKS)
@pytest.mark.parametrize("proration", ["second", "day"])
def test_a_change_on_the_day_on_which_the_clocks_change(
    life: LifeStory,
    zone: str,
    hours: str,
    start: str,
    change: str,
    by_seconds: str,
    by_days: str,
    proration: str,
) -> None:
    life.meter("tok")
    small = life.plan(per_unit("tok", "1"), proration=proration, base_fees=[fee(hours)])
    free = life.plan(per_unit("tok", "1"), proration=proration)
    on(life, f"{start}:00+00:00")
    payer = life.payer(top_up="10000", time_zone=zone)
    subscription = life.start(payer, small)
    on(life, f"{change}:00+00:00")
    life.do(subscription, "change", plan_version=free)
    credit = life.fees(subscription)[1].split()[1]
    assert credit == "-" + (by_seconds if proration == "second" else by_days)


def test_two_who_subscribe_on_either_side_of_a_short_months_end_renew_each_on_its_day(
    life: LifeStory,
) -> None:
    life.meter("tok")
    plan = life.plan(per_unit("tok", "1"), anchor="subscription", base_fees=[fee("31")])
    renewals = {}
    for day in ("2026-01-28", "2026-01-29", "2026-01-30", "2026-01-31", "2026-02-01"):
        on(life, day)
        payer = life.payer(top_up="1000")
        renewals[day] = life.start(payer, plan)
    on(life, "2026-02-28", "2026-03-01", "2026-03-28", "2026-03-29", "2026-03-30", "2026-03-31")
    ends = {day: [end[5:10] for _, end in life.segments(pk)] for day, pk in renewals.items()}
    assert ends == {
        "2026-01-28": ["02-28", "03-28", "04-28"],
        "2026-01-29": ["02-28", "03-29", "04-29"],
        "2026-01-30": ["02-28", "03-30", "04-30"],
        "2026-01-31": ["02-28", "03-31", "04-30"],
        "2026-02-01": ["03-01", "04-01"],
    }
