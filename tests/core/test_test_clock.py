"""The test clock: one instant for every process, and only where it is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from core import clock, test_clock
from core.errors import InvalidRequest, NotFound
from core.models import TestClock as StoredClock

THEN = datetime(2031, 7, 15, 9, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture
def enabled(settings: Any) -> Iterator[None]:
    settings.TOLLGATE_TEST_CLOCK = True
    test_clock.install()
    yield
    StoredClock.objects.all().delete()
    clock.use(None)


def test_the_clock_stands_where_it_was_put(enabled: None) -> None:
    test_clock.set_test_clock(THEN)
    assert clock.now() == THEN
    assert clock.now() == THEN
    test_clock.set_test_clock(THEN - timedelta(days=400))
    assert clock.now() == THEN - timedelta(days=400)


def test_another_process_sees_it_at_once(enabled: None) -> None:
    test_clock.set_test_clock(THEN)
    assert clock.now() == THEN
    StoredClock.objects.update(now=THEN + timedelta(hours=1))  # as another process would
    assert clock.now() == THEN + timedelta(hours=1)


def test_the_systems_time_is_the_time_until_and_after(enabled: None) -> None:
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)
    test_clock.set_test_clock(THEN)
    StoredClock.objects.all().delete()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_partitions_stand_ready_around_it(enabled: None) -> None:
    test_clock.set_test_clock(THEN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relname LIKE '%%2031%%'", [])
        names = {name for (name,) in cursor.fetchall()}
    for month in ("06", "07", "08", "09", "10"):
        assert f"metering_usageevent_2031_{month}" in names
        assert f"billing_charge_2031_{month}" in names


def test_a_transaction_that_failed_keeps_the_last_instant(enabled: None) -> None:
    test_clock.set_test_clock(THEN)
    assert clock.now() == THEN
    seen: list[datetime] = []

    def fail() -> None:
        try:
            connection.cursor().execute("SELECT * FROM nowhere")
        finally:
            seen.append(clock.now())

    with pytest.raises(DatabaseError), transaction.atomic():
        fail()
    assert seen == [THEN]


def test_it_is_refused_where_the_setting_is_off() -> None:
    with pytest.raises(NotFound):
        test_clock.set_test_clock(THEN)
    assert not StoredClock.objects.exists()


@pytest.mark.parametrize("year", [1, 1999, 2200, 9999])
def test_an_instant_far_away_is_refused(enabled: None, year: int) -> None:
    with pytest.raises(InvalidRequest):
        test_clock.set_test_clock(THEN.replace(year=year))


def test_without_the_setting_the_time_costs_no_query(django_assert_num_queries: object) -> None:
    test_clock.install()
    with django_assert_num_queries(0):  # type: ignore[operator]
        clock.now()
