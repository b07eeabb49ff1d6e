"""The hour of the payer's clock that an instant falls in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.hours import hour_start, instant_and_hour

ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]
INSTANTS = st.integers(0, 20 * 365 * 86400 * 1000).map(
    lambda ms: datetime(2015, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
)


@given(instant=INSTANTS, zone=st.sampled_from(ZONES))
def test_an_hour_begins_on_the_local_hour_and_holds_its_instant(instant: datetime, zone: str) -> None:
    text, hour = instant_and_hour(instant, zone)
    begins = datetime.fromisoformat(hour)
    assert datetime.fromisoformat(text) == instant
    assert begins <= instant < begins + timedelta(hours=1)
    local_offset = instant.astimezone(ZoneInfo(zone)).utcoffset()
    assert local_offset is not None
    assert (begins + local_offset).minute == 0
    assert hour.endswith("+00:00")
    assert hour_start(instant, zone) == hour


@pytest.mark.parametrize(
    ("at", "zone", "hour"),
    [
        ("2026-03-29T00:59:59.999999+00:00", "Europe/Berlin", "2026-03-29T00:00:00+00:00"),
        ("2026-03-29T01:00:00+00:00", "Europe/Berlin", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29T12:29:59+00:00", "Asia/Kolkata", "2026-03-29T11:30:00+00:00"),
        ("2026-03-29T12:30:00+00:00", "Asia/Kolkata", "2026-03-29T12:30:00+00:00"),
        ("2026-03-29T12:14:59+00:00", "Asia/Kathmandu", "2026-03-29T11:15:00+00:00"),
        ("2026-03-29T12:15:00+00:00", "Asia/Kathmandu", "2026-03-29T12:15:00+00:00"),
    ],
)
def test_hours_of_zones_that_are_off_by_a_part_of_one(at: str, zone: str, hour: str) -> None:
    assert instant_and_hour(datetime.fromisoformat(at), zone) == (at, hour)
