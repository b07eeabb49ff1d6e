"""What needs action and the money in the gap, calculated by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import BillingEntity
from billing.balances import Balance
from billing.margins import Margin
from billing.reports.attention import running_out
from billing.reports.call_to_charge import make_lag, make_report
from billing.reports.comparing import Comparison
from billing.reports.gap import make_gap
from billing.reports.operator import figures
from billing.store_reports import DaySum
from metering.exchange import ExchangeTable

NOW = datetime(2026, 1, 15, tzinfo=UTC)
ZERO = Decimal(0)


def balance(settled: str) -> Balance:
    return Balance(Decimal(settled), ZERO, ZERO, Decimal(settled), is_unbounded=False, can_spend=True)


@pytest.mark.parametrize(
    ("settled", "spent", "days_left"),
    [
        ("20", "70", Decimal(2)),
        ("39.99", "70", Decimal("3.999")),
        ("40", "70", None),  # four days are enough
        ("0", "70", ZERO),
        ("-5", "70", ZERO),
        ("0", "0", None),  # who spends nothing runs out of nothing
        ("5", "-7", None),
    ],
)
def test_days_left_are_the_balance_over_the_rate_of_a_week(
    settled: str, spent: str, days_left: Decimal | None
) -> None:
    payer = BillingEntity(pk=1)
    found = running_out([payer], {1: balance(settled)}, {1: Decimal(spent)})
    assert [low.days_left for low in found] == ([] if days_left is None else [days_left])


def test_the_most_urgent_comes_first() -> None:
    payers = [BillingEntity(pk=number) for number in (1, 2, 3)]
    balances = {1: balance("20"), 2: balance("0"), 3: balance("10")}
    found = running_out(payers, balances, dict.fromkeys((1, 2, 3), Decimal(70)))
    assert [low.payer.pk for low in found] == [2, 3, 1]


def test_the_gap_takes_a_misspelt_name_for_what_it_means() -> None:
    rows = [("unmatched", "compltion", 10), ("quarantined", "completion", 2), ("unpriced", "other", 5)]
    gap = make_gap(rows, {"completion": Decimal("0.5")}, {"compltion": "completion"})
    assert (gap.amount, gap.unknown, gap.events) == (Decimal(6), 5, 17)
    assert {part.kind: part.amount for part in gap.parts} == {
        "unmatched": Decimal(5),
        "quarantined": Decimal(1),
        "unpriced": None,
    }


def test_nothing_in_the_gap_is_nothing() -> None:
    gap = make_gap([], {}, {})
    assert (gap.amount, gap.unknown, gap.events) == (ZERO, 0, 0)


def test_lag_percentiles_are_by_nearest_rank() -> None:
    lag = make_lag("api", [timedelta(seconds=n) for n in range(100, 0, -1)])
    assert (lag.p50, lag.p95, lag.longest) == tuple(timedelta(seconds=n) for n in (50, 95, 100))


def test_what_was_imported_or_released_is_not_in_the_lag_of_what_is_live() -> None:
    hours, seconds = [timedelta(hours=9)] * 5, [timedelta(seconds=1)] * 3
    lags = {"import": hours, "api": seconds, "gateway": [timedelta(seconds=3)], "release": hours}
    report = make_report(NOW, lags)
    assert [lag.source for lag in report.sources] == ["api", "gateway", "import", "release"]
    assert report.events == 14
    assert report.live is not None
    assert (report.live.events, report.live.p50, report.live.longest) == (
        *(4, timedelta(seconds=1)),
        timedelta(seconds=3),
    )
    assert make_report(NOW, {"import": hours, "api": seconds}).live is None, "there is nothing to add up"
    assert make_report(NOW, {}).events == 0


def test_one_event_is_all_its_percentiles() -> None:
    lag = make_lag("api", [timedelta(seconds=-3)])
    assert lag.p50 == lag.p95 == lag.longest == timedelta(seconds=-3)


@given(st.lists(st.integers(-1000, 100000), min_size=1))
def test_percentiles_are_in_order_and_among_the_lags(seconds: list[int]) -> None:
    lag = make_lag("api", [timedelta(seconds=n) for n in seconds])
    assert lag.p50 <= lag.p95 <= lag.longest == timedelta(seconds=max(seconds))
    assert lag.p50.total_seconds() in seconds


def comparison(*rates: tuple[str, str, str]) -> Comparison:
    start = NOW - timedelta(days=400)
    dated = [(base, quote, start, Decimal(rate)) for base, quote, rate in rates]
    return Comparison(NOW, "USD", ExchangeTable(dated), frozenset())


def test_figures_are_converted_and_what_no_rate_converts_is_kept_apart() -> None:
    first = date(2026, 1, 1)
    sums = [
        DaySum(first, "USD", False, Margin(2, 1, 0, 0, Decimal(10), Decimal(4))),
        DaySum(first, "EUR", False, Margin(1, 1, 0, 0, Decimal(10), Decimal(2))),
        DaySum(first, "USD", True, Margin(revenue=Decimal(49))),
        DaySum(first, "JPY", False, Margin(1, 1, 0, 0, Decimal(100), ZERO)),
        DaySum(date(2025, 12, 31), "USD", False, Margin(1, 1, 0, 0, Decimal(7), ZERO)),
    ]
    found = figures(sums, first, date(2026, 1, 2), comparison(("EUR", "USD", "1.5")))
    assert found.total == Margin(3, 2, 0, 0, Decimal(74), Decimal(7))
    assert found.usage_by_day == {first: Margin(3, 2, 0, 0, Decimal(25), Decimal(7))}
    assert found.fees.revenue == Decimal(49)
    assert list(found.left_out) == ["JPY"]
    assert set(found.by_currency) == {"USD", "EUR", "JPY"}
