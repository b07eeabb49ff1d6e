from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import Currency
from core.models import ConfigVersion
from metering.costing import CostBook, compile_rates, cost_book, load_cost_book
from metering.event_values import CostPart
from metering.events import EventInput, parse_event
from metering.exchange import ExchangeTable
from metering.models import CostRate, ExchangeRate

JAN = datetime(2026, 1, 1, tzinfo=UTC)
FEB = datetime(2026, 2, 1, tzinfo=UTC)
EUR_IN_USD = ExchangeTable([("EUR", "USD", JAN, Decimal("1.1"))])


def an_event(at: datetime = JAN, **fields: Any) -> EventInput:
    return parse_event({"idempotency_key": "k", "event": "call", "workspace": "w"} | fields, at)


def a_rate(unit_cost: str, *, path: str | None = "tokens", **fields: Any) -> CostRate:
    values = {"vendor": "openai", "event": "call", "currency": "USD", "starts_at": JAN, "created_at": JAN}
    return CostRate(unit_cost=Decimal(unit_cost), property_path=path, **(values | fields))


def a_book(*rates: CostRate, price_table: Any = None) -> CostBook:
    return CostBook(compile_rates(rates), EUR_IN_USD, price_table)


def given(*costs: tuple[str, str, str]) -> list[dict[str, str]]:
    return [{"vendor": vendor, "amount": amount, "currency": currency} for vendor, amount, currency in costs]


# --- given costs


def test_given_costs_are_added_up() -> None:
    event = an_event(costs=given(("openai", "0.10", "USD"), ("aws", "0.002", "USD")))
    parts, total = a_book().cost_of(event, "USD")
    assert total == Decimal("0.102")
    assert parts == [
        {"vendor": "openai", "amount": "0.1", "currency": "USD", "source": "given"},
        {"vendor": "aws", "amount": "0.002", "currency": "USD", "source": "given"},
    ]


def test_an_empty_list_is_a_known_nothing() -> None:
    assert a_book(a_rate("1", path=None)).cost_of(an_event(costs=[]), "USD") == ([], Decimal(0))


def test_nothing_known_is_unknown_and_not_zero() -> None:
    assert a_book().cost_of(an_event(), "USD") == (None, None)


def test_a_given_zero_is_known() -> None:
    parts, total = a_book().cost_of(an_event(costs=given(("own", "0", "USD"))), "USD")
    assert total == 0
    assert parts is not None


def test_costs_in_another_currency_are_converted_at_the_instant_of_the_call() -> None:
    event = an_event(costs=given(("a", "2", "EUR"), ("b", "1", "USD")))
    assert a_book().cost_of(event, "USD")[1] == Decimal("3.2")


def test_what_cannot_be_converted_keeps_its_parts_and_has_no_total() -> None:
    for event in (
        an_event(costs=given(("a", "2", "USD"), ("b", "1", "GBP"))),
        an_event(JAN - timedelta(days=1), costs=given(("a", "2", "USD"), ("b", "1", "EUR"))),
    ):
        parts, total = a_book().cost_of(event, "USD")
        assert total is None
        assert parts is not None
        assert len(parts) == 2


# --- cost rates


def test_a_rate_multiplies_a_property() -> None:
    parts, total = a_book(a_rate("0.0000025")).cost_of(an_event(properties={"tokens": 1500}), "USD")
    assert total == Decimal("0.00375")
    assert parts == [{"vendor": "openai", "amount": "0.00375", "currency": "USD", "source": "rate"}]


def test_a_rate_without_a_property_counts_the_event() -> None:
    assert a_book(a_rate("0.03", path=None)).cost_of(an_event(), "USD")[1] == Decimal("0.03")


def test_given_costs_go_before_rates() -> None:
    event = an_event(properties={"tokens": 5}, costs=given(("x", "9", "USD")))
    assert a_book(a_rate("1")).cost_of(event, "USD")[1] == Decimal(9)


def test_rates_of_several_properties_and_vendors_add_up() -> None:
    book = a_book(
        a_rate("2", path="usage.input"),
        a_rate("3", path="usage.output"),
        a_rate("5", path=None, vendor="aws"),
    )
    parts, total = book.cost_of(an_event(properties={"usage": {"input": 10, "output": "1.5"}}), "USD")
    assert total == Decimal("29.5")
    assert parts is not None
    assert sorted(part["vendor"] for part in parts) == ["aws", "openai", "openai"]


@pytest.mark.parametrize("value", ["many", None, True, [1], {"a": 1}])
def test_a_property_that_is_no_number_leaves_the_cost_unknown(value: object) -> None:
    assert a_book(a_rate("1")).cost_of(an_event(properties={"tokens": value}), "USD") == (None, None)


