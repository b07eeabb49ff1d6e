"""What falls in a window: the table of docs/algorithms/simulation.md; spans, fees, minimums."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accounts.scoping import OPERATOR
from core import clock
from pricing.base_fees import Life
from pricing.cycles import Anchor, Cycle, Interval, Period
from pricing.models import PlanVersion, Subscription
from pricing.simulation import Cohort
from pricing.simulation.history import Versions, read_subscriptions, replaced_by
from pricing.simulation.reading import PayerRow
from pricing.simulation.spans import spans_of
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version
from tests.pricing.simulation.world import JANUARY, event, report, run

UTC_ZONE = ZoneInfo("UTC")
TOKENS = [
    {
        "key": "tok",
        "meter": "tokens",
        "model": "graduated",
        "tiers": [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}],
        "minimum": "3.1",
    }
]
PLATFORM = {"key": "platform", "amount": "31", "timing": "in_advance", "prorate": True}


def day(number: int, month: int = 1) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


@pytest.fixture
def usage(db: None) -> Iterator[Tenant]:
    """8 units on the 5th, 8 on the 20th."""
    clock.use(lambda: day(31))
    make_meter()
    tenant = make_tenant(make_version(TOKENS, base_fees=[PLATFORM]))
    report(tenant, event("a", day(5), "8"), event("b", day(20), "8"))
    yield tenant
    clock.use(None)


def lines(version: PlanVersion, window: Period = JANUARY) -> dict[str, Decimal]:
    (result,) = run(version, window=window)
    assert result.simulated[0] is not None
    return result.simulated[0].lines


@pytest.mark.parametrize(
    ("start", "end", "platform", "tok", "total"),
    [
        (day(1), day(1, 2), "31", "13", "44"),
        (day(1), day(11), "10", "8", "18"),
        (day(11), day(1, 2), "21", "5", "26"),
        (day(6), day(16), "10", "1", "11"),
        (day(16), day(1, 2), "16", "5", "21"),
    ],
)
def test_the_window_takes_its_part(
    usage: Tenant, start: datetime, end: datetime, platform: str, tok: str, total: str
) -> None:
    assert usage.subscription is not None
    (result,) = run(usage.subscription.version, window=Period(start, end))
    assert result.current.lines == {"platform": Decimal(platform), "tok": Decimal(tok)}
    assert result.current.amount == Decimal(total)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        # A year has 365 days, of which January has 31, whether or not the plan prorates.
        ({"interval": "year", "base_fees": [{"key": "f", "amount": "365"}]}, {"f": "31"}),
        ({"base_fees": [{"key": "f", "amount": "7", "timing": "in_arrears"}]}, {"f": "7"}),
        ({"base_fees": [{"key": "f", "unit_amount": "2", "quantity": "3"}]}, {"f": "6"}),
        # 3.1 less 10 of 31 days.
        ({"minimum_spend": "3.1", "trial": {"days": 10}}, {"minimum_spend": "2.1"}),
        ({"base_fees": [{"key": "f", "amount": "31", "prorate": True}], "trial": {"days": 10}}, {"f": "21"}),
        (
            {"base_fees": [{"key": "f", "amount": "7"}], "minimum_spend": "20"},
            {"f": "7", "minimum_spend": "13"},
        ),
        ({"base_fees": [{"key": "f", "amount": "21"}], "minimum_spend": "20"}, {"f": "21"}),
    ],
)
def test_fees_and_minimums_of_a_month(usage: Tenant, terms: dict[str, Any], expected: dict[str, str]) -> None:
    assert lines(make_version([], **terms)) == {key: Decimal(value) for key, value in expected.items()}


def test_seats_are_those_of_the_subscription(usage: Tenant) -> None:
    Subscription.objects.update(quantities={"seats": "4"})
    fees = [{"key": "seats", "unit_amount": "2.5"}]
    assert lines(make_version([], base_fees=fees)) == {"seats": Decimal(10)}


def test_a_fee_for_no_usage_is_due_at_the_close_only(usage: Tenant) -> None:
    make_meter("silent", event="silence")
    tiers = [{"up_to": None, "unit_price": "1", "flat_fee": "4"}]
    component = {"key": "c", "meter": "silent", "model": "graduated", "tiers": tiers}
    version = make_version([component | {"bill_zero_usage": True}])
    assert lines(version) == {"c": Decimal(4)}
    assert lines(version, Period(day(1), day(20))) == {"c": Decimal(0)}
    assert lines(version, Period(day(20), day(1, 2))) == {"c": Decimal(4)}


def test_nothing_is_billed_after_a_cancellation(usage: Tenant) -> None:
    Subscription.objects.update(ends_at=day(11))
    version = make_version([], base_fees=[PLATFORM | {"key": "f"}])
    assert lines(version) == {"f": Decimal(10)}
    assert run(version, window=Period(day(11), day(20))) == []


def test_another_anchor_has_other_periods(usage: Tenant) -> None:
    # Anchored on the 15th of December: 8 units until the 15th, 8 after it, both at the first tier's price.
    Subscription.objects.update(anchor_at=datetime(2025, 12, 15, tzinfo=UTC))
    (component,) = TOKENS
    version = make_version([{**component, "minimum": "0"}], anchor="subscription")
    assert lines(version) == {"tok": Decimal(16)}


def test_a_payer_on_nothing_is_simulated_as_if_it_began_with_the_window(usage: Tenant) -> None:
    nobody = make_tenant()
    (result,) = run(make_version([], base_fees=[PLATFORM]), cohort=Cohort(payer_ids=(nobody.payer.pk,)))
    assert result.current.amount == 0
    assert result.simulated[0] is not None
    assert result.simulated[0].amount == 31
    assert result.difference(0) == 31


def test_a_version_takes_the_place_of_what_is_nearest_to_it(usage: Tenant) -> None:
    make_meter("calls", aggregation="count")
    call = {"key": "call", "meter": "calls", "model": "per_unit", "unit_price": "1"}
    other = make_version([call], family="api")
    Subscription.objects.create(
        customer=usage.customer,
        billing_entity=usage.payer,
        version=other,
        starts_at=START,
        anchor_at=START,
        created_at=START,
    )
    payer = PayerRow(usage.payer.pk, usage.customer.pk, "USD", UTC_ZONE)
    versions = Versions()
    rows = read_subscriptions(OPERATOR, [payer], JANUARY, versions)[payer.id]
    first, second = rows

    def replaced(version: PlanVersion) -> list[int]:
        return [row.id for row in replaced_by(versions.of([version.pk])[version.pk], rows)]

    assert replaced(other) == [second.id]
    assert replaced(make_version([], family="api")) == [second.id]
    assert replaced(make_version(TOKENS)) == [first.id]
    assert replaced(make_version([], base_fees=[PLATFORM])) == [first.id, second.id]
    # Two calls at 1 stay beside what takes the other's place.
    assert lines(make_version(TOKENS)) == {"tok": Decimal(13), "call": Decimal(2)}


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "window", "expected"),
    [
        (day(1), None, (day(1), day(1, 3)), [(day(1), day(1, 2)), (day(1, 2), day(1, 3))]),
        (day(10), None, (day(1), day(1, 2)), [(day(10), day(1, 2))]),
        (day(1), day(20), (day(1), day(1, 3)), [(day(1), day(20))]),
        (day(1), None, (day(5), day(9)), [(day(1), day(1, 2))]),
        (day(1), day(5), (day(5), day(9)), []),
        (day(9), None, (day(5), day(9)), []),
    ],
)
def test_spans_are_whole_periods_of_a_life(
    starts_at: datetime,
    ends_at: datetime | None,
    window: tuple[datetime, datetime],
    expected: list[tuple[datetime, datetime]],
) -> None:
    cycle = Cycle.anchored(Interval.MONTH, Anchor.CALENDAR, starts_at, UTC_ZONE)
    found = list(spans_of(Life(starts_at, ends_at, cycle, {}), Period(*window)))
    assert [(span.start, span.end) for span in found] == expected
    for span in found:
        assert span.since == max(span.start, window[0])
        assert span.until == min(span.end, window[1])
        assert span.closes is (span.end <= window[1])
        assert span.is_begun_before is (span.start < window[0])
