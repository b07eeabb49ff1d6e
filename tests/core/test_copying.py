"""COPY on libpq: what it writes, what it raises, and that the connection is fit for use after either."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from core.copying import copy_in
from core.sql import driver, execute

COPY = b"COPY pg_temp.numbers (n, word) FROM STDIN"


@pytest.fixture
def raw() -> psycopg.Connection[Any]:
    raw = driver()
    execute(raw, "CREATE TEMP TABLE numbers (n bigint PRIMARY KEY, word text) ON COMMIT DROP")
    return raw


def count(raw: psycopg.Connection[Any]) -> int:
    ((found,),) = execute(raw, "SELECT count(*) FROM pg_temp.numbers").fetchall()
    return int(found)


@pytest.mark.django_db
@pytest.mark.parametrize(("rows", "width"), [(1, 1), (1000, 50), (20_000, 500)])
def test_all_rows_arrive_however_much_it_is(raw: psycopg.Connection[Any], rows: int, width: int) -> None:
    copy_in(raw, COPY, b"".join(b"%d\t%s\n" % (number, b"x" * width) for number in range(rows)))
    assert count(raw) == rows
    ((widest,),) = execute(raw, "SELECT max(length(word)) FROM pg_temp.numbers").fetchall()
    assert widest == width


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "data", "error"),
    [
        (COPY, b"1\ta\n1\tb\n", psycopg.errors.UniqueViolation),
        (COPY, b"one\ta\n", psycopg.errors.InvalidTextRepresentation),
        (COPY, b"1\n", psycopg.errors.BadCopyFileFormat),
        (b"COPY pg_temp.nothing FROM STDIN", b"1\n", psycopg.errors.UndefinedTable),
        (b"SELECT 1", b"", psycopg.Error),
    ],
)
def test_what_is_refused_is_the_drivers_error_and_the_next_statement_works(
    raw: psycopg.Connection[Any], statement: bytes, data: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error), transaction.atomic():
        copy_in(raw, statement, data)
    assert count(raw) == 0
    copy_in(raw, COPY, b"7\tseven\n")
    assert count(raw) == 1


@pytest.mark.django_db(transaction=True)
def test_a_copy_begins_the_transaction_that_was_asked_for() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (n bigint)")
    try:
        with transaction.atomic():
            copy_in(driver(), b"COPY copied FROM STDIN", b"1\n2\n")
            transaction.set_rollback(True)
        assert execute(driver(), "SELECT count(*) FROM copied").fetchall() == [(0,)]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE copied")


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_is_lost_raises_and_is_not_used_again() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE copied (n bigint)")
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    raw = driver()
    with psycopg.connect(raw.info.dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    with pytest.raises(psycopg.OperationalError):
        copy_in(raw, b"COPY copied FROM STDIN", b"1\n")
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM copied")
        assert cursor.fetchone() == (0,)
        cursor.execute("DROP TABLE copied")
