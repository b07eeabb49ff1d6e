"""Points in time as a reader sees them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from babel import Locale

from core.display.instants import ago_text, day_text, instant_text, utc_text, zone_name, zone_of

AT = datetime(2026, 11, 23, 14, 5, 7, tzinfo=UTC)


def test_an_instant_stands_in_the_payers_zone() -> None:
    assert instant_text(AT, ZoneInfo("Europe/Berlin")) == "23 Nov 2026, 15:05"
    assert instant_text(AT, ZoneInfo("Asia/Tokyo"), precision="second") == "23 Nov 2026, 23:05:07"
    assert instant_text(AT, ZoneInfo("Pacific/Kiritimati"), precision="day") == "24 Nov 2026"


def test_summer_time_is_told_by_the_zones_name() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert zone_name(AT, berlin) == "CET"
    assert zone_name(AT.replace(month=7), berlin) == "CEST"


def test_a_zone_without_letters_is_named_by_its_offset() -> None:
    assert zone_name(AT, ZoneInfo("Asia/Dubai")) == "UTC+04:00"
    assert zone_name(AT, ZoneInfo("Asia/Kathmandu")) == "UTC+05:45"


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "../etc/passwd", "\x00"])
def test_a_zone_that_is_not_known_is_utc(name: str | None) -> None:
    assert zone_of(name) == UTC


def test_utc_reads_the_same_for_everyone() -> None:
    assert utc_text(AT.astimezone(ZoneInfo("Asia/Kolkata"))) == "2026-11-23 14:05:07 UTC"


def test_a_day_follows_the_locale() -> None:
    assert day_text(date(2026, 3, 1)) == "1 Mar 2026"
    assert day_text(date(2026, 3, 1), Locale("fr")) == "1 mars 2026"


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-2), "just now"),
        (timedelta(seconds=3), "just now"),
        (timedelta(minutes=-3), "3 minutes ago"),
        (timedelta(days=2), "in 2 days"),
        (timedelta(days=-400), "1 year ago"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(span: timedelta, text: str) -> None:
    assert ago_text(AT + span, AT) == text
