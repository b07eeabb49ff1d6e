"""Base fees: booked when due, once, and paid like usage. A dated story each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from accounts.models import BillingEntity
from billing.models import LedgerAccount, LedgerEntry, MarginBucket, Transfer
from billing.periods import book_base_fees
from billing.subscriptions import cancel_subscription, start_subscription
from billing.wallets import grant_credit, top_up
from core import clock
from pricing.models import BillingPeriod, Subscription
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PLATFORM: dict[str, Any] = {"key": "platform", "amount": "31.00", "prorate": True}
ARREARS: dict[str, Any] = {"key": "support", "amount": "28", "timing": "in_arrears", "prorate": True}


def day(month: int, number: int = 1, hour: int = 0, year: int = 2026) -> datetime:
    """An instant of 2026 in UTC."""
    return datetime(year, month, number, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _january() -> Iterator[None]:
    clock.use(lambda: day(1, 1))
    yield
    clock.use(None)


def run(now: datetime) -> int:
    """Let the clock stand at `now` and run what is due."""
    clock.use(lambda: now)
    return book_base_fees(now)


def fees(tenant: Tenant) -> list[tuple[str, str]]:
    """(reference without the subscription, amount) of the payer's fees, in the order of their numbers."""
    rows = Transfer.objects.filter(
        billing_entity_id=tenant.payer.pk, reason="base_fee", destination="revenue"
    )
    return [
        (row.reference.partition("/")[2], f"{row.amount.normalize():f}")
        for row in rows.order_by("seq", "position")
    ]


def statuses(subscription: Subscription) -> list[str]:
    """The states of the subscription's periods."""
    return list(subscription.periods.order_by("starts_at").values_list("status", flat=True))


def test_the_first_fee_is_booked_with_the_start_and_prorated() -> None:
    tenant = make_tenant(balance="100")
    clock.use(lambda: day(1, 17))
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM]))
    assert fees(tenant) == [("platform/2026-01-17T00:00:00Z", "15")]  # 15 of 31 days
    assert (balance(tenant), balance(tenant, "revenue")) == (Decimal(85), Decimal(15))
    bucket = MarginBucket.objects.get(billing_entity_id=tenant.payer.pk)
    assert (bucket.event, bucket.workspace_id, bucket.events) == ("base_fee", 0, 0)
    assert (bucket.hour, bucket.revenue, bucket.cost) == (day(1, 17), Decimal(15), Decimal(0))


def test_fees_go_on_period_by_period_in_advance_and_in_arrears() -> None:
    tenant = make_tenant(balance="1000")
    subscription = start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM, ARREARS]))
    assert run(day(1, 31, 23)) == 0
    assert statuses(subscription) == ["open"]
    assert run(day(2)) == 2
    assert statuses(subscription) == ["grace", "open"]
    assert run(day(2, 20)) == 0
    assert run(day(3)) == 2
    assert fees(tenant) == [
        ("platform/2026-01-01T00:00:00Z", "31"),
        ("support/2026-01-01T00:00:00Z", "28"),
        ("platform/2026-02-01T00:00:00Z", "31"),
        ("support/2026-02-01T00:00:00Z", "28"),
        ("platform/2026-03-01T00:00:00Z", "31"),
    ]


def test_a_worker_that_was_away_for_months_catches_up_in_order() -> None:
    tenant = make_tenant(balance="1000")
    subscription = start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM, ARREARS]))
    assert run(day(4, 15)) == 6
    assert [reference for reference, _ in fees(tenant)] == [
        "platform/2026-01-01T00:00:00Z",
        "support/2026-01-01T00:00:00Z",
        "platform/2026-02-01T00:00:00Z",
        "support/2026-02-01T00:00:00Z",
        "platform/2026-03-01T00:00:00Z",
        "support/2026-03-01T00:00:00Z",
        "platform/2026-04-01T00:00:00Z",
    ]
    assert statuses(subscription) == ["grace", "grace", "grace", "open"]
    hours = MarginBucket.objects.filter(billing_entity_id=tenant.payer.pk).order_by("hour")
    assert [(row.hour, row.revenue) for row in hours] == [
        (day(1), Decimal(31)),
        (day(2), Decimal(59)),
        (day(3), Decimal(59)),
        (day(4), Decimal(59)),
    ]


