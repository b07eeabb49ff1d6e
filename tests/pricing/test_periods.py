"""Periods and segments made when first needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import BillingEntity, Customer
from pricing.models import BillingPeriod, Segment, Subscription
from pricing.periods import ensure_segments
from pricing.plans import apply_plan, publish_version
from tests.pricing.documents import plan_document

START = datetime(2026, 1, 15, 10, tzinfo=UTC)
Subscribe = Callable[..., Subscription]


def day(month: int, number: int = 1, hour: int = 0, year: int = 2026) -> datetime:
    """An instant of 2026 in UTC."""
    return datetime(year, month, number, hour, tzinfo=UTC)


@pytest.fixture
def subscribe(db: None) -> Subscribe:
    """Make a subscription row, without periods."""

    def make(
        key: str = "pro", *, time_zone: str = "UTC", ends_at: datetime | None = None, **terms: Any
    ) -> Subscription:
        version = publish_version(apply_plan(plan_document(key, **terms)))
        customer = Customer.objects.create(name="Customer", created_at=START)
        payer = BillingEntity.objects.create(
            customer=customer, name="Payer", currency="USD", time_zone=time_zone, created_at=START
        )
        return Subscription.objects.create(
            customer=customer,
            billing_entity=payer,
            version=version,
            starts_at=START,
            ends_at=ends_at,
            anchor_at=START,
            created_at=START,
        )

    return make


def periods(subscription: Subscription) -> list[tuple[datetime, datetime]]:
    """The periods' bounds; each has one segment with the same."""
    rows = list(BillingPeriod.objects.filter(subscription=subscription).order_by("starts_at"))
    bounds = [(row.starts_at, row.ends_at) for row in rows]
    segments = Segment.objects.filter(subscription=subscription).order_by("starts_at")
    assert [(row.starts_at, row.ends_at, row.period_id) for row in segments] == [
        (*bound, row.pk) for bound, row in zip(bounds, rows, strict=True)
    ]
    return bounds


def test_the_first_calendar_period_begins_when_the_subscription_does(subscribe: Subscribe) -> None:
    subscription = subscribe()
    ensure_segments([(subscription.pk, START)])
    assert periods(subscription) == [(START, day(2))]
    segment = Segment.objects.get()
    assert (segment.version_id, segment.customer_id) == (subscription.version_id, subscription.customer_id)


def test_later_instants_make_the_periods_that_hold_them_and_no_others(subscribe: Subscribe) -> None:
    subscription = subscribe()
    ensure_segments([(subscription.pk, day(5, 20)), (subscription.pk, day(5, 2)), (subscription.pk, day(3))])
    assert periods(subscription) == [(day(3), day(4)), (day(5), day(6))]


def test_an_instant_on_a_boundary_begins_the_later_period(subscribe: Subscribe) -> None:
    subscription = subscribe()
    ensure_segments([(subscription.pk, day(2) - timedelta(microseconds=1)), (subscription.pk, day(2))])
    assert periods(subscription) == [(START, day(2)), (day(2), day(3))]


def test_boundaries_lie_at_the_payers_midnight(subscribe: Subscribe) -> None:
    subscription = subscribe(time_zone="Asia/Kathmandu")
    ensure_segments([(subscription.pk, START)])
    assert periods(subscription) == [(START, datetime(2026, 1, 31, 18, 15, tzinfo=UTC))]


def test_a_subscription_anchor_counts_from_its_local_day(subscribe: Subscribe) -> None:
    subscription = subscribe(anchor="subscription", interval="quarter")
    ensure_segments([(subscription.pk, START), (subscription.pk, day(7, 15))])
    assert periods(subscription) == [(START, day(4, 15)), (day(7, 15), day(10, 15))]


def test_asking_again_adds_nothing_and_costs_few_queries(subscribe: Subscribe) -> None:
    subscription = subscribe()
    wanted = [(subscription.pk, START), (subscription.pk, day(4))]
    ensure_segments(wanted)
    before = Customer.objects.get().config_version
    with CaptureQueriesContext(
        connection,
    ) as queries:
        ensure_segments(wanted)
    assert len(queries) <= 6
    assert len(periods(subscription)) == 2
    assert Customer.objects.get().config_version == before


def test_many_subscriptions_cost_as_many_queries_as_one(subscribe: Subscribe) -> None:
    one, other = subscribe("a"), subscribe("b")
    with CaptureQueriesContext(connection) as single:
        ensure_segments([(one.pk, START)])
    with CaptureQueriesContext(connection) as double:
        ensure_segments([(one.pk, day(4)), (other.pk, START), (other.pk, day(4))])
    assert len(double) == len(single)
    assert len(periods(other)) == 2


def test_instants_outside_of_the_subscription_are_left_alone(subscribe: Subscribe) -> None:
    subscription = subscribe(ends_at=day(2, 10))
    ensure_segments([(subscription.pk, START - timedelta(microseconds=1)), (subscription.pk, day(2, 10))])
    assert periods(subscription) == []
    ensure_segments([(subscription.pk, day(2, 9))])
    assert periods(subscription) == [(day(2), day(2, 10))]
    ensure_segments([])
    ensure_segments([(0, START)])


def test_a_changed_zone_never_makes_periods_overlap(subscribe: Subscribe) -> None:
    subscription = subscribe()
    ensure_segments([(subscription.pk, START)])
    BillingEntity.objects.update(time_zone="America/Bogota")
    ensure_segments([(subscription.pk, day(2)), (subscription.pk, day(3, 1, 5))])
    assert periods(subscription) == [
        (START, day(2)),
        (day(2), day(2, 1, 5)),
        (day(3, 1, 5), day(4, 1, 5)),
    ]
    ensure_segments([(subscription.pk, day(2, 20))])
    assert periods(subscription)[2] == (day(2, 1, 5), day(3, 1, 5))


@pytest.mark.django_db(transaction=True)
def test_many_who_ask_at_once_make_each_period_once(subscribe: Subscribe) -> None:
    first, second = subscribe("a"), subscribe("b")
    instants = [START, day(2), day(3), day(4)]
    barrier = Barrier(6)

    def ask(number: int) -> None:
        order = [first, second] if number % 2 else [second, first]
        barrier.wait()
        for instant in instants:
            ensure_segments([(subscription.pk, instant) for subscription in order])
        connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(ask, range(6)))
    for subscription in (first, second):
        assert periods(subscription) == [
            (START, day(2)),
            (day(2), day(3)),
            (day(3), day(4)),
            (day(4), day(5)),
        ]
