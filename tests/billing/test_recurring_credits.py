"""Recurring credits: given at local boundaries, each once, with what of the last one may stay."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from billing.charging import Mode
from billing.models import CreditGrant, CreditRelease
from billing.periods import book_base_fees
from billing.recurring_credits import release_credits
from billing.subscriptions import cancel_subscription, start_subscription
from core import clock
from pricing.models import Subscription
from tests.billing.reversing import check
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_UNIT: dict[str, Any] = {"key": "c", "meter": "m", "model": "per_unit", "unit_price": "1"}
MONTHLY: dict[str, Any] = {
    "key": "monthly",
    "amount": "20",
    "every": "month",
    "priority": 10,
    "rollover": "5",
}


def day(month: int, number: int = 1, hour: int = 0, year: int = 2026) -> datetime:
    return datetime(year, month, number, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: day(1))
    yield
    clock.use(None)


def subscribed(
    *monthly: dict[str, Any], at: datetime | None = None, terms: dict[str, Any] | None = None, **payer: Any
) -> Tenant:
    """A payer without money on a plan with these credits, none of which has been given yet."""
    make_meter("m", property_path="value")
    version = make_version([PER_UNIT], credits=list(monthly), **(terms or {}))
    at = at or day(1)
    clock.use(lambda: at)
    return make_tenant(version, starts_at=at, **payer)


def run(now: datetime) -> int:
    """Let the clock stand at `now` and run what is due."""
    clock.use(lambda: now)
    book_base_fees(now)
    return release_credits(now)


def use(tenant: Tenant, value: str, at: datetime) -> None:
    clock.use(lambda: at)
    charge(tenant, f"{at}", Mode.REPORT, properties={"value": value})


def grants() -> list[tuple[Decimal, Decimal]]:
    """(amount, remaining) of all grants, the oldest first."""
    return list(CreditGrant.objects.order_by("pk").values_list("amount", "remaining"))


def test_a_credit_is_given_at_the_start_and_at_every_boundary() -> None:
    tenant = subscribed(MONTHLY | {"rollover": "0"}, at=day(1, 15))
    assert run(day(1, 15)) == 1
    grant = CreditGrant.objects.get()
    assert (grant.amount, grant.priority, grant.kind, grant.name) == (20, 10, "promotional", "monthly")
    assert (grant.effective_at, grant.expires_at) == (day(1, 15), day(2))
    assert [run(day(1, 31, 23)), run(day(2)), run(day(2)), run(day(3, 2))] == [0, 1, 0, 1]
    assert grants() == [(20, 0), (20, 0), (20, 20)]
    assert (balance(tenant), balance(tenant, "breakage"), balance(tenant, "promotional")) == (20, 40, -60)
    check(tenant)


@pytest.mark.parametrize(
    ("used", "rolled", "second"),
    [("0", 5, 25), ("12", 5, 25), ("15", 5, 25), ("17", 3, 23), ("20", 0, 20), ("24", 0, 16)],
)
def test_at_most_the_rollover_of_what_is_left_stays(used: str, rolled: int, second: int) -> None:
    """Of 24 used, 4 are overdrawn, which the next credit covers at once."""
    tenant = subscribed(MONTHLY)
    run(day(1))
    use(tenant, used, day(1, 9))
    run(day(2))
    release = CreditRelease.objects.order_by("pk").last()
    assert release is not None
    assert (release.amount, release.rolled_over) == (20, rolled)
    assert balance(tenant) == second
    check(tenant)


def test_what_rolled_over_counts_with_what_is_left_the_next_time() -> None:
    tenant = subscribed(MONTHLY | {"rollover": "30"})
    for month, total in ((1, 20), (2, 40), (3, 50), (4, 50)):
        run(day(month))
        assert balance(tenant) == total
    assert balance(tenant, "breakage") == 30
    check(tenant)


def test_credit_that_expired_before_the_task_ran_is_not_lost() -> None:
    tenant = subscribed(MONTHLY)
    run(day(1))
    use(tenant, "1", day(2, 1, 1))  # the credit has expired with the charge that found it so
    assert balance(tenant) == -1
    run(day(2, 1, 2))
    assert (balance(tenant), grants()) == (24, [(20, 0), (25, 24)])
    check(tenant)


def test_months_that_were_missed_are_given_one_after_the_other() -> None:
    tenant = subscribed(MONTHLY)
    assert run(day(4, 3)) == 4
    assert grants() == [(20, 0), (25, 0), (25, 0), (25, 25)]
    assert [release.rolled_over for release in CreditRelease.objects.order_by("pk")] == [0, 5, 5, 5]
    check(tenant)


def test_an_annual_plan_gives_its_credit_monthly() -> None:
    tenant = subscribed(MONTHLY | {"rollover": "0"}, terms={"interval": "year"})
    assert [run(day(month)) for month in (1, 2, 3)] == [1, 1, 1]
    assert balance(tenant) == 20


def test_a_credit_may_come_less_often_than_the_plan_bills() -> None:
    tenant = subscribed(MONTHLY | {"every": "quarter"})
    assert [run(day(month)) for month in (1, 2, 3, 4)] == [1, 0, 0, 1]
    assert balance(tenant) == 25


def test_several_credits_of_a_plan_keep_their_own_time_and_order() -> None:
    weekly = {"key": "starter", "amount": "100", "every": "year", "priority": 50}
    tenant = subscribed(MONTHLY, weekly)
    assert run(day(1)) == 2
    use(tenant, "30", day(1, 2))
    assert sorted(grants()) == [(20, 0), (100, 90)]
    assert [run(day(2)), run(day(1, 1, 0, 2027))] == [1, 12]
    check(tenant)


@pytest.mark.parametrize(
    ("zone", "boundary"),
    [
        ("Asia/Kolkata", datetime(2026, 1, 31, 18, 30, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(2026, 1, 31, 18, 15, tzinfo=UTC)),
        ("America/Bogota", datetime(2026, 2, 1, 5, tzinfo=UTC)),
    ],
)
def test_it_comes_at_the_payers_local_midnight(zone: str, boundary: datetime) -> None:
    subscribed(MONTHLY, time_zone=zone, at=day(1, 5))
    run(day(1, 5))
    assert run(boundary - timedelta(microseconds=1)) == 0
    assert run(boundary) == 1
    assert CreditGrant.objects.order_by("pk")[1].effective_at == boundary


def test_an_anchor_on_the_31st_does_not_drift() -> None:
    subscribed(MONTHLY, at=day(1, 31), terms={"anchor": "subscription"})
    run(day(5, 1))
    starts = CreditRelease.objects.order_by("starts_at").values_list("starts_at", flat=True)
    assert list(starts) == [day(1, 31), day(2, 28), day(3, 31), day(4, 30)]


def test_a_subscription_that_is_over_or_has_not_begun_gives_nothing() -> None:
    tenant = subscribed(MONTHLY)
    run(day(1))
    assert tenant.subscription is not None
    clock.use(lambda: day(1, 20))
    cancel_subscription(tenant.subscription, at=day(2))
    assert run(day(2)) == 0
    start_subscription(tenant.payer, tenant.subscription.version, starts_at=day(3))
    assert [run(day(2, 20)), run(day(3))] == [0, 1]
    check(tenant)


def test_an_overdraft_is_covered_and_a_refused_charge_goes_through_once_credit_is_there() -> None:
    tenant = subscribed(MONTHLY, overdraft=Decimal(0))
    assert type(charge(tenant, "a", properties={"value": 3})).__name__ == "Denied"
    run(day(1))
    assert type(charge(tenant, "b", properties={"value": 3})).__name__ == "Charged"
    assert balance(tenant) == 17


def test_the_database_refuses_a_second_release_of_a_period() -> None:
    subscribed(MONTHLY)
    run(day(1))
    row: dict[str, Any] = {**CreditRelease.objects.values().get()}
    del row["id"]
    for attempt in (lambda: CreditRelease.objects.create(**row), CreditRelease.objects.all().delete):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_give_each_credit_once() -> None:
    tenant = subscribed(MONTHLY)
    now, barrier = day(3, 5), Barrier(4)
    clock.use(lambda: now)

    def work(_: int) -> int:
        try:
            barrier.wait(10)
            return release_credits(now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(4))) == 3
    assert (CreditRelease.objects.count(), CreditGrant.objects.count()) == (3, 3)
    assert balance(tenant) == 25
    assert Subscription.objects.count() == 1
    check(tenant)
