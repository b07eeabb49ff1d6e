"""Many rows at once: whatever text goes in comes out, and both ways of writing write the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from core.pipeline import Pipeline
from core.sql import (
    COPY_ROWS_MIN,
    NULL,
    TAB,
    HotTable,
    Row,
    copy_many,
    driver,
    execute,
    insert_few,
    number_array,
    open_transaction,
    text_array,
)

pytestmark = pytest.mark.django_db
TEXTS = [
    "",
    " ",
    "plain",
    "NULL",
    "null",
    "\\",
    "\\\\",
    "\\N",
    "\\.",
    "\\t",
    "\\x41",
    "ends with \\",
    '"',
    '""',
    'said "so"',
    '\\"',
    "it's",
    ",",
    "a,b",
    "{",
    "}",
    "{}",
    '{"a","b"}',
    "%s %%",
    "$1",
    "a;b -- c",
    "é ü ß",
    "नेपाल",
    "👩‍👩‍👧",
    "\u2028\u2029\ufeff\u200b",
    "x" * 5000,
]
JSONS = [
    "{}",
    "[]",
    "null",
    '"\\u00e9"',
    '{"a": "line\\nbreak", "b": "tab\\there"}',
    '{"path": "C:\\\\temp", "quote": "\\"", "list": [1.50, null, true]}',
    '{"n": 12345678901234567890.123456789012345678}',
]
TABLE = HotTable("pg_temp.rows", {"n": "bigint", "words": "text"})
MIXED = HotTable(
    "pg_temp.mixed",
    {
        "n": "bigint",
        "amount": "numeric",
        "at": "timestamptz",
        "yes": "boolean",
        "id": "uuid",
        "hash": "bytea",
        "words": "text",
        "doc": "jsonb",
    },
)
AT = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)


@pytest.fixture
def raw() -> psycopg.Connection[Any]:
    raw = driver()
    psycopg.Cursor(raw).execute("CREATE TEMP TABLE rows (n bigint, words text) ON COMMIT DROP")
    psycopg.Cursor(raw).execute(
        "CREATE TEMP TABLE mixed (n bigint, amount numeric, at timestamptz, yes boolean, id uuid,"
        " hash bytea, words text, doc jsonb) ON COMMIT DROP"
    )
    return raw


def numbered(texts: Sequence[str]) -> list[Row]:
    return [f"{number}\t{text}" for number, text in enumerate(texts)]


def words(raw: psycopg.Connection[Any]) -> list[str | None]:
    return [text for (text,) in execute(raw, "SELECT words FROM pg_temp.rows ORDER BY n").fetchall()]


def mixed(raw: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    query = "SELECT n, amount, at, yes, id::text, hash, words, doc::text FROM pg_temp.mixed ORDER BY n"
    return execute(raw, query).fetchall()


def mixed_rows(count: int) -> list[Row]:
    """Rows in which every column is null in some row, and every awkward text appears."""
    rows = []
    for number in range(count):
        row = [
            str(number),
            str(Decimal(number) / 8 - 3),
            AT.isoformat(),
            "t" if number % 2 else "f",
            f"{number:032x}",
            f"\\x{number:04x}",
            TEXTS[number % len(TEXTS)],
            JSONS[number % len(JSONS)],
        ]
        if number % 3 == 1:
            row[1 + number % 7] = NULL
        rows.append(TAB.join(row))
    return rows


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_comes_back_from_a_copy_and_from_an_insert(raw: psycopg.Connection[Any], text: str) -> None:
    TABLE.copy(raw, ["1\t" + text])
    TABLE.insert(raw, ["2\t" + text])
    assert words(raw) == [text, text]


def test_all_awkward_texts_stand_beside_each_other(raw: psycopg.Connection[Any]) -> None:
    TABLE.copy(raw, numbered(TEXTS))
    assert words(raw) == TEXTS
    execute(raw, "TRUNCATE pg_temp.rows")
    TABLE.insert(raw, numbered(TEXTS))
    assert words(raw) == TEXTS


def test_the_marker_is_null_and_the_word_is_not(raw: psycopg.Connection[Any]) -> None:
    rows = ["1\t" + NULL, "2\tNULL", "3\t", "4\t" + NULL]
    TABLE.copy(raw, rows)
    assert words(raw) == [None, "NULL", "", None]
    execute(raw, "TRUNCATE pg_temp.rows")
    TABLE.insert(raw, rows)
    assert words(raw) == [None, "NULL", "", None]


def test_a_copy_and_an_insert_write_the_same_of_every_type(raw: psycopg.Connection[Any]) -> None:
    rows = mixed_rows(150)
    MIXED.copy(raw, rows)
    copied = mixed(raw)
    execute(raw, "TRUNCATE pg_temp.mixed")
    MIXED.insert(raw, rows)
    assert mixed(raw) == copied
    assert len(copied) == 150
    nulls = [sum(row[column] is None for row in copied) for column in range(8)]
    assert nulls[0] == 0
    assert all(nulls[1:])


def test_numbers_instants_bytes_and_documents_arrive_exactly(raw: psycopg.Connection[Any]) -> None:
    amount = "12345678901234567890.123456789012345678"
    row = ("7", amount, AT.isoformat(), "t", "0" * 31 + "a", "\\x00ff5c", "w", JSONS[6])
    MIXED.insert(raw, [TAB.join(row)])
    MIXED.copy(raw, [TAB.join(("8", *row[1:]))])
    inserted, copied = mixed(raw)
    assert inserted[1:] == copied[1:]
    assert inserted[1:4] == (Decimal(amount), AT, True)
    assert inserted[5] == b"\x00\xff\\"
    assert inserted[7] == '{"n": 12345678901234567890.123456789012345678}'


def test_only_many_rows_go_by_copy_and_all_arrive(raw: psycopg.Connection[Any]) -> None:
    many, few = numbered(["m"] * COPY_ROWS_MIN), ["500\tf"] * (COPY_ROWS_MIN - 1)
    rest = copy_many(raw, [(TABLE, many), (TABLE, few), (TABLE, [])])
    assert rest == [(TABLE, few)]
    assert words(raw) == ["m"] * COPY_ROWS_MIN
    with Pipeline(raw) as pipeline:
        insert_few(pipeline, rest)
    assert words(raw) == ["m"] * COPY_ROWS_MIN + ["f"] * (COPY_ROWS_MIN - 1)


def test_rows_of_unequal_length_are_refused(raw: psycopg.Connection[Any]) -> None:
    with pytest.raises(ValueError, match="has 2 values"):
        TABLE.insert(raw, ["1\ta", "2"])
    assert words(raw) == []


def test_texts_of_an_array_come_back(raw: psycopg.Connection[Any]) -> None:
    ((found,),) = execute(raw, "SELECT %s::text[]", (text_array(TEXTS),)).fetchall()
    assert found == TEXTS
    ((none,),) = execute(raw, "SELECT %s::text[]", (text_array([]),)).fetchall()
    assert none == []
    ((one_empty,),) = execute(raw, "SELECT %s::text[]", (text_array([""]),)).fetchall()
    assert one_empty == [""]


def test_numbers_of_an_array_come_back_exactly(raw: psycopg.Connection[Any]) -> None:
    numbers = [Decimal("1E-18"), Decimal("1E+3"), Decimal("-0.10"), Decimal("9" * 20 + "." + "9" * 18)]
    ((found,),) = execute(raw, "SELECT %s::numeric[]", (number_array(numbers),)).fetchall()
    assert found == numbers
    ((ids,),) = execute(raw, "SELECT %s::bigint[]", (number_array([2**63 - 1, 0, -(2**63)]),)).fetchall()
    assert ids == [2**63 - 1, 0, -(2**63)]
    ((none,),) = execute(raw, "SELECT %s::bigint[]", (number_array([]),)).fetchall()
    assert none == []


def test_a_statement_is_prepared_once_and_what_django_sends_never(raw: psycopg.Connection[Any]) -> None:
    query = "SELECT %s::int + 4711"
    for number in range(3):
        assert execute(raw, query, (str(number),)).fetchall() == [(number + 4711,)]
    for _ in range(8):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 4712")
    prepared = [text for (text,) in execute(raw, "SELECT statement FROM pg_prepared_statements").fetchall()]
    assert [text for text in prepared if "4711" in text] == ["SELECT $1::int + 4711"]
    assert not [text for text in prepared if "4712" in text]


def test_the_rows_of_a_pipeline_are_read_at_its_end(raw: psycopg.Connection[Any]) -> None:
    with Pipeline(raw) as pipeline:
        TABLE.insert(pipeline, ["1\ta"])
        first = execute(pipeline, "SELECT words FROM pg_temp.rows")
        TABLE.insert(pipeline, ["2\tb"])
        second = execute(pipeline, "SELECT count(*) FROM pg_temp.rows")
    assert (first.fetchall(), second.fetchall()) == ([("a",)], [(2,)])


def test_a_transaction_is_another_one_once_something_of_it_was_rolled_back() -> None:
    whole = open_transaction()
    assert whole is not None
    with transaction.atomic():
        assert open_transaction() is whole
    assert open_transaction() is whole, "what a savepoint did stays"
    with pytest.raises(InterruptedError), transaction.atomic():
        raise InterruptedError
    assert open_transaction() is not whole


@pytest.mark.django_db(transaction=True)
def test_outside_of_a_transaction_there_is_none_and_each_is_a_new_one() -> None:
    assert open_transaction() is None
    seen = []
    for _ in range(2):
        with transaction.atomic():
            seen.append(open_transaction())
    assert None not in seen
    assert seen[0] is not seen[1]
