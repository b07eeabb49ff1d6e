"""Where a month ends on the payer's clock: the last microsecond before it and the first one after.

The instants are written by hand, from the zones' offsets; the price says in which period a call was rated:
the first ten units of a period cost 1 each, all others 0.1.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.money import START, Story, tiers

pytestmark = pytest.mark.django_db
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}
TICK = timedelta(microseconds=1)
FIRST, LATER = "11", "2"
"""What 20 units cost as the first of a period (10 + 10 x 0.1), and after the first twenty (20 x 0.1)."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


BOUNDARIES = [
    # zone, the end of a calendar month there, in UTC
    ("UTC", "2026-03-01 00:00"),
    ("UTC", "2026-04-01 00:00"),
    ("Asia/Kolkata", "2026-03-31 18:30"),
    ("Asia/Kolkata", "2026-04-30 18:30"),
    ("Asia/Kathmandu", "2026-03-31 18:15"),
    ("Asia/Kathmandu", "2026-06-30 18:15"),
    ("America/Bogota", "2026-04-01 05:00"),
    ("America/Bogota", "2026-05-01 05:00"),
    ("Europe/Berlin", "2026-03-31 22:00"),  # summer time since the 29th
    ("Europe/Berlin", "2026-10-31 23:00"),  # winter time since the 25th
    ("America/New_York", "2026-04-01 04:00"),
    ("America/New_York", "2026-11-01 04:00"),  # the clocks go back two hours later
    ("America/St_Johns", "2026-04-01 02:30"),
    ("Australia/Lord_Howe", "2026-03-31 13:00"),
    ("Australia/Lord_Howe", "2026-04-30 13:30"),  # half an hour of summer time, over since the 5th
    ("Pacific/Apia", "2026-03-31 11:00"),
    ("Pacific/Kiritimati", "2026-03-31 10:00"),
    ("Pacific/Marquesas", "2026-04-01 09:30"),
    ("Africa/Cairo", "2026-04-30 21:00"),  # summer time since the 24th
    ("Asia/Beirut", "2026-03-31 21:00"),  # summer time begins at a midnight, on the 29th
]


def on(money: Story, payer: str, at: datetime) -> str:
    """What 20 units cost that were called at an instant, told an hour later."""
    money.now = at + timedelta(hours=1)
    return money.charge(payer, occurred_at=at.isoformat(), tok=20)


@pytest.mark.parametrize(("zone", "boundary"), BOUNDARIES)
def test_tiers_begin_anew_at_the_first_microsecond_of_a_local_month(
    money: Story, zone: str, boundary: str
) -> None:
    end = utc(boundary)
    money.now = utc("2026-01-01 00:00")  # so that the top-up is there when the calls are made
    money.meter("tok")
    payer = money.payer(time_zone=zone, top_up="100")
    body = {"billing_entity": payer, "plan_version": money.plan(GRADUATED)}
    money.api.make("/v1/subscriptions", **body, starts_at="2026-02-01T12:00:00Z")
    assert on(money, payer, end - TICK) == FIRST
    assert on(money, payer, end) == FIRST
    assert on(money, payer, end - TICK) == LATER
    assert on(money, payer, end) == LATER
    assert on(money, payer, end - timedelta(days=20)) == LATER
    assert money.settled(payer) == Decimal(100 - 11 - 11 - 2 - 2 - 2)


ANCHORS = [
    # zone, start, the boundaries that follow: counted from the anchor, clamped to short months, without drift
    (
        "UTC",
        "2026-01-31 09:30",
        ["2026-02-28 00:00", "2026-03-31 00:00", "2026-04-30 00:00", "2026-05-31 00:00"],
    ),
    (
        "Asia/Kolkata",
        "2026-01-30 20:00",  # the 31st there
        ["2026-02-27 18:30", "2026-03-30 18:30", "2026-04-29 18:30", "2026-05-30 18:30"],
    ),
    (
        "Asia/Kathmandu",
        "2026-01-29 18:15",  # midnight of the 30th
        ["2026-02-27 18:15", "2026-03-29 18:15", "2026-04-29 18:15", "2026-05-29 18:15"],
    ),
    (
        "America/Bogota",
        "2026-01-29 04:59",  # the 28th there
        ["2026-02-28 05:00", "2026-03-28 05:00", "2026-04-28 05:00", "2026-05-28 05:00"],
    ),
    (
        "Europe/Berlin",
        "2026-01-29 12:00",
        ["2026-02-27 23:00", "2026-03-28 23:00", "2026-04-28 22:00", "2026-05-28 22:00"],
    ),
]