def test_a_backdated_start_books_what_fell_due_since() -> None:
    clock.use(lambda: day(3, 10))
    tenant = make_tenant(balance="100")
    start_subscription(
        tenant.payer, make_version([], base_fees=[PLATFORM | {"prorate": False}]), starts_at=day(1, 10)
    )
    assert [amount for _, amount in fees(tenant)] == ["31", "31", "31"]


def test_running_again_books_nothing_more() -> None:
    tenant = make_tenant(balance="100")
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM, ARREARS]))
    assert [run(day(2)), run(day(2)), run(day(2))] == [2, 0, 0]
    assert BillingPeriod.objects.filter(fees_booked_at=None).count() == 0


def test_a_plan_without_fees_moves_its_periods_on() -> None:
    tenant = make_tenant()
    subscription = start_subscription(tenant.payer, make_version([]))
    assert run(day(3, 5)) == 0
    assert statuses(subscription) == ["grace", "grace", "open"]
    assert not Transfer.objects.exists()


def test_boundaries_follow_the_payers_clock() -> None:
    tenant = make_tenant(balance="100", time_zone="Asia/Kolkata")
    clock.use(lambda: day(1, 10))
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM | {"prorate": False}]))
    assert run(datetime(2026, 1, 31, 18, 29, 59, tzinfo=UTC)) == 0
    assert run(datetime(2026, 1, 31, 18, 30, tzinfo=UTC)) == 1
    assert fees(tenant)[-1] == ("platform/2026-01-31T18:30:00Z", "31")
    bucket = MarginBucket.objects.latest("hour")
    assert bucket.hour == datetime(2026, 1, 31, 18, 30, tzinfo=UTC)


def test_a_trial_shifts_the_first_fee() -> None:
    tenant = make_tenant(balance="100")
    subscription = start_subscription(
        tenant.payer, make_version([], base_fees=[PLATFORM, ARREARS], trial={"days": 10})
    )
    assert fees(tenant) == []
    assert run(day(1, 10, 23)) == 0
    assert run(day(1, 11)) == 1
    assert run(day(1, 12)) == 0
    assert fees(tenant) == [("platform/2026-01-11T00:00:00Z", "21")]  # 21 of 31 days
    assert run(day(2)) == 2
    assert fees(tenant)[1] == ("support/2026-01-11T00:00:00Z", "18.967741935483870968")  # 28 x 21 / 31
    assert statuses(subscription) == ["grace", "open"]


def test_a_period_inside_the_trial_costs_nothing() -> None:
    tenant = make_tenant(balance="100")
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM, ARREARS], trial={"days": 31}))
    assert run(day(1, 31)) == 0
    assert run(day(2)) == 1
    assert [reference for reference, _ in fees(tenant)] == ["platform/2026-02-01T00:00:00Z"]


def test_seats_multiply_the_fee_and_none_cost_nothing() -> None:
    version = make_version([], base_fees=[{"key": "seats", "unit_amount": "10"}])
    three, none = make_tenant(balance="100"), make_tenant(balance="100")
    start_subscription(three.payer, version, quantities={"seats": Decimal(3)})
    start_subscription(none.payer, version, quantities={"seats": Decimal(0)})
    assert [amount for _, amount in fees(three)] == ["30"]
    assert fees(none) == []


def test_a_canceled_subscription_pays_in_arrears_for_its_last_part() -> None:
    tenant = make_tenant(balance="100")
    version = make_version([], base_fees=[PLATFORM, ARREARS | {"amount": "31"}])
    subscription = start_subscription(tenant.payer, version)
    clock.use(lambda: day(1, 5))
    cancel_subscription(subscription, at=day(1, 11))
    assert run(day(1, 11)) == 1
    assert run(day(3)) == 0
    assert fees(tenant) == [("platform/2026-01-01T00:00:00Z", "31"), ("support/2026-01-01T00:00:00Z", "10")]
    subscription.refresh_from_db()
    assert (subscription.status, statuses(subscription)) == ("canceled", ["grace"])


def test_a_subscription_with_an_end_of_its_own_ends() -> None:
    tenant = make_tenant(balance="100")
    subscription = start_subscription(
        tenant.payer, make_version([], base_fees=[PLATFORM]), ends_at=day(2, 15)
    )
    assert run(day(2)) == 1
    assert fees(tenant)[-1] == ("platform/2026-02-01T00:00:00Z", "15.5")  # 14 of 28 days
    assert run(day(2, 15)) == 0
    subscription.refresh_from_db()
    assert (subscription.status, statuses(subscription)) == ("ended", ["grace", "grace"])
    assert run(day(5)) == 0


