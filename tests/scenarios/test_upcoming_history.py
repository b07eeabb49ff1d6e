"""`upcoming` beside the books: what it shows of past periods is what was booked for them, whatever happened
in them; what it shows so far is what is booked by now; and usage that goes on ends where it said."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.models import BookedFee, Charge, ClosingLine
from core.ids import row_id
from pricing.models import BillingPeriod
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers
from tests.scenarios.test_upcoming_price import lines, upcoming

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "timing": "in_advance", "prorate": True}
SEATS = {"key": "seats", "unit_amount": "3.1", "timing": "in_advance", "prorate": True}
SUPPORT = {"key": "support", "amount": "62", "timing": "in_arrears", "prorate": True}
WHOLE = {"key": "whole", "amount": "5", "timing": "in_advance", "prorate": False}
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}
Json = dict[str, Any]


def booked(subscription: str) -> dict[str, Decimal]:
    """What was booked for each billing period, by its start: fees, usage, what the close added."""
    found = {}
    pk = row_id("sub", subscription)
    for period in BillingPeriod.objects.filter(subscription_id=pk).order_by("starts_at"):
        total = Decimal(0)
        for model in (BookedFee, ClosingLine):
            total += sum(model.objects.filter(period_id=period.pk).values_list("amount", flat=True))
        segments = set(period.segments.values_list("pk", flat=True))
        for charged in Charge.objects.filter(customer_id=period.customer_id):
            own = [line for line in charged.lines if line["segment"] in segments]
            total += sum(Decimal(line["amount"]) for line in own)
        found[f"{period.starts_at:%Y-%m-%dT%H:%M}"] = total
    return found


def shown(statement: Json) -> tuple[str, Decimal]:
    """(start, total) of a statement under the present price."""
    return statement["start"][:16], Decimal(statement["current"])


def check_last(life: LifeStory, payer: str, subscription: str, number: int = 3) -> Json:
    """The last periods are what was booked; gives the whole answer."""
    found = upcoming(life, payer)
    books = booked(subscription)
    last = [shown(statement) for statement in found["last_periods"]]
    assert len(last) == number
    assert last == [(start, books[start]) for start, _ in last]
    return found


def check_so_far(life: LifeStory, payer: str, subscription: str) -> Json:
    """What is shown so far is what is booked; gives the whole answer."""
    found = upcoming(life, payer)
    start, total = shown(found["current_period"]["so_far"])
    assert total == booked(subscription)[start]
    return found


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/Bogota"])
@pytest.mark.parametrize("proration", ["second", "day"])
def test_a_history_of_changes_pauses_and_seats_is_shown_as_it_was_booked(
    life: LifeStory, zone: str, proration: str
) -> None:
    life.meter("tok")
    terms = {"proration": proration}
    small = life.plan(GRADUATED, base_fees=[PLATFORM, SEATS, WHOLE], **terms)
    large = life.plan(
        per_unit("tok", "0.5", minimum="20"),
        base_fees=[PLATFORM | {"amount": "62"}, SUPPORT],
        minimum_spend="200",
        **terms,
    )
    payer = life.payer(top_up="10000", time_zone=zone)
    life.at(3, 4, 7)
    subscription = life.start(payer, small, quantities={"seats": "5"})
    life.charge(payer, tok=12)
    life.at(3, 12, 9)
    life.do(subscription, "change", plan_version=large)
    life.charge(payer, tok=12)
    life.at(3, 20)
    life.do(subscription, "change", plan_version=small, quantities={"seats": "8"})
    life.charge(payer, tok=12)
    life.at(4, 6)
    life.run_due()
    life.do(subscription, "pause")
    life.at(4, 16)
    life.do(subscription, "resume")
    life.charge(payer, tok=30)
    life.at(5, 3)
    life.run_due()
    life.do(subscription, "change", plan_version=large)
    life.charge(payer, tok=7)
    check_so_far(life, payer, subscription)
    life.at(6, 4)
    life.run_due()
    life.report(payer, {"tok": 9}, occurred_at="2026-05-20T00:00:00Z")  # late, within the minimum
    life.charge(payer, tok=5)
    check_last(life, payer, subscription)
    check_so_far(life, payer, subscription)


def test_another_version_is_compared_over_the_same_seats_and_pauses(life: LifeStory) -> None:
    life.meter("tok")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM, SEATS])
    payer = life.payer(top_up="10000")
    subscription = life.start(payer, old, quantities={"seats": "5"})
    life.charge(payer, tok=3)
    life.at(3, 11)
    life.do(subscription, "change", quantities={"seats": "10"})
    life.at(3, 16)
    life.do(subscription, "pause")
    life.at(3, 26)
    life.do(subscription, "resume")
    life.at(4, 3)
    life.run_due()
    life.do(
        subscription,
        "change",
        plan_version=life.plan(per_unit("tok", "2"), base_fees=[SEATS | {"unit_amount": "6.2"}]),
        at="period_end",
    )
    found = check_last(life, payer, subscription, 1)
    # 15 days, then 6 of 31; 5 seats for ten days and 10 for eleven.
    assert lines(found["last_periods"][0]) == {
        "platform": ("21", None, "-21"),
        "seats": ("16", "32", "16"),
        "tok": ("3", "6", "3"),
    }
    assert lines(found["current_period"]["so_far"])["seats"] == ("31", "62", "31")


def test_a_start_with_a_trial_and_a_fee_paid_once_is_the_same_under_both(life: LifeStory) -> None:
    life.meter("tok")
    setup = {"key": "setup", "amount": "50"}
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM], one_off_fees=[setup], trial={"days": 10})
    new = life.plan(per_unit("tok", "2"), base_fees=[PLATFORM], one_off_fees=[setup | {"amount": "90"}])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.at(3, 5)
    life.do(subscription, "change", plan_version=new, at="period_end")
    found = check_so_far(life, payer, subscription)
    assert lines(found["current_period"]["so_far"]) == {"setup": ("50", "50", "0"), "tok": ("0", "0", "0")}
    assert lines(found["current_period"]["projection"])["platform"] == ("21", "21", "0")
    life.at(3, 12)
    life.run_due()
    check_so_far(life, payer, subscription)


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("pause", {"at": "2026-03-20T00:00:00Z"}),
        ("cancel", {"at": "2026-03-20T00:00:00Z", "credit_unused": True}),
        ("cancel", {"at": "2026-03-20T00:00:00Z"}),
        ("change", {"at": "2026-03-20T00:00:00Z", "quantities": {"seats": "9"}}),
        ("change", {"at": "2026-03-20T00:00:00Z", "plan_version": "yearly"}),
        ("change", {"at": "2026-03-20T00:00:00Z", "plan_version": "large"}),
    ],
)
def test_what_is_scheduled_is_not_booked_yet(life: LifeStory, verb: str, fields: Json) -> None:
    life.meter("tok")
    small = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM, SEATS, SUPPORT])
    others = {
        "large": life.plan(per_unit("tok", "2"), base_fees=[PLATFORM | {"amount": "62"}]),
        "yearly": life.plan(per_unit("tok", "2"), base_fees=[PLATFORM], interval="year"),
    }
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, small, quantities={"seats": "5"})
    life.at(3, 11)
    life.charge(payer, tok=10)
    version = {"plan_version": others[fields["plan_version"]]} if "plan_version" in fields else {}
    life.do(subscription, verb, **fields | version)
    found = check_so_far(life, payer, subscription)
    assert Decimal(found["current_period"]["so_far"]["current"]) == 31 + Decimal("15.5") + 10
    assert (
        lines(found["current_period"]["projection"])["platform"][0]
        == {
            "pause": "19",
            "change": "31",
            "cancel": "19" if fields.get("credit_unused") else "31",
        }[verb]
    )


@pytest.mark.parametrize(
    "plan",
    [None, ("pause", {"at": "2026-03-20T00:00:00Z"}), ("change", {"quantities": {"seats": "9"}})],
)
def test_usage_that_goes_on_ends_where_it_was_projected(
    life: LifeStory, plan: tuple[str, Json] | None
) -> None:
    life.meter("tok")
    old = life.plan(per_unit("tok", "0.5"), base_fees=[PLATFORM])
    new = life.plan(GRADUATED | {"minimum": "31"}, base_fees=[PLATFORM, SEATS, SUPPORT], minimum_spend="93")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old, quantities={})
    for day in range(1, 9):
        life.at(3, day, 12)
        if day == 5:
            life.do(subscription, "change", plan_version=new, quantities={"seats": "2"})
        life.charge(payer, tok=2)
    life.at(3, 9)
    if plan is not None:
        life.do(subscription, plan[0], **plan[1])
    projection = check_so_far(life, payer, subscription)["current_period"]["projection"]
    is_paused = plan is not None and plan[0] == "pause"
    for day in range(9, 20 if is_paused else 32):
        life.at(3, day, 12)
        life.charge(payer, tok=2)
    life.at(4, 3)
    life.run_due()
    start, total = shown(projection)
    assert booked(subscription)[start] == total


def test_a_pause_in_the_period_is_no_lull_in_usage(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.at(3, 5)
    life.charge(payer, tok=10)
    life.do(subscription, "pause", at="2026-03-06T00:00:00Z")
    life.at(3, 11)
    life.run_due()
    life.do(subscription, "resume")
    # 10 units in five of ten days; 21 days to come.
    assert lines(upcoming(life, payer)["current_period"]["projection"])["tok"] == ("52", None, None)


def test_a_new_cycle_in_the_past_shows_the_periods_as_they_were(life: LifeStory) -> None:
    life.meter("tok")
    monthly = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    quarterly = life.plan(
        per_unit("tok", "2"),
        interval="quarter",
        anchor="subscription",
        base_fees=[PLATFORM | {"amount": "92"}],
    )
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, monthly)
    life.charge(payer, tok=5)
    life.at(4, 3)
    life.run_due()
    life.charge(payer, tok=7)
    life.at(4, 16)
    life.do(subscription, "change", plan_version=quarterly)
    life.charge(payer, tok=9)
    life.at(7, 20)
    life.run_due()
    found = check_last(life, payer, subscription)
    assert [statement["start"][:10] for statement in found["last_periods"]] == [
        "2026-04-16",
        "2026-04-01",
        "2026-03-01",
    ]
    assert (found["current_version"], found["current_period"]["end"][:10]) == (quarterly, "2026-10-16")
    body = life.api.get(f"/v1/billing-entities/{payer}/upcoming", plan_version=quarterly).json()
    (same,) = body["subscriptions"]
    assert lines(same["last_periods"][0])["platform"] == ("92", "92", "0")
    assert [lines(statement)["tok"] for statement in same["last_periods"]] == [
        ("18", "18", "0"),
        ("7", "14", "7"),
        ("5", "10", "5"),
    ]


def test_what_a_worker_has_not_come_to_is_shown_all_the_same(life: LifeStory) -> None:
    life.meter("tok")
    old = life.plan(per_unit("tok", "1"), base_fees=[PLATFORM])
    new = life.plan(per_unit("tok", "2"), base_fees=[PLATFORM | {"amount": "62"}])
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.do(subscription, "change", plan_version=new, at="period_end")
    life.at(4, 1, 1)
    life.charge(payer, tok=3)
    found = upcoming(life, payer)
    assert (found["current_version"], found["upcoming_version"]) == (new, None)
    assert lines(found["current_period"]["so_far"]) == {
        "platform": ("62", None, None),
        "tok": ("6", None, None),
    }
    assert lines(found["last_periods"][0]) == {"platform": ("31", None, None), "tok": ("0", None, None)}


def test_at_the_first_instant_of_a_period_all_lines_are_there(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    life.start(payer, life.plan(per_unit("tok", "1"), base_fees=[PLATFORM, SUPPORT]))
    found = upcoming(life, payer)["current_period"]
    assert lines(found["so_far"]) == {"platform": ("31", None, None), "tok": ("0", None, None)}
    assert lines(found["projection"])["support"] == ("62", None, None)
    start = datetime.fromisoformat(found["start"])
    assert datetime.fromisoformat(found["end"]) - start == timedelta(days=31)
