"""Statements straight on libpq: one round trip, errors as the driver's own, sound connections after."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction

from core.pipeline import Pipeline
from core.sql import commits_here, driver, execute

pytestmark = pytest.mark.django_db(transaction=True)
PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s"


@pytest.fixture
def raw() -> Iterator[psycopg.Connection[Any]]:
    raw = driver()
    raw.execute("CREATE TEMP TABLE noted (n int PRIMARY KEY)")
    yield raw
    connection.close()


def noted(raw: psycopg.Connection[Any]) -> list[int]:
    return [n for (n,) in execute(raw, "SELECT n FROM noted ORDER BY n")]


def status(raw: psycopg.Connection[Any]) -> str:
    return raw.info.transaction_status.name


def test_values_go_as_text_and_come_back_as_what_they_are(raw: psycopg.Connection[Any]) -> None:
    at = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
    uuid = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
    query = "SELECT %s::bigint, %s::numeric, %s::text, %s::timestamptz, %s::uuid, %s::bytea, %s::boolean"
    given = (2**62, Decimal("1.10"), "é\\\n%s", at, uuid, "\\x00ff", None)
    (found,) = execute(raw, query, given).fetchall()
    assert found == (2**62, Decimal("1.10"), "é\\\n%s", at, uuid, b"\x00\xff", None)
    assert str(found[1]) == "1.10"


def test_json_stays_text_so_that_its_numbers_stay_exact(raw: psycopg.Connection[Any]) -> None:
    ((found,),) = execute(raw, "SELECT %s::jsonb", ('{"n": 12345678901234567890.1234567890}',)).fetchall()
    assert found == '{"n": 12345678901234567890.1234567890}'


def test_a_statement_says_how_many_rows_it_touched(raw: psycopg.Connection[Any]) -> None:
    with Pipeline(raw) as pipeline:
        added = execute(pipeline, "INSERT INTO noted SELECT * FROM unnest(%s::int[])", ("{1,2,3}",))
        none = execute(pipeline, "DELETE FROM noted WHERE n > 7")
        kept = execute(pipeline, "SELECT n FROM noted")
    assert (added.rowcount, none.rowcount, kept.rowcount) == (3, 0, 3)
    assert added.fetchall() == []
    assert added.fetchone() is None
    assert kept.fetchone() == (1,)


def test_nothing_is_sent_when_the_block_raises(raw: psycopg.Connection[Any]) -> None:
    with pytest.raises(ZeroDivisionError), Pipeline(raw) as pipeline:  # noqa: PT012
        execute(pipeline, "INSERT INTO noted VALUES (1)")
        _ = 1 // 0
    assert noted(raw) == []


def test_an_error_in_the_middle_is_the_drivers_own_and_undoes_all(raw: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation), Pipeline(raw) as pipeline:  # noqa: PT012
        execute(pipeline, "INSERT INTO noted VALUES (1)")
        execute(pipeline, "INSERT INTO noted SELECT %s::int", (1,))
        execute(pipeline, "INSERT INTO noted VALUES (2)")
    assert noted(raw) == []
    execute(raw, "INSERT INTO noted SELECT %s::int", (1,))
    assert noted(raw) == [1]


def test_what_was_prepared_beside_an_error_is_used_again(raw: psycopg.Connection[Any]) -> None:
    def send(divisor: int) -> None:
        with Pipeline(raw) as pipeline:
            execute(pipeline, "SELECT 4713 + %s::int", (1,))
            execute(pipeline, "SELECT 4714 / %s::int", (divisor,))
            execute(pipeline, "SELECT 4715 + %s::int", (1,))

    for divisor in (0, 0, 1, 1):
        if divisor:
            send(divisor)
        else:
            with pytest.raises(psycopg.errors.DivisionByZero):
                send(divisor)
    assert execute(raw, PREPARED, ("SELECT 471%",)).fetchall() == [(3,)]


def test_a_rollback_keeps_what_is_prepared(raw: psycopg.Connection[Any]) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012
            execute(raw, "INSERT INTO noted SELECT %s::int + 4716", (1,))
            raise RuntimeError
    assert noted(raw) == []
    assert execute(raw, PREPARED, ("%4716",)).fetchall() == [(1,)]


def test_the_transaction_that_django_asks_for_begins_with_the_first_statement(
    raw: psycopg.Connection[Any],
) -> None:
    with transaction.atomic():
        execute(raw, "INSERT INTO noted VALUES (1)")
        assert status(raw) == "INTRANS"
    assert status(raw) == "IDLE"
    assert noted(raw) == [1]


def test_the_commit_may_go_with_the_last_statement(raw: psycopg.Connection[Any]) -> None:
    done: list[str] = []
    with transaction.atomic():
        assert commits_here()
        transaction.on_commit(lambda: done.append("hook"))
        with Pipeline(raw) as pipeline:
            execute(pipeline, "INSERT INTO noted VALUES (1)")
            pipeline.commit()
        assert status(raw) == "IDLE"
    assert (noted(raw), done) == ([1], ["hook"])


def test_a_block_inside_anothers_does_not_commit() -> None:
    assert not commits_here()
    with transaction.atomic(), transaction.atomic():
        assert not commits_here()


def test_much_may_go_out_and_come_back_at_once(raw: psycopg.Connection[Any]) -> None:
    """More than the buffers between the two hold, in both directions: neither side waits for the other."""
    long = "x" * 3_000_000
    with Pipeline(raw) as pipeline:
        answers = [execute(pipeline, "SELECT %s::text || %s::text", (long, number)) for number in range(12)]
    assert [answer.fetchall() for answer in answers] == [[(f"{long}{number}",)] for number in range(12)]


def test_a_lost_connection_is_an_operational_error_and_the_next_one_works(
    raw: psycopg.Connection[Any],
) -> None:
    with psycopg.connect(raw.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (raw.info.backend_pid,))
    with pytest.raises(psycopg.OperationalError):
        execute(raw, "SELECT 1")
    connection.close()
    assert execute(driver(), "SELECT 1").fetchall() == [(1,)]


def test_an_empty_pipeline_asks_nothing(raw: psycopg.Connection[Any]) -> None:
    with transaction.atomic():
        with Pipeline(raw):
            pass
        assert status(raw) == "IDLE"