def test_a_rate_hears_its_event_and_its_filter_only() -> None:
    book = a_book(a_rate("1", filter=[{"property": "model", "op": "eq", "value": "m"}]))
    assert book.cost_of(an_event(properties={"tokens": 2, "model": "m"}), "USD")[1] == Decimal(2)
    assert book.cost_of(an_event(properties={"tokens": 2, "model": "n"}), "USD")[1] is None
    assert book.cost_of(an_event(event="other", properties={"tokens": 2, "model": "m"}), "USD")[1] is None


@pytest.mark.parametrize(
    ("at", "total"),
    [
        (JAN - timedelta(microseconds=1), None),
        (JAN, "1"),
        (FEB - timedelta(microseconds=1), "1"),
        (FEB, "2"),
        (FEB + timedelta(days=10), None),
    ],
)
def test_a_rate_counts_from_its_start_to_its_end(at: datetime, total: str | None) -> None:
    book = a_book(a_rate("1", ends_at=FEB), a_rate("2", starts_at=FEB, ends_at=FEB + timedelta(days=10)))
    expected = None if total is None else Decimal(total)
    assert book.cost_of(an_event(at, properties={"tokens": 1}), "USD")[1] == expected


def test_of_overlapping_rates_for_the_same_thing_the_later_counts_alone() -> None:
    book = a_book(a_rate("1"), a_rate("3", starts_at=FEB))
    assert book.cost_of(an_event(FEB, properties={"tokens": 1}), "USD")[1] == Decimal(3)
    assert book.cost_of(an_event(JAN, properties={"tokens": 1}), "USD")[1] == Decimal(1)


def test_a_rate_that_ended_gives_way_to_an_older_one_that_did_not() -> None:
    book = a_book(a_rate("1"), a_rate("3", starts_at=FEB, ends_at=FEB + timedelta(days=1)))
    assert book.cost_of(an_event(FEB + timedelta(days=2), properties={"tokens": 1}), "USD")[1] == Decimal(1)


def test_a_reversal_takes_its_cost_back() -> None:
    assert a_book(a_rate("0.5")).cost_of(an_event(properties={"tokens": -4}), "USD")[1] == Decimal(-2)


def test_the_smallest_rate_of_the_largest_quantity_is_exact() -> None:
    book = a_book(a_rate("0.000000000000000001"))
    event = an_event(properties={"tokens": Decimal("99999999999999999999.999999999999")})
    assert book.cost_of(event, "USD")[1] == Decimal("100.000000000000000000")
    smaller = an_event(properties={"tokens": 10**20 - 1})
    assert book.cost_of(smaller, "USD")[1] == Decimal("99.999999999999999999")


# --- the vendor price table


def test_the_price_table_is_asked_last() -> None:
    asked: list[dict[str, Any]] = []

    def table(properties: dict[str, Any], at: datetime) -> CostPart | None:
        asked.append(properties)
        return CostPart("openai", Decimal("0.5"), "EUR") if "model" in properties else None

    book = a_book(a_rate("1"), price_table=table)
    assert book.cost_of(an_event(properties={"tokens": 1}), "USD")[1] == Decimal(1)
    assert book.cost_of(an_event(costs=[]), "USD")[1] == Decimal(0)
    assert not asked
    parts, total = book.cost_of(an_event(properties={"model": "m"}), "USD")
    assert total == Decimal("0.55")
    assert parts == [{"vendor": "openai", "amount": "0.5", "currency": "EUR", "source": "price_table"}]
    assert book.cost_of(an_event(properties={"x": 1}), "USD") == (None, None)


# --- from the database


@pytest.mark.django_db
def test_the_book_is_read_from_rates_exchange_rates_and_units() -> None:
    a_rate("0.5").save()
    ExchangeRate.objects.create(base="EUR", quote="USD", rate="1.25", starts_at=JAN, created_at=JAN)
    Currency.objects.create(
        code="CREDITS", name="Credits", price="0.01", price_currency="EUR", decimals=2, created_at=JAN
    )
    book = load_cost_book()
    event = an_event(properties={"tokens": 5})
    assert book.cost_of(event, "EUR")[1] == Decimal(2)
    assert book.cost_of(event, "CREDITS")[1] == Decimal(200)
    assert book.cost_of(event, "GBP")[1] is None


@pytest.mark.django_db
def test_a_language_model_call_costs_what_the_vendors_list_says() -> None:
    event = an_event(
        properties={"provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 100}
    )
    parts, total = load_cost_book().cost_of(event, "USD")
    assert total == Decimal("0.0035")
    assert parts is not None
    assert parts[0]["source"] == "price_table"


@pytest.mark.django_db
def test_the_book_is_kept_until_the_version_changes(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    a_rate("1").save()
    version = ConfigVersion.objects.get().version
    first = cost_book(version)
    with django_assert_num_queries(0):
        assert cost_book(version) is first
    a_rate("2", starts_at=FEB).save()
    newer = ConfigVersion.objects.get().version
    assert newer > version
    event = an_event(FEB, properties={"tokens": 1})
    assert cost_book(newer).cost_of(event, "USD")[1] == Decimal(2)
    assert first.cost_of(event, "USD")[1] == Decimal(1)
