"""Sums of events in the database: what counts as a number there is what counts in `number_of`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import reduce
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from core.numbers import CONTEXT
from core.partitions import ensure_month
from core.sql import driver
from metering.aggregation.values import number_of
from metering.store_reading import EventSum, Sought, sum_events
from tests.metering.stored import store_events

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = tuple(START + timedelta(days=day) for day in range(4))
CUSTOMER, PAYER = 7, 8
NUMBERS = st.one_of(
    st.integers(-(10**24), 10**24),
    st.decimals(-(10**6), 10**6, places=3),
    st.integers(-(10**35), 10**35).map(lambda units: Decimal(units).scaleb(-14)),
    st.sampled_from([Decimal("1.500000000000000"), Decimal("99999999999999999999.9"), Decimal("1e20"), 0]),
)
TEXTS = st.one_of(
    NUMBERS.map(str),
    st.sampled_from(["", " 5 ", "+3", "1e3", ".5", "5.", "-0", "٣", "1,5", "0x1", "NaN", "1\n", "null"]),
)
VALUES = st.one_of(
    NUMBERS, TEXTS, st.none(), st.booleans(), st.just([1]), st.just({"a": 1}), st.just("missing")
)


@pytest.fixture(autouse=True)
def month() -> None:
    ensure_month(START - timedelta(days=1))
    ensure_month(START)


def store(*events: tuple[datetime, dict[str, Any]], name: str = "call", payer: int = PAYER) -> list[UUID]:
    return store_events(CUSTOMER, payer, name, *events)


def sought(path: str = "size", bounds: tuple[datetime, ...] = DAYS, name: str = "call") -> Sought:
    return Sought(CUSTOMER, PAYER, name, path, bounds)


def found(*asked: Sought, left_out: list[UUID] | None = None) -> list[EventSum]:
    ids = map(str, left_out or [])
    rows = sum_events(driver(), asked, recorded_from=START - timedelta(days=1), left_out=ids)
    return sorted(rows, key=lambda row: (asked.index(row.sought), row.place))


@given(st.lists(VALUES, max_size=10))
@settings(max_examples=60, deadline=None)
def test_what_is_a_number_is_the_same_in_the_database(values: list[Any]) -> None:
    with transaction.atomic():
        store(*((START, {} if value == "missing" else {"size": value}) for value in values))
        stored = [json.loads(text, parse_float=Decimal).get("size") for text in _texts()]
        numbers = [number for value in stored if (number := number_of(value)) is not None]
        rows = found(sought())
        if numbers:
            count = sum(1 if each >= 0 else -1 for each in numbers)
            assert rows == [EventSum(sought(), 0, reduce(CONTEXT.add, numbers), count)]
        else:
            assert rows == []
        transaction.set_rollback(True)


def _texts() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT properties::text FROM metering_usageevent ORDER BY seq")
        return [row[0] for row in cursor.fetchall()]


def test_each_event_falls_between_two_bounds_and_none_beyond_them() -> None:
    last = timedelta(microseconds=1)
    instants = [DAYS[0] - last, DAYS[0], DAYS[1] - last, DAYS[1], DAYS[3] - last, DAYS[3]]
    store(*((at, {"size": 2**number}) for number, at in enumerate(instants)))
    rows = found(sought())
    assert [(row.place, row.total, row.number) for row in rows] == [(0, 6, 2), (1, 8, 1), (2, 16, 1)]


def test_a_negative_quantity_takes_an_event_back() -> None:
    store(*((START, {"size": size}) for size in ("5", -2, "-3.5", 7)))
    assert [(row.total, row.number) for row in found(sought())] == [(Decimal("6.5"), 0)]


def test_what_is_left_out_counts_for_nothing() -> None:
    first, _, third = store(*((START, {"size": size}) for size in (1, 2, 4)))
    assert [row.total for row in found(sought(), left_out=[first, third])] == [2]


def test_without_a_property_every_event_counts_one() -> None:
    store((START, {}), (START, {"size": -5}), (DAYS[1], {"size": "x"}))
    rows = found(sought(path=""))
    assert [(row.place, row.total, row.number) for row in rows] == [(0, 2, 2), (1, 1, 1)]


def test_names_properties_and_payers_are_kept_apart() -> None:
    store((START, {"size": 1, "amount": 10}))
    store((START, {"size": 2, "amount": 20}), name="other")
    store((START, {"size": 4}), payer=PAYER + 1)
    asked = [sought(), sought("amount"), sought(name="other"), sought(bounds=DAYS[1:])]
    assert [(asked.index(row.sought), row.total) for row in found(*asked)] == [(0, 1), (1, 10), (2, 2)]


def test_nothing_is_asked_for_nothing() -> None:
    assert list(sum_events(driver(), [], recorded_from=START, left_out=[])) == []