def test_grants_pay_a_fee_first_and_their_order_holds() -> None:
    tenant = make_tenant()
    late = grant_credit(tenant.payer, Decimal(5), priority=20)
    first = grant_credit(tenant.payer, Decimal(10), priority=10)
    scoped = grant_credit(tenant.payer, Decimal(50), priority=1, components=["tokens"])
    top_up(tenant.payer, Decimal(100))
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM]))
    paid = Transfer.objects.filter(reason="base_fee").order_by("position")
    assert [(row.grant_id, row.amount) for row in paid][:2] == [
        (first.pk, Decimal(10)),
        (late.pk, Decimal(5)),
    ]
    assert sum(row.amount for row in paid) == Decimal(31)
    scoped.refresh_from_db()
    assert scoped.remaining == Decimal(50)


def test_a_grant_limited_to_the_fee_pays_it() -> None:
    tenant = make_tenant()
    grant = grant_credit(tenant.payer, Decimal(50), components=["platform"])
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM]))
    grant.refresh_from_db()
    assert grant.remaining == Decimal(19)


def test_what_a_wallet_does_not_cover_accrues_to_an_invoiced_payer() -> None:
    tenant = make_tenant(balance="10", settlement=BillingEntity.Settlement.WALLET_THEN_INVOICE)
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM]))
    assert (balance(tenant), balance(tenant, "receivable")) == (Decimal(0), Decimal(-21))


def test_a_prepaid_payer_with_a_hard_stop_owes_its_fee_all_the_same() -> None:
    tenant = make_tenant(balance="10", overdraft=Decimal(0))
    start_subscription(tenant.payer, make_version([], base_fees=[PLATFORM]))
    assert balance(tenant) == Decimal(-21)


def test_fees_and_usage_share_one_gapless_row_of_numbers() -> None:
    make_meter()
    per_token = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
    tenant = make_tenant(balance="1000")
    start_subscription(tenant.payer, make_version([per_token], base_fees=[PLATFORM, ARREARS]))
    charge(tenant, "a", properties={"tokens": 1})
    run(day(2))
    charge(tenant, "b", properties={"tokens": 1})
    numbers = Transfer.objects.filter(billing_entity_id=tenant.payer.pk).values_list("seq", flat=True)
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    assert LedgerAccount.objects.get(billing_entity_id=tenant.payer.pk, kind="wallet").seq == 6
    for kind in ("wallet", "revenue", "cash"):
        entries = LedgerEntry.objects.filter(billing_entity_id=tenant.payer.pk, kind=kind)
        assert sum(entry.amount for entry in entries) == balance(tenant, kind)


def test_one_payer_that_fails_does_not_keep_the_others_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    broken, fine = make_tenant(balance="100"), make_tenant(balance="100")
    version = make_version([], base_fees=[PLATFORM])
    for tenant in (broken, fine):
        start_subscription(tenant.payer, version)
    BillingEntity.objects.filter(pk=broken.payer.pk).update(time_zone="Nowhere/Land")
    assert run(day(2)) == 1
    assert len(fees(fine)) == 2
    assert broken.payer.public_id in caplog.text
    BillingEntity.objects.filter(pk=broken.payer.pk).update(time_zone="UTC")
    assert run(day(2)) == 1


@pytest.mark.django_db(transaction=True)
def test_many_who_book_at_once_book_each_fee_once() -> None:
    tenants = [make_tenant(balance="100") for _ in range(3)]
    version = make_version([], base_fees=[PLATFORM, ARREARS])
    for tenant in tenants:
        start_subscription(tenant.payer, version)
    barrier = Barrier(4)

    def book(_: int) -> int:
        barrier.wait()
        try:
            return book_base_fees(day(2) + timedelta(hours=1))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(book, range(4))) == 6
    for tenant in tenants:
        assert len(fees(tenant)) == 3
        assert balance(tenant) == Decimal(100) - 31 - 28 - 31


@pytest.mark.django_db(transaction=True)
def test_of_many_starts_at_once_on_one_meter_one_wins() -> None:
    make_meter()
    version = make_version([{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}])
    tenant = make_tenant()
    barrier = Barrier(4)

    def start(_: int) -> bool:
        barrier.wait()
        try:
            start_subscription(tenant.payer, version)
        except Exception:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(start, range(4))) == 1
    assert Subscription.objects.count() == 1
