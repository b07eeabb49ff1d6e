"""When base fees are due and how much they come to, worked by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pricing.base_fees import DueFee, Life, fees_of_period, trial_end
from pricing.catalog import read_plan
from pricing.cycles import Cycle, Interval, Period

UTC_ZONE = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
FLAT: dict[str, Any] = {"key": "platform", "amount": "30.00", "prorate": True}
SEATS: dict[str, Any] = {"key": "seats", "unit_amount": "10", "prorate": True}


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fees(
    *base_fees: dict[str, Any],
    period: tuple[str, str] = ("2026-04-01", "2026-05-01"),
    starts_at: str = "2026-01-01",
    ends_at: str | None = None,
    zone: ZoneInfo = UTC_ZONE,
    quantities: dict[str, str] | None = None,
    **terms: Any,
) -> list[DueFee]:
    """The fees of a period of a calendar plan with these fees."""
    plan = read_plan({"plan": "p", "currency": "USD", "base_fees": list(base_fees)} | terms)
    life = Life(
        at(starts_at),
        at(ends_at) if ends_at else None,
        Cycle(plan.interval, date(2000, 1, 1), zone),
        {key: Decimal(value) for key, value in (quantities or {}).items()},
    )
    return fees_of_period(plan, life, Period(at(period[0]), at(period[1])))


def test_a_whole_period_costs_the_whole_fee_when_it_begins() -> None:
    [fee] = fees(FLAT)
    assert (fee.key, fee.amount, fee.due_at) == ("platform", Decimal(30), at("2026-04-01"))
    assert fee.covers == Period(at("2026-04-01"), at("2026-05-01"))


def test_a_fee_in_arrears_is_due_when_the_period_ends() -> None:
    [fee] = fees(FLAT | {"timing": "in_arrears"})
    assert (fee.amount, fee.due_at) == (Decimal(30), at("2026-05-01"))


@pytest.mark.parametrize(
    ("period", "prorate", "amount"),
    [
        (("2026-04-16", "2026-05-01"), True, "15"),  # 15 of 30 days
        (("2026-04-16", "2026-05-01"), False, "30"),
        (("2026-04-30T12:00", "2026-05-01"), True, "0.5"),  # half of one of 30 days
        (("2026-04-01", "2026-04-04"), True, "3"),  # cut by its end
        (("2026-02-15", "2026-03-01"), True, "15"),  # 14 of 28 days
        (("2026-01-21", "2026-02-01"), True, "10.645161290322580645"),  # 11 of 31 days
    ],
)
def test_a_part_of_a_cycle_costs_a_part_of_a_prorated_fee(
    period: tuple[str, str], prorate: bool, amount: str
) -> None:
    [fee] = fees(FLAT | {"prorate": prorate}, period=period)
    assert fee.amount == Decimal(amount)


def test_a_fee_per_unit_takes_the_subscriptions_quantity_the_plans_or_one() -> None:
    assert [fee.amount for fee in fees(SEATS)] == [Decimal(10)]
    assert [fee.amount for fee in fees(SEATS | {"quantity": "3"})] == [Decimal(30)]
    assert [fee.amount for fee in fees(SEATS, quantities={"seats": "2.5"})] == [Decimal(25)]
    assert [fee.amount for fee in fees(SEATS | {"quantity": "3"}, quantities={"seats": "0"})] == [Decimal(0)]


def test_by_day_the_day_on_which_it_starts_counts_in_full() -> None:
    [fee] = fees(FLAT, period=("2026-04-16T18:00", "2026-05-01"), proration="day")
    assert fee.amount == Decimal(15)


def test_by_day_a_cancellation_counts_its_last_day_in_full() -> None:
    [fee] = fees(FLAT, period=("2026-04-01", "2026-04-10T06:00"), ends_at="2026-04-10T06:00", proration="day")
    assert fee.amount == Decimal(10)


def test_by_second_the_month_in_which_clocks_change_is_as_long_as_it_is() -> None:
    # March 2026 in Berlin has 743 hours; from local noon on the 16th there are 371 left.
    [fee] = fees(FLAT | {"amount": "743"}, period=("2026-03-16T11:00", "2026-03-31T22:00"), zone=BERLIN)
    assert fee.amount == Decimal(371)


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (("2026-01-01", "2026-02-01"), [("2026-01-15", "2026-02-01", "170")]),  # 17 of 31 days of 310
        (("2026-02-01", "2026-03-01"), [("2026-02-01", "2026-03-01", "310")]),
    ],
)
def test_a_trial_shifts_the_first_fee_and_takes_its_part(
    period: tuple[str, str], expected: list[tuple[str, str, str]]
) -> None:
    found = fees(FLAT | {"amount": "310"}, period=period, trial={"days": 14})
    assert [(fee.due_at, fee.covers.end, fee.amount) for fee in found] == [
        (at(start), at(end), Decimal(amount)) for start, end, amount in expected
    ]


def test_a_period_inside_the_trial_costs_nothing() -> None:
    assert fees(FLAT, SEATS, period=("2026-01-01", "2026-02-01"), trial={"days": 31}) == []
    assert fees(FLAT, period=("2026-01-01", "2026-02-01"), trial={"days": 90}) == []


def test_a_trial_ends_at_the_same_time_of_day_though_clocks_change() -> None:
    plan = read_plan({"plan": "p", "currency": "EUR", "trial": {"days": 14}})
    life = Life(at("2026-03-20T08:00"), None, Cycle(Interval.MONTH, date(2000, 1, 1), BERLIN), {})
    assert trial_end(plan, life) == at("2026-04-03T07:00")


def test_quarters_and_years_are_prorated_by_their_own_length() -> None:
    [fee] = fees(FLAT | {"amount": "91"}, period=("2026-06-30", "2026-07-01"), interval="quarter")
    assert fee.amount == Decimal(1)
    [fee] = fees(FLAT | {"amount": "365"}, period=("2026-12-01", "2027-01-01"), interval="year")
    assert fee.amount == Decimal(31)
