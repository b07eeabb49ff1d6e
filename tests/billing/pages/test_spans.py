"""The period of a page: words and dates, and what it is compared with."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from billing.reports.lags import lag_text
from billing.reports.spans import DAYS_MAX, Span, midnight, read_span

TODAY = date(2026, 3, 31)


@pytest.mark.parametrize(
    ("query", "first", "last", "before_first", "before_last"),
    [
        ({}, "2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
        ({"period": "nonsense"}, "2026-03-01", "2026-03-31", "2026-02-01", "2026-02-28"),
        ({"period": "last_month"}, "2026-02-01", "2026-02-28", "2026-01-01", "2026-01-31"),
        ({"period": "last_30_days"}, "2026-03-02", "2026-03-31", "2026-01-31", "2026-03-01"),
        (
            {"period": "custom", "start": "2026-03-10", "end": "2026-03-12"},
            "2026-03-10",
            "2026-03-12",
            "2026-03-07",
            "2026-03-09",
        ),
        (
            {"period": "custom", "start": "2026-03-12", "end": "2026-03-10"},
            "2026-03-10",
            "2026-03-12",
            "2026-03-07",
            "2026-03-09",
        ),
        ({"period": "custom"}, "2026-03-01", "2026-03-31", "2026-01-29", "2026-02-28"),
        (
            {"period": "custom", "start": "x", "end": "2026-02-30"},
            "2026-03-01",
            "2026-03-31",
            "2026-01-29",
            "2026-02-28",
        ),
    ],
)
def test_a_span_is_read_from_the_address(
    query: dict[str, str], first: str, last: str, before_first: str, before_last: str
) -> None:
    span = read_span(query, TODAY)
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)
    before = span.before()
    assert (before.first.isoformat(), before.last.isoformat()) == (before_first, before_last)


def test_a_span_is_never_longer_than_two_years() -> None:
    span = read_span({"period": "custom", "start": "1990-01-01", "end": "2026-03-31"}, TODAY)
    assert (span.days, span.last, bool(span.note)) == (DAYS_MAX, TODAY, True)


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31", "2026-13-01", "", "20260101T00", "\x00"])
def test_days_outside_of_all_calendars_are_ignored(text: str) -> None:
    span = read_span({"period": "custom", "start": text, "end": text}, TODAY)
    assert span.last == TODAY


def test_a_day_begins_at_the_local_midnight_also_when_clocks_change() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    span = Span("custom", date(2026, 3, 29), date(2026, 3, 29))
    start, end = span.bounds(berlin)
    assert (start, end) == (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
    assert midnight(date(2026, 4, 24), ZoneInfo("Africa/Cairo")) == datetime(2026, 4, 23, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("lag", "text"),
    [
        (timedelta(0), "0 ms"),
        (timedelta(milliseconds=40), "40 ms"),
        (timedelta(milliseconds=-40), "-40 ms"),
        (timedelta(seconds=2.54), "2.5 s"),
        (timedelta(seconds=119), "119.0 s"),
        (timedelta(minutes=5, seconds=59), "5 min"),
        (timedelta(hours=3, minutes=7), "3 h 7 min"),
        (timedelta(hours=50), "2 d 2 h"),
    ],
)
def test_a_lag_reads_in_the_unit_that_suits_it(lag: timedelta, text: str) -> None:
    assert lag_text(lag) == text
