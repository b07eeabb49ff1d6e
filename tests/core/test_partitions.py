"""Hot tables have their months before a row needs them, and their rows are never changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from core import clock, partitions
from core.partitions import MONTHS_AHEAD, PARTITIONED, ensure_month, ensure_partitions
from core.tasks import make_partitions

pytestmark = pytest.mark.django_db
FAR = datetime(2077, 11, 15, 12, tzinfo=UTC)
INSERT = (
    "INSERT INTO billing_transfer (customer_id, billing_entity_id, seq, position, recorded_at, reason,"
    " reference, source, destination, amount) VALUES (1, 1, %s, 0, %s, 'usage', '', 'wallet', 'revenue', 1)"
)


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(partitions, "_ready", set())
    yield
    clock.use(None)


def months(table: str = "billing_charge") -> list[str]:
    """The months of 2077 and later that a table has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table]
        )
        names = [name.removeprefix(f"{table}_") for (name,) in cursor.fetchall()]
    return sorted(name for name in names if name >= "2077")


def partition_of(seq: int, at: datetime) -> str:
    """Where a transfer recorded at that instant goes."""
    with connection.cursor() as cursor:
        cursor.execute(f"{INSERT} RETURNING tableoid::regclass::text", [seq, at])
        row = cursor.fetchone()
    assert row is not None
    name: str = row[0]
    return name


def test_all_hot_tables_get_this_month_and_the_next_ones() -> None:
    assert ensure_partitions(FAR) == (MONTHS_AHEAD + 1) * len(PARTITIONED)
    for table in PARTITIONED:
        assert months(table) == ["2077_11", "2077_12", "2078_01", "2078_02"]


def test_making_them_again_makes_none() -> None:
    ensure_partitions(FAR)
    assert ensure_partitions(FAR) == 0
    assert ensure_partitions(FAR, FAR + timedelta(days=120)) == len(PARTITIONED)


def test_months_begin_and_end_in_utc_to_the_microsecond() -> None:
    ensure_partitions(FAR, datetime(2077, 12, 1, tzinfo=UTC))
    end = datetime(2077, 12, 1, tzinfo=UTC)
    assert partition_of(1, datetime(2077, 11, 1, tzinfo=UTC)) == "billing_transfer_2077_11"
    assert partition_of(2, end - timedelta(microseconds=1)) == "billing_transfer_2077_11"
    assert partition_of(3, end) == "billing_transfer_2077_12"


def test_an_instant_of_another_offset_gets_the_month_that_it_has_in_utc() -> None:
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    new_year = datetime(2078, 1, 1, 5, 44, tzinfo=kathmandu)  # 23:59 on the 31st in UTC
    ensure_partitions(new_year, new_year)
    assert months() == ["2077_12"]


def test_the_31st_skips_no_short_month() -> None:
    ensure_partitions(datetime(2078, 1, 31, 23, tzinfo=UTC))
    assert months() == ["2078_01", "2078_02", "2078_03", "2078_04"]


def test_a_row_of_a_month_without_partition_is_refused_until_it_is_ensured() -> None:
    with pytest.raises(Exception, match="no partition"), transaction.atomic():
        partition_of(1, FAR)
    ensure_month(FAR)
    assert partition_of(1, FAR) == "billing_transfer_2077_11"


@pytest.mark.parametrize("change", ["UPDATE billing_transfer SET amount = 2", "DELETE FROM billing_transfer"])
def test_rows_of_a_new_partition_are_append_only(change: str) -> None:
    ensure_month(FAR)
    partition_of(1, FAR)
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{change} WHERE recorded_at = %s", [FAR])
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change.replace("billing_transfer", "billing_transfer_2077_11"))


@pytest.mark.django_db(transaction=True)
def test_a_month_is_looked_up_once_per_process() -> None:
    now = clock.now()
    ensure_partitions(now, now)
    ensure_month(now)
    statements = _statements_of(now)
    assert statements == 0


@pytest.mark.django_db(transaction=True)
def test_a_month_whose_partitions_were_rolled_back_is_made_again() -> None:
    with transaction.atomic():
        ensure_month(FAR)
        assert months() == ["2077_11"]
        transaction.set_rollback(True)
    assert months() == []
    try:
        ensure_month(FAR)
        assert months() == ["2077_11"]
    finally:
        _drop_far()


def test_the_task_makes_the_months_ahead_of_the_clock() -> None:
    clock.use(lambda: FAR)
    make_partitions()
    assert months("metering_usageevent") == ["2077_11", "2077_12", "2078_01", "2078_02"]


@pytest.mark.django_db(transaction=True)
def test_whoever_comes_second_waits_for_the_first_and_makes_nothing() -> None:
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: params[name] for name in names if name in params}) as other:
        other.execute("SELECT pg_advisory_xact_lock(hashtext('metering_usageevent'))")
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        with pytest.raises(Exception, match="lock timeout"):
            ensure_partitions(FAR, FAR)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
    assert months() == []


def _statements_of(at: datetime) -> int:
    connection.force_debug_cursor = True
    try:
        before = len(connection.queries_log)
        ensure_month(at)
        return len(connection.queries_log) - before
    finally:
        connection.force_debug_cursor = False


def _drop_far() -> None:
    with connection.cursor() as cursor:
        for table in PARTITIONED:
            cursor.execute(f"DROP TABLE IF EXISTS {table}_2077_11")
