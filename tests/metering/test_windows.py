from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from core.errors import InvalidRequest
from metering.usage.windows import Granularity, Window, make_window

UTC_ZONE, BERLIN, KOLKATA = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kolkata")
HAVANA = ZoneInfo(
    "America/Havana"
)  # the clock goes back from 01:00 to 00:00, and forward from 00:00 to 01:00
NOW = datetime(2026, 3, 10, 12, 34, tzinfo=UTC)


def at(text: str, zone: ZoneInfo = UTC_ZONE) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def window(start: str, end: str, granularity: str = "day", zone: ZoneInfo = UTC_ZONE) -> Window:
    return make_window(at(start, zone), at(end, zone), Granularity(granularity), zone, NOW)


def local_starts(found: Window) -> list[str]:
    return [start.astimezone(found.zone).strftime("%m-%d %H:%M") for start, _ in found.periods()]


def test_by_default_it_is_this_month_up_to_now() -> None:
    found = make_window(None, None, Granularity.DAY, BERLIN, NOW)
    assert found.start == at("2026-03-01 00:00", BERLIN)
    assert found.end == datetime(2026, 3, 10, 13, tzinfo=UTC)


def test_the_present_hour_is_in_even_when_it_has_only_just_begun() -> None:
    midnight = at("2026-03-01 00:00", BERLIN)
    found = make_window(None, None, Granularity.DAY, BERLIN, midnight)
    assert (found.start, found.end) == (midnight, midnight + timedelta(hours=1))


def test_a_window_that_ends_with_a_month_begins_with_it() -> None:
    midnight = at("2026-03-01 00:00", BERLIN)
    found = make_window(None, midnight, Granularity.DAY, BERLIN, NOW)
    assert (found.start, found.end) == (at("2026-02-01 00:00", BERLIN), midnight)


@pytest.mark.parametrize(("zone", "minute"), [(UTC_ZONE, 0), (KOLKATA, 30), (ZoneInfo("Asia/Kathmandu"), 15)])
def test_a_window_is_widened_to_whole_local_hours(zone: ZoneInfo, minute: int) -> None:
    found = make_window(
        datetime(2026, 3, 1, 10, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 1, 12, 59, 0, 1, tzinfo=UTC),
        Granularity.HOUR,
        zone,
        NOW,
    )
    assert found.start == datetime(2026, 3, 1, 10, minute, tzinfo=UTC)
    assert found.end == datetime(2026, 3, 1, 13, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("granularity", "starts"),
    [
        ("month", ["03-30 07:00", "04-01 00:00"]),
        ("week", ["03-30 07:00", "04-06 00:00"]),
        ("day", ["03-30 07:00", "03-31 00:00", "04-01 00:00", "04-02 00:00", "04-03 00:00", "04-04 00:00",
                 "04-05 00:00", "04-06 00:00"]),
    ],
)  # fmt: skip
def test_periods_follow_the_local_calendar_and_are_cut_to_the_window(
    granularity: str, starts: list[str]
) -> None:
    found = window("2026-03-30 07:00", "2026-04-06 09:00", granularity, BERLIN)
    assert local_starts(found) == starts


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("zone", [UTC_ZONE, BERLIN, KOLKATA, HAVANA])
def test_periods_leave_no_gap_and_each_instant_finds_its_own(
    granularity: Granularity, zone: ZoneInfo
) -> None:
    found = make_window(
        datetime(2026, 2, 20, 13, 45, tzinfo=UTC),
        datetime(2026, 4, 2, 7, 5, tzinfo=UTC),
        granularity,
        zone,
        NOW,
    )
    periods = list(found.periods())
    assert periods[0][0] == found.start
    assert periods[-1][1] == found.end
    for (_, end), (start, _) in pairwise(periods):
        assert end == start
    for start, end in periods:
        for instant in (start, end - timedelta(microseconds=1), start + (end - start) / 2):
            assert found.period_start(instant) == start


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
        (HAVANA, "2026-03-08", 23),
        (HAVANA, "2026-11-01", 25),
        (UTC_ZONE, "2026-03-29", 24),
    ],
)
def test_a_local_day_has_the_hours_that_its_clocks_say(zone: ZoneInfo, day: str, hours: int) -> None:
    start = at(f"{day} 05:00", zone)
    following = (datetime.fromisoformat(day) + timedelta(days=1)).strftime("%Y-%m-%d 03:00")
    found = make_window(start - timedelta(days=2), at(following, zone), Granularity.DAY, zone, NOW)
    begin = found.period_start(start)
    assert (found.period_end(begin) - begin) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("start", "end", "granularity", "code", "param"),
    [
        ("2026-03-01 00:00", "2026-03-01 00:00", "day", "invalid_period", "to"),
        ("2026-03-02 00:00", "2026-03-01 00:00", "day", "invalid_period", "to"),
        ("2025-01-01 00:00", "2026-01-01 00:00", "hour", "window_too_long", "from"),
        ("2015-01-01 00:00", "2026-01-01 00:00", "day", "window_too_long", "from"),
        ("0001-01-01 00:00", "2026-01-01 00:00", "month", "invalid_instant", "from"),
        ("2026-01-01 00:00", "9999-12-31 23:00", "month", "invalid_instant", "to"),
    ],
)
def test_an_unfit_window_is_refused(start: str, end: str, granularity: str, code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        window(start, end, granularity)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_a_window_that_begins_in_the_future_needs_an_end() -> None:
    with pytest.raises(InvalidRequest):
        make_window(NOW + timedelta(days=1), None, Granularity.DAY, UTC_ZONE, NOW)
