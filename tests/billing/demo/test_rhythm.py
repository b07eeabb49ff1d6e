"""The demo's rhythm: weekdays, growth, working hours, and the same every time."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.demo.cast import CAST, PAYG, Actor
from billing.demo.dice import dice_for
from billing.demo.rhythm import calls_on, instants_of

MONDAY = date(2026, 6, 1)
ACTOR = Actor("acme", "Acme", PAYG, 100, 100)


def test_there_are_forty_customers_with_names_of_their_own() -> None:
    assert len(CAST) == 40
    assert len({actor.slug for actor in CAST}) == len({actor.name for actor in CAST}) == 40


def test_the_shares_of_all_make_about_the_whole() -> None:
    assert 900 <= sum(actor.volume for actor in CAST) <= 1100


def calls(actor: Actor, index: int, day: date) -> int:
    return calls_on(actor, index, 180, day, 1000, dice_for("fixed"))


def test_working_days_have_more_calls_than_weekends() -> None:
    assert calls(ACTOR, 90, MONDAY) > 2 * calls(ACTOR, 90, MONDAY + timedelta(days=6))


def test_calls_grow_from_the_first_month_to_the_last() -> None:
    assert calls(ACTOR, 175, MONDAY) > calls(ACTOR, 5, MONDAY) * 3 // 2


def test_a_customer_who_came_later_made_no_calls_before() -> None:
    late = Actor("late", "Late", PAYG, 100, months=2)
    assert calls(late, 119, MONDAY) == 0
    assert calls(late, 120, MONDAY) > 0


def test_the_same_dice_make_the_same_day() -> None:
    days = [instants_of(ACTOR, MONDAY, 50, dice_for("acme", 3)) for _ in range(2)]
    assert days[0] == days[1]
    assert days[0] == sorted(days[0])
    assert days[0] != instants_of(ACTOR, MONDAY, 50, dice_for("acme", 4))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_calls_stay_within_their_day_and_follow_the_customers_own_working_hours(zone: str) -> None:
    actor = Actor("acme", "Acme", PAYG, 100, time_zone=zone)
    instants = instants_of(actor, MONDAY, 2000, dice_for(zone))
    assert {at.date() for at in instants} == {MONDAY}
    local = [at.astimezone(ZoneInfo(zone)).hour for at in instants]
    assert sum(9 <= hour < 18 for hour in local) > 4 * sum(hour < 6 for hour in local)
