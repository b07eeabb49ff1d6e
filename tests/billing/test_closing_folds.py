"""What settles at a close comes to the same folded in the database and from a stream of events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.closing.folding import Window, can_fold, fold_windows
from billing.closing.settling import _aggregated
from billing.models import Reversal
from core.partitions import ensure_partitions
from metering.aggregation import parse_meter
from pricing.models import BillingPeriod, Segment
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version
from tests.metering.stored import store_events
from tests.statements import counted

pytestmark = pytest.mark.django_db
END = datetime(2026, 2, 1, tzinfo=UTC)
PARTS = [{"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": "1"}]
INSTANTS = st.integers(-60 * 24, 40 * 24).map(
    lambda hours: START + timedelta(hours=hours, microseconds=hours)
)
NUMBERS = st.one_of(
    st.integers(-9, 9),
    st.decimals(-99, 99, places=2),
    st.sampled_from([Decimal("1e20"), Decimal("1e-13"), Decimal("0.000000000001"), 10**20 - 1, "5", "1e3"]),
    st.sampled_from([" 7 ", "x", "", None, True, [1], {"a": 1}, "0.50"]),
)
DIMENSIONS = st.sampled_from([None, "eu", "us", 5, Decimal("5.0"), "5", True, [1], {"b": 1, "a": 2}])
EVENTS = st.lists(
    st.tuples(
        INSTANTS,
        st.fixed_dictionaries({}, optional={"level": NUMBERS, "region": DIMENSIONS, "site": DIMENSIONS}),
    ),
    max_size=14,
)
METERS = st.fixed_dictionaries(
    {
        "event": st.just("reading"),
        "aggregation": st.sampled_from(["min", "avg", "latest", "weighted_sum"]),
        "property": st.just("level"),
        "group_by": st.sampled_from([[], ["region"], ["site", "region"]]),
        "carry_over": st.booleans(),
    }
)


def segment_of(tenant: Tenant) -> Segment:
    """A segment of all January."""
    assert tenant.subscription is not None
    period = BillingPeriod.objects.create(
        customer=tenant.customer, subscription=tenant.subscription, starts_at=START, ends_at=END
    )
    return Segment.objects.create(
        customer=tenant.customer,
        subscription=tenant.subscription,
        version=tenant.subscription.version,
        period=period,
        starts_at=START,
        ends_at=END,
    )


def make_segment() -> Segment:
    make_meter()
    ensure_partitions(START - timedelta(days=70), END + timedelta(days=20))
    return segment_of(make_tenant(make_version(PARTS)))


def store(segment: Segment, *events: tuple[datetime, dict[str, Any]], name: str = "reading") -> list[Any]:
    return store_events(segment.customer_id, segment.subscription.billing_entity_id, name, *events)


def window(segment: Segment, aggregation: str, **fields: Any) -> Window:
    document = {"event": "reading", "aggregation": aggregation, "property": "level", **fields}
    return Window(segment, parse_meter(document))


@given(st.lists(METERS, min_size=1, max_size=3), EVENTS)
@settings(max_examples=80, deadline=None)
def test_the_database_and_the_stream_agree(meters: list[dict[str, Any]], events: list[Any]) -> None:
    with transaction.atomic():
        segment = make_segment()
        store(segment, *events)
        for meter in meters:
            meter["carry_over"] = meter["carry_over"] and meter["aggregation"] == "weighted_sum"
        windows = [Window(segment, parse_meter(meter)) for meter in meters]
        assert all(can_fold(each.meter) for each in windows)
        found = fold_windows(windows)
        assert found == [_aggregated(*each) for each in windows]
        assert [list(groups) for groups in found] == [list(_aggregated(*each)) for each in windows]
        transaction.set_rollback(True)


@pytest.mark.parametrize(
    ("aggregation", "value"),
    # weighted: 2 over 31 days, 5 over 21, 4 over 1: 171 in 31 days.
    [
        ("min", "2"),
        ("avg", "3.666666666666666667"),
        ("latest", "4"),
        ("weighted_sum", "5.516129032258064516"),
    ],
)
def test_worked_values(aggregation: str, value: str) -> None:
    segment = make_segment()
    store(
        segment,
        (START, {"level": 2}),
        (START + timedelta(days=10), {"level": "5"}),
        (START + timedelta(days=30), {"level": 4}),
    )
    store(segment, (START, {"level": 100}), name="other")
    assert fold_windows([window(segment, aggregation)]) == [{(): Decimal(value)}]


def test_of_equal_instants_the_later_number_is_the_latest() -> None:
    segment = make_segment()
    store(segment, (START, {"level": 9}), (START, {"level": 3}), (START, {"level": " 4 "}))
    assert fold_windows([window(segment, "latest")]) == [{(): 4}]


def test_what_was_reversed_counts_for_nothing() -> None:
    segment = make_segment()
    first, _ = store(segment, (START, {"level": 1}), (START, {"level": 3}))
    Reversal.objects.create(
        customer_id=segment.customer_id,
        billing_entity_id=segment.subscription.billing_entity_id,
        cause=Reversal.Cause.EVENT,
        event_id=first,
        event_recorded_at=START,
        charge_id=first,
        seq=1,
        amount=-1,
        currency="USD",
        reason="wrong",
        recorded_at=START,
    )
    assert fold_windows([window(segment, "min"), window(segment, "avg")]) == [{(): 3}, {(): 3}]


def test_without_events_there_is_no_quantity_but_a_level_stays() -> None:
    segment = make_segment()
    store(segment, (START - timedelta(days=3), {"level": 6}), (START - timedelta(days=2), {"level": "-2"}))
    asked = [window(segment, "avg"), window(segment, "weighted_sum", carry_over=True)]
    assert fold_windows(asked) == [{(): None}, {(): 4}]


@pytest.mark.parametrize(
    ("fields", "is_folded"),
    [
        ({}, True),
        ({"group_by": ["region"]}, True),
        ({"group_by": ["where.region"]}, False),
        ({"property": "usage.level"}, False),
        ({"filter": [{"property": "region", "op": "eq", "value": "eu"}]}, False),
    ],
)
def test_what_the_database_folds(fields: dict[str, Any], is_folded: bool) -> None:
    document = {"event": "reading", "aggregation": "avg", "property": "level", **fields}
    assert can_fold(parse_meter(document)) is is_folded


def test_many_windows_take_one_statement() -> None:
    segment = make_segment()
    others = [segment_of(make_tenant(segment.version)) for _ in range(6)]
    for number, each in enumerate([segment, *others]):
        store(each, (START, {"level": number}))
    asked = [window(each, "latest") for each in (segment, *others)]
    with counted() as statements:
        assert fold_windows(asked) == [{(): number} for number in range(7)]
    assert len(statements) == 1
