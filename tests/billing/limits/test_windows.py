"""Windows and slots, and the worked tables of docs/algorithms/limits.md, row by row, through the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from billing.limits.verbs import prune_counters
from billing.limits.windows import (
    SLOTS,
    day_at,
    month_at,
    reached,
    rolling_at,
    slot_at,
    slot_leaves_at,
    slot_length,
)
from billing.models import LimitCounter
from billing.store_limits import FAR
from core import clock
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[3] / "docs/algorithms/limits.md"
DAY = "2026-03-01T"


def rows(columns: int) -> list[list[str]]:
    """The rows of the table with so many columns."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if len(row) == columns and re.search(r"\d", row[2])]


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    yield
    clock.use(None)


def test_the_tables_are_there() -> None:
    assert (len(rows(6)), len(rows(5))) == (11, 18)


def test_the_worked_hour() -> None:
    story = LimitStory()
    limit = story.limit("10", workspace="north", window="rolling", hours=1)
    for at, way, amount, answer, used, resets_at in rows(6):
        story.instant(DAY + at)
        if way == "ask":
            assert (story.call(int(amount)).status_code == 201) is (answer == "charged"), at
        else:
            story.reported(int(amount), occurred_at=f"{DAY}{way[-5:]}:00Z")
        shown = story.shown(limit)
        assert (shown["used"], shown["resets_at"]) == (used, f"{DAY}{resets_at}:00Z"), at
        if answer == "refused":
            assert story.denial(int(amount))["resets_at"] == f"{DAY}{resets_at}:00Z"
    story.audit()


@pytest.mark.parametrize(("zone", "window", "first", "second", "answer"), rows(5))
def test_the_worked_days_and_periods(zone: str, window: str, first: str, second: str, answer: str) -> None:
    story = LimitStory(zone)
    story.limit("10", workspace="north", window=window)
    story.instant(first)
    story.spend(6)
    story.instant(second)
    if answer == "charged":
        story.spend(6)
    else:
        assert story.denial(6)["resets_at"] == f"{answer.removeprefix('refused until ')}:00Z"
    story.audit()


def test_a_call_counts_in_the_day_in_which_it_occurred() -> None:
    story = LimitStory()
    story.limit("10", workspace="north", window="day")
    story.instant("2026-03-05T10:00")
    story.spend(6, occurred_at="2026-03-04T10:00:00Z")
    story.spend(6)
    assert story.denial(6, occurred_at="2026-03-04T23:00:00Z")["resets_at"] == "2026-03-05T00:00:00Z"
    story.spend(4, occurred_at="2026-03-04T23:00:00Z")


def test_dating_a_call_back_does_not_get_around_a_rolling_limit() -> None:
    story = LimitStory()
    story.limit("10", workspace="north", window="rolling", hours=1)
    story.instant("2026-03-05T10:00")
    story.spend(10, occurred_at="2026-03-04T10:00:00Z")
    assert story.denial(1, occurred_at="2026-03-04T10:00:00Z")["used"] == "10"
    assert story.denial(1)["used"] == "10"


def test_slots_that_no_window_counts_are_forgotten() -> None:
    story = LimitStory()
    limit = story.limit("100", workspace="north", window="rolling", hours=1)
    story.limit("100", workspace="north", window="day")
    story.spend(1)
    story.at(3, 2, 3)
    story.spend(2)
    assert prune_counters(clock.now()) == 1
    assert prune_counters(clock.now()) == 0
    assert story.used(limit) == 2
    assert LimitCounter.objects.count() == 3


def test_an_organizations_period_is_the_calendar_month_of_its_zone() -> None:
    story = LimitStory("Europe/Berlin", anchor="subscription")
    limit = story.limit("10", organization=story.group)
    assert limit["time_zone"] == "Europe/Berlin"
    assert (limit["starts_at"], limit["resets_at"]) == ("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")
    other = story.limit("10", organization=story.group, kind="soft", time_zone="Asia/Tokyo")
    assert other["resets_at"] == "2026-03-31T15:00:00Z"


def test_days_are_23_to_25_hours_long() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    lengths = []
    for month, day in ((3, 28), (3, 29), (10, 25)):
        window = day_at(datetime(2026, month, day, 12, tzinfo=UTC), berlin)
        lengths.append((window.ends_at - window.starts_at) // timedelta(hours=1))
    assert lengths == [24, 23, 25]


def test_a_month_is_the_calendars() -> None:
    window = month_at(datetime(2026, 2, 28, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    assert window == (datetime(2026, 2, 28, 23, tzinfo=UTC), datetime(2026, 3, 31, 22, tzinfo=UTC))


@pytest.mark.parametrize("hours", [1, 5, 24, 720])
def test_a_rolling_window_covers_its_hours_and_at_most_one_slot_more(hours: int) -> None:
    length = slot_length(hours)
    assert length * SLOTS == timedelta(hours=hours)
    for seconds in range(0, 100_000, 7919):
        now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        window = rolling_at(now, hours)
        covered = now - window.starts_at
        assert timedelta(hours=hours) <= covered < timedelta(hours=hours) + length
        assert window.ends_at == FAR
        assert slot_at(window.starts_at, hours) == window.starts_at
        assert slot_leaves_at(window.starts_at, hours) > now
        assert slot_leaves_at(window.starts_at - length, hours) <= now


def test_thresholds_are_reached_at_their_very_amount_and_once() -> None:
    limit, thresholds = Decimal(200), (50, 80, 95, 100)
    assert reached(Decimal("99.99"), limit, thresholds, 0) == []
    assert reached(Decimal(100), limit, thresholds, 0) == [50]
    assert reached(Decimal(190), limit, thresholds, 50) == [80, 95]
    assert reached(Decimal(900), limit, thresholds, 100) == []
    assert reached(Decimal(0), Decimal(0), thresholds, 0) == []
    assert reached(Decimal(1), Decimal(0), thresholds, 0) == [50, 80, 95, 100]
