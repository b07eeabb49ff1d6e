from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pytest_django import Settings

from metering.accept import accept_window

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("age", "reason"),
    [
        (timedelta(0), None),
        (timedelta(days=35), None),
        (timedelta(days=35) + TICK, "too_late"),
        (timedelta(days=700_000), "too_late"),
        (-timedelta(hours=24), None),
        (-timedelta(hours=24) - TICK, "in_future"),
        (-timedelta(days=2_900_000), "in_future"),
    ],
)
def test_events_are_taken_35_days_late_and_24_hours_ahead(age: timedelta, reason: str | None) -> None:
    assert accept_window(NOW - age, NOW) == reason


def test_the_window_is_a_setting(settings: Settings) -> None:
    settings.EVENT_LATE_MAX = timedelta(hours=1)
    settings.EVENT_AHEAD_MAX = timedelta(0)
    assert accept_window(NOW - timedelta(hours=2), NOW) == "too_late"
    assert accept_window(NOW + TICK, NOW) == "in_future"
    assert accept_window(NOW, NOW) is None


def test_an_offset_is_no_age() -> None:
    in_tokyo = (NOW - timedelta(days=35)).astimezone(ZoneInfo("Asia/Tokyo"))
    assert accept_window(in_tokyo, NOW) is None
    assert accept_window(in_tokyo - TICK, NOW) == "too_late"
