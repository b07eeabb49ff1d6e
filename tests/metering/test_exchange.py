from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from metering.exchange import ExchangeTable

JAN = datetime(2026, 1, 1, tzinfo=UTC)
FEB = datetime(2026, 2, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)
TABLE = ExchangeTable(
    [
        ("EUR", "USD", FEB, Decimal("1.20")),
        ("EUR", "USD", JAN, Decimal("1.10")),
        ("USD", "JPY", JAN, Decimal(150)),
    ],
    {"CREDITS": (Decimal("0.01"), "USD"), "POINTS": (Decimal("2"), "EUR")},
)


@pytest.mark.parametrize(
    ("base", "quote", "at", "value"),
    [
        ("USD", "USD", JAN - timedelta(days=9999), "1"),
        ("EUR", "USD", JAN, "1.1"),
        ("EUR", "USD", FEB - TICK, "1.1"),
        ("EUR", "USD", FEB, "1.2"),
        ("EUR", "USD", FEB + timedelta(days=9999), "1.2"),
        ("USD", "EUR", FEB, "0.833333333333333333"),
        ("USD", "CREDITS", JAN, "100"),
        ("CREDITS", "USD", JAN, "0.01"),
        ("EUR", "CREDITS", FEB, "120"),
        ("CREDITS", "EUR", FEB, "0.008333333333333333"),
        ("POINTS", "CREDITS", FEB, "240"),
        ("CREDITS", "CREDITS", FEB, "1"),
    ],
)
def test_one_unit_is_worth(base: str, quote: str, at: datetime, value: str) -> None:
    assert TABLE.convert(Decimal(1), base, quote, at) == Decimal(value)


@pytest.mark.parametrize(
    ("base", "quote", "at"),
    [
        ("EUR", "USD", JAN - TICK),
        ("USD", "EUR", JAN - TICK),
        ("EUR", "JPY", FEB),  # nobody said so: rates are never chained through a third currency
        ("GBP", "USD", FEB),
        ("GBP", "CREDITS", FEB),
        ("EUR", "CREDITS", JAN - TICK),
    ],
)
def test_without_a_rate_there_is_no_answer(base: str, quote: str, at: datetime) -> None:
    assert TABLE.convert(Decimal(1), base, quote, at) is None
    assert TABLE.rate(base, quote, at) is None


def test_a_loaded_rate_goes_before_the_inverse_and_before_a_units_price() -> None:
    table = ExchangeTable(
        [
            ("USD", "EUR", JAN, Decimal("0.9")),
            ("EUR", "USD", JAN, Decimal("1.2")),
            ("USD", "X1", JAN, Decimal(7)),
        ],
        {"X1": (Decimal("0.5"), "USD")},
    )
    assert table.rate("USD", "EUR", JAN) == Decimal("0.9")
    assert table.rate("EUR", "USD", JAN) == Decimal("1.2")
    assert table.rate("USD", "X1", JAN) == Decimal(7)


def test_conversion_is_exact_before_its_one_rounding() -> None:
    table = ExchangeTable([("EUR", "USD", JAN, Decimal("1.000000000000000001"))])
    amount = Decimal("12345678901234567890.123456789012345678")
    assert table.convert(amount, "EUR", "USD", JAN) == Decimal("12345678901234567902.469135690246913568")
    assert table.convert(Decimal("0.000000000000000001"), "EUR", "USD", JAN) == Decimal(
        "0.000000000000000001"
    )
