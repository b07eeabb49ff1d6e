"""Statements straight on libpq: one round trip, errors as the driver's own, sound connections after."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction

from core.pipeline import Pipeline, _named
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
        with transaction.atomic():
            execute(raw, "INSERT INTO noted SELECT %s::int + 4716", (1,))
            transaction.set_rollback(True)
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


def test_threads_that_meet_over_a_new_statement_agree_on_its_name() -> None:
    for number in range(200):
        query, start = f"SELECT {number} + 4719", Barrier(4)

        def name(query: str = query, start: Barrier = start) -> bytes:
            start.wait()
            return _named(query)[0]

        with ThreadPoolExecutor(4) as pool:
            names = {one.result() for one in [pool.submit(name) for _ in range(4)]}
        assert names == {_named(query)[0]}


def test_an_empty_pipeline_asks_nothing(raw: psycopg.Connection[Any]) -> None:
    with transaction.atomic():
        with Pipeline(raw):
            pass
        assert status(raw) == "IDLE"


def test_statements_that_the_server_forgot_close_the_connection_and_the_next_one_works(
    raw: psycopg.Connection[Any],
) -> None:
    assert execute(raw, "SELECT 4717 + %s::int", (1,)).fetchall() == [(4718,)]
    raw.execute("DEALLOCATE ALL")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName):
        execute(raw, "SELECT 4717 + %s::int", (1,))
    assert raw.closed
    connection.close()
    assert execute(driver(), "SELECT 4717 + %s::int", (1,)).fetchall() == [(4718,)]


def test_a_plan_whose_columns_changed_is_not_met_again(raw: psycopg.Connection[Any]) -> None:
    execute(raw, "INSERT INTO noted VALUES (7)")
    assert execute(raw, "SELECT n FROM noted").fetchall() == [(7,)]
    raw.execute("ALTER TABLE noted ALTER n TYPE bigint")
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        execute(raw, "SELECT n FROM noted")
    assert raw.closed


@pytest.mark.parametrize("before", ["IDLE", "INTRANS"])
def test_an_error_leaves_the_connection_where_the_driver_would(
    raw: psycopg.Connection[Any], before: str
) -> None:
    if before == "INTRANS":
        raw.execute("BEGIN")
    with pytest.raises(psycopg.errors.DivisionByZero):
        execute(raw, "SELECT 1 / %s::int", (0,))
    expected = {"IDLE": "IDLE", "INTRANS": "INERROR"}[before]
    assert status(raw) == expected
    assert raw.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF
    raw.execute("ROLLBACK")
    assert execute(raw, "SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("query", "params", "error"),
    [
        ("SELECT %s::int", ("many",), psycopg.errors.InvalidTextRepresentation),
        ("SELECT %s::int", (2**40,), psycopg.errors.NumericValueOutOfRange),
        ("SELECT %s::timestamptz", ("2026-02-30",), psycopg.errors.DatetimeFieldOverflow),
        ("SELECT %s::jsonb", ("{",), psycopg.errors.InvalidTextRepresentation),
        ("SELECT %s::uuid", ("x",), psycopg.errors.InvalidTextRepresentation),
        ("SELECT nothing", (), psycopg.errors.UndefinedColumn),
        ("SELEC", (), psycopg.errors.SyntaxError),
        ("SELECT %s::int[]", ("{1,2",), psycopg.errors.InvalidTextRepresentation),
        ("SELECT %s::int + %s::int", (1,), psycopg.errors.ProtocolViolation),
    ],
)
def test_the_first_error_is_told_whatever_stands_around_it(
    raw: psycopg.Connection[Any], query: str, params: tuple[Any, ...], error: type[Exception]
) -> None:
    for _ in range(2):
        with pytest.raises(error), Pipeline(raw) as pipeline:  # noqa: PT012
            execute(pipeline, "INSERT INTO noted VALUES (1)")
            execute(pipeline, query, params)
            execute(pipeline, "SELECT 1 / %s::int", (0,))
            pipeline.commit()
        assert noted(raw) == []


def test_a_deferred_constraint_fails_at_the_commit_in_the_pipeline_and_nothing_stays(
    raw: psycopg.Connection[Any],
) -> None:
    raw.execute("CREATE TEMP TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    hooks: list[str] = []
    with pytest.raises(psycopg.errors.UniqueViolation), transaction.atomic():  # noqa: PT012
        transaction.on_commit(lambda: hooks.append("ran"))
        with Pipeline(raw) as pipeline:
            execute(pipeline, "INSERT INTO once VALUES (1), (1)")
            pipeline.commit()
    assert (execute(raw, "SELECT n FROM once").fetchall(), hooks) == ([], [])
    assert status(raw) == "IDLE"


def test_two_pipelines_in_one_transaction_stand_and_fall_together(raw: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation), transaction.atomic():  # noqa: PT012
        with Pipeline(raw) as first:
            execute(first, "INSERT INTO noted VALUES (1)")
        with Pipeline(raw) as second:
            execute(second, "INSERT INTO noted VALUES (2)")
            execute(second, "INSERT INTO noted VALUES (1)")
    assert noted(raw) == []


def test_a_savepoint_undoes_what_a_pipeline_in_it_did_and_no_more(raw: psycopg.Connection[Any]) -> None:
    with transaction.atomic():
        execute(raw, "INSERT INTO noted VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation), transaction.atomic():
            execute(raw, "INSERT INTO noted VALUES (2), (1)")
        execute(raw, "INSERT INTO noted VALUES (3)")
    assert noted(raw) == [1, 3]


def test_a_backend_that_ends_in_the_middle_of_a_pipeline_leaves_nothing(
    raw: psycopg.Connection[Any],
) -> None:
    connection.cursor().execute("CREATE TABLE kept (n int)")
    try:
        with (  # noqa: PT012
            pytest.raises(psycopg.OperationalError),
            transaction.atomic(),
            Pipeline(driver()) as pipeline,
        ):
            execute(pipeline, "INSERT INTO kept VALUES (1)")
            execute(pipeline, "SELECT pg_terminate_backend(pg_backend_pid())")
            execute(pipeline, "INSERT INTO kept VALUES (2)")
            pipeline.commit()
        assert execute(driver(), "SELECT n FROM kept").fetchall() == []
    finally:
        connection.cursor().execute("DROP TABLE kept")


@pytest.mark.parametrize("size", [0, 1, 2, 300])
def test_answers_belong_to_their_statements_in_order(raw: psycopg.Connection[Any], size: int) -> None:
    with Pipeline(raw) as pipeline:
        answers = [
            execute(pipeline, "SELECT g FROM generate_series(1, %s::int) g", (number % 4,))
            for number in range(size)
        ]
        other = execute(pipeline, "SELECT %s::text", ("end",))
    assert [answer.rowcount for answer in answers] == [number % 4 for number in range(size)]
    assert [len(list(answer)) for answer in answers] == [number % 4 for number in range(size)]
    assert other.fetchone() == ("end",)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Asia/Kolkata", "America/Bogota", "Europe/Berlin"])
def test_instants_are_the_same_moments_in_whatever_zone_the_session_is(
    raw: psycopg.Connection[Any], zone: str
) -> None:
    execute(raw, "SELECT set_config('TimeZone', %s::text, false)", (zone,))
    moments = [
        datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        datetime(1, 1, 2, tzinfo=UTC),
        datetime(9999, 12, 30, 23, 59, 59, 999999, tzinfo=UTC),
    ]
    found = [execute(raw, "SELECT %s::timestamptz", (moment,)).fetchall()[0][0] for moment in moments]
    assert [moment.astimezone(UTC) for moment in found] == moments
