"""What holds for every cycle: periods tile the time line, and parts sum to the whole."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.cycles import Anchor, Cycle, Interval, Period, Proration, local_midnight, prorate

ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Santiago", "Asia/Beirut"),
    *("America/Havana", "Atlantic/Azores", "Asia/Kolkata", "Asia/Kathmandu", "America/Bogota"),
    *("Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "America/St_Johns"),
]
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)

zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(1995, 1, 1), date(2060, 1, 1))
instants = st.builds(datetime.combine, days, st.times(), tzinfo=st.just(UTC))
cycles = st.builds(Cycle, st.sampled_from(Interval), days, zones)
amounts = st.decimals(-(10**9), 10**9, places=6, allow_nan=False, allow_infinity=False)
modes = st.sampled_from(Proration)


@given(cycles, instants)
def test_every_instant_lies_in_its_period(cycle: Cycle, instant: datetime) -> None:
    start, end = cycle.period_at(instant)
    assert start <= instant < end


@given(cycles, instants)
def test_periods_tile_the_time_line(cycle: Cycle, instant: datetime) -> None:
    period = cycle.period_at(instant)
    assert cycle.period_at(period.start) == period
    assert cycle.period_at(period.end - TICK) == period
    assert cycle.period_at(period.end).start == period.end
    assert cycle.period_at(period.start - TICK).end == period.start


@given(cycles, instants, st.integers(0, 1500))
def test_the_periods_between_two_instants_cover_them_without_gap(
    cycle: Cycle, start: datetime, length: int
) -> None:
    end = start + length * DAY
    periods = list(cycle.periods_between(start, end))
    if not length:
        assert periods == []
        return
    assert periods[0] == cycle.period_at(start)
    assert periods[-1] == cycle.period_at(end - TICK)
    assert all(before.end == after.start for before, after in pairwise(periods))


@given(cycles, st.integers(-200, 200))
def test_a_boundary_is_the_anchors_day_or_the_last_of_a_shorter_month(cycle: Cycle, number: int) -> None:
    months = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}[cycle.interval]
    year, month = divmod(cycle.anchor_day.year * 12 + cycle.anchor_day.month - 1 + number * months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    day = date(year, month + 1, min(cycle.anchor_day.day, last))
    assert cycle.boundary(number) == local_midnight(day, cycle.zone)


@given(days, zones)
def test_a_day_begins_with_the_first_instant_that_bears_its_name(day: date, zone: ZoneInfo) -> None:
    begins = local_midnight(day, zone)
    shown = begins.astimezone(zone)
    if zone.key == "Pacific/Apia" and day == date(2011, 12, 30):
        assert shown.date() == date(2011, 12, 31)
        return
    assert shown.date() == day
    assert shown.time() in (time(0), time(0, 30), time(1))
    assert (begins - TICK).astimezone(zone).date() < day


@given(cycles, st.integers(-50, 50))
def test_an_instant_on_a_boundary_begins_its_period(cycle: Cycle, number: int) -> None:
    assert cycle.number_at(cycle.boundary(number)) == number
    assert cycle.number_at(cycle.boundary(number) - TICK) == number - 1


@given(cycles, amounts, modes, st.lists(instants, max_size=6), instants)
def test_parts_sum_to_the_whole_exactly(
    cycle: Cycle, amount: Decimal, mode: Proration, cuts: list[datetime], within: datetime
) -> None:
    period = cycle.period_at(within)
    length = period.end - period.start
    inside = [period.start + (cut - datetime(1995, 1, 1, tzinfo=UTC)) % length for cut in cuts]
    marks = [period.start, *sorted(inside), period.end]
    parts = [prorate(amount, period, Period(*pair), mode, zone=cycle.zone) for pair in pairwise(marks)]
    assert sum(parts) == amount
    if amount >= 0:
        assert all(part >= 0 for part in parts)


@given(cycles, amounts, modes, instants)
def test_the_whole_period_is_the_whole_amount(
    cycle: Cycle, amount: Decimal, mode: Proration, within: datetime
) -> None:
    period = cycle.period_at(within)
    wider = Period(period.start - DAY, period.end + DAY)
    for used in (period, wider):
        assert prorate(amount, period, used, mode, zone=cycle.zone) == amount
        assert prorate(amount, period, used, mode, zone=cycle.zone, counts_last_day=True) == amount


@given(cycles, modes, instants)
def test_nothing_of_the_period_is_nothing_of_the_amount(
    cycle: Cycle, mode: Proration, within: datetime
) -> None:
    period = cycle.period_at(within)
    for used in (Period(period.end, period.end + DAY), Period(period.start - DAY, period.start)):
        assert prorate(Decimal(10), period, used, mode, zone=cycle.zone) == 0


def test_an_empty_period_has_no_parts() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="empty period"):
        prorate(Decimal(1), Period(now, now), Period(now, now), Proration.SECOND, zone=ZoneInfo("UTC"))


def test_a_calendar_cycle_does_not_depend_on_the_start() -> None:
    zone = ZoneInfo("Europe/Berlin")
    starts = [datetime(2026, 1, 17, tzinfo=UTC), datetime(1999, 12, 31, 23, 30, tzinfo=UTC)]
    found = {Cycle.anchored(Interval.QUARTER, Anchor.CALENDAR, start, zone) for start in starts}
    assert len(found) == 1


def test_a_subscriptions_anchor_is_the_day_on_the_payers_clocks() -> None:
    start = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    cycle = Cycle.anchored(Interval.MONTH, Anchor.SUBSCRIPTION, start, ZoneInfo("Europe/Berlin"))
    assert cycle.anchor_day == date(2026, 2, 1)
    cycle = Cycle.anchored(Interval.MONTH, Anchor.SUBSCRIPTION, start, ZoneInfo("America/Bogota"))
    assert cycle.anchor_day == date(2026, 1, 31)


def test_a_day_anchored_on_the_31st_comes_back_without_drift() -> None:
    cycle = Cycle(Interval.MONTH, date(2027, 12, 31), ZoneInfo("UTC"))
    found = [cycle.boundary(number).date().isoformat() for number in range(5)]
    assert found == ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]
