"""Instants in text. The table of what is read is in docs/algorithms/aggregation.md."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidRequest
from core.instants import instant_text, parse_instant

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.builds(datetime.combine, st.dates(date(2, 1, 1), date(9998, 1, 1)), st.times(), offsets)


@given(instants)
def test_an_instant_survives_being_written_and_read_in_any_zone(instant: datetime) -> None:
    assert parse_instant(instant.isoformat()) == instant
    assert parse_instant(instant_text(instant)) == instant
    assert parse_instant(instant.isoformat()).tzinfo is UTC


def test_microseconds_are_written_only_where_there_are_any() -> None:
    assert instant_text(datetime(2026, 1, 5, 9, 30, tzinfo=UTC)) == "2026-01-05T09:30:00Z"
    assert instant_text(datetime(2026, 1, 5, 9, 30, 0, 5, tzinfo=UTC)) == "2026-01-05T09:30:00.000005Z"


@given(st.text(alphabet="0123456789-:.TtZz+ \n\x00\u0665", max_size=40))
def test_any_text_is_an_instant_or_an_error_of_ours(text: str) -> None:
    with suppress(InvalidRequest):
        assert parse_instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        *(None, 5, 5.5, True, [], {}, b"2026-01-05T00:00:00Z", "", "Z", "2026-01-05T00:00:00Z\n", "now"),
        *("2026-W01-1T00:00:00Z", "20260105T000000Z", "2026-01-05T00Z", "2026-01-05T00:00:00,5Z"),
        *(
            "2026-01-05T00:00:00+24:00",
            "2026-01-05T00:00:00+1:00",
            "2026-13-01T00:00:00Z",
            "+2026-01-05T00:00:00Z",
        ),
        *("9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z", "2026-01-05T00:00:00Europe/Berlin"),
    ],
)
def test_anything_else_is_refused_naming_the_place(value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_instant(value, "events[0].occurred_at")
    assert (caught.value.code, caught.value.param) == ("invalid_instant", "events[0].occurred_at")