@pytest.mark.parametrize(("zone", "start", "boundaries"), ANCHORS)
def test_a_cycle_of_its_own_is_counted_from_the_local_day_on_which_it_began(
    money: Story, zone: str, start: str, boundaries: list[str]
) -> None:
    money.now = utc("2026-01-01 00:00")  # so that the top-up is there when the calls are made
    money.meter("tok")
    payer = money.payer(time_zone=zone, top_up="500")
    body = {"billing_entity": payer, "plan_version": money.plan(GRADUATED, anchor="subscription")}
    money.api.make("/v1/subscriptions", **body, starts_at=utc(start).isoformat())
    spent = Decimal(0)
    for end in map(utc, boundaries):
        assert [on(money, payer, end - TICK), on(money, payer, end - TICK)] == [FIRST, LATER]
        spent += 13
    assert [on(money, payer, utc(boundaries[-1])), on(money, payer, utc(boundaries[-1]))] == [FIRST, LATER]
    assert money.settled(payer) == 500 - spent - 13


@pytest.mark.parametrize(
    ("currency", "price", "quantity", "amount"),
    [
        ("USD", "0.004", "1", "0.004"),
        ("JPY", "0.004", "1", "0.004"),
        ("KWD", "0.0004", "1", "0.0004"),
        ("JPY", "1", "0.5", "0.5"),
        ("USD", "0.000000000000000001", "1", "0.000000000000000001"),
        ("USD", "0.000000000000000001", "0.5", "0.000000000000000001"),  # half up
        ("USD", "0.000000000000000001", "0.499999999999", "0"),
        ("JPY", "3", "0", "0"),
        ("KWD", "99999999", "99999999999", "9999999899900000001"),
        ("USD", "0", "99999999999999999999", "0"),
        ("USD", "1", "99999999999999999999.999999999999", "99999999999999999999.999999999999"),
    ],
)
@pytest.mark.parametrize("is_reported", [False, True])
def test_an_amount_is_exact_whatever_the_currency_and_the_door(
    money: Story, currency: str, price: str, quantity: str, amount: str, is_reported: bool
) -> None:
    money.meter("tok")
    component = {"key": "tok", "meter": "tok", "model": "per_unit", "unit_price": price}
    payer = money.payer(money.plan(component, currency=currency), currency=currency, overdraft=None)
    if is_reported:
        money.report(payer, {"tok": quantity})
    else:
        assert money.charge(payer, tok=quantity) == amount
    assert money.settled(payer) == Decimal(amount).copy_negate()
    assert money.account(payer, "revenue") == Decimal(amount)


@pytest.mark.parametrize(
    "quantity", [True, False, [1], {"n": 1}, "1,5", "1e400", "٣", " ", "", "0x10", "1_000", None]
)
def test_what_is_no_number_is_not_counted_and_costs_nothing(money: Story, quantity: Any) -> None:
    money.meter("tok")
    component = {"key": "tok", "meter": "tok", "model": "per_unit", "unit_price": "1"}
    payer = money.payer(money.plan(component), top_up="10")
    answer = money.ask(payer, tok=quantity)
    assert answer.status_code in (201, 400), answer.content
    if answer.status_code == 201:
        assert answer.json()["amount"] == "0"
    assert money.settled(payer) == 10


def test_a_call_on_the_edges_of_the_accept_window_is_taken_and_one_beyond_is_not(money: Story) -> None:
    money.meter("tok")
    component = {"key": "tok", "meter": "tok", "model": "per_unit", "unit_price": "1"}
    payer = money.payer(money.plan(component), top_up="10")
    money.now = START + timedelta(days=40)
    for distance in (timedelta(days=-35), timedelta(hours=24)):
        assert money.charge(payer, occurred_at=(money.now + distance).isoformat(), tok=1) == "1"
        beyond = distance + (TICK if distance > timedelta(0) else -TICK)
        assert money.ask(payer, occurred_at=(money.now + beyond).isoformat(), tok=1).status_code == 422
    assert money.settled(payer) == 8
