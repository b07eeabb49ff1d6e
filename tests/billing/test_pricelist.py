"""The process's copy of prices and callers: a charge sees every change, and nothing that was undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from accounts.models import BillingEntity, Customer, PayerAssignment, Workspace
from billing.charging import Charged, Denied, Failed
from core import clock
from pricing.models import PlanVersion, Segment, Subscription
from pricing.pricelist import payer_prices
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
_january = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    """A tenant whose prices this process has in its caches."""
    make_meter()
    clock.use(lambda: START)  # its credit pays for what occurs from then on
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10", overdraft=Decimal(0))
    clock.use(lambda: NOW)
    assert price(tenant, "warm") == Decimal("0.01")
    return tenant


def price(tenant: Tenant, key: str, **fields: Any) -> Decimal:
    """What one token costs."""
    outcome = charge(tenant, key, properties={"tokens": 1}, **fields)
    assert isinstance(outcome, Charged), outcome
    return outcome.amount


def costly() -> PlanVersion:
    return make_version([{**PER_TOKEN, "unit_price": "0.05"}])


def subscribe(tenant: Tenant, version: PlanVersion, starts_at: datetime = START) -> Subscription:
    return Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=version,
        starts_at=starts_at,
        anchor_at=starts_at,
        created_at=NOW,
    )


def known(tenant: Tenant, at: datetime = NOW) -> Any:
    version = Customer.objects.get(pk=tenant.customer.pk).config_version
    return payer_prices({tenant.payer.pk: version}, {tenant.payer.pk: [at]})[tenant.payer.pk]


def test_a_second_subscription_prices_the_next_charge_too(tenant: Tenant) -> None:
    subscribe(tenant, costly())
    assert price(tenant, "a") == Decimal("0.06")


def test_a_subscription_that_ended_prices_no_later_charge(tenant: Tenant) -> None:
    Subscription.objects.filter(billing_entity=tenant.payer).update(ends_at=NOW)
    assert price(tenant, "a", occurred_at=(NOW - timedelta(microseconds=1)).isoformat()) == Decimal("0.01")
    outcome = charge(tenant, "b", properties={"tokens": 1})
    assert isinstance(outcome, Denied)
    assert outcome.reason == "no_subscription"


def test_a_subscription_that_was_undone_prices_nothing(tenant: Tenant) -> None:
    with transaction.atomic():
        subscribe(tenant, costly())
        assert price(tenant, "inside") == Decimal("0.06")
        transaction.set_rollback(True)
    assert price(tenant, "a") == Decimal("0.01")
    assert balance(tenant) == Decimal("9.98")


def test_an_undone_change_and_another_one_are_never_taken_for_each_other(tenant: Tenant) -> None:
    for number, expected in enumerate(("0.06", "0.04")):
        with transaction.atomic():
            more = make_version([{**PER_TOKEN, "unit_price": str(Decimal(expected) - Decimal("0.01"))}])
            subscribe(tenant, more)
            assert price(tenant, f"inside-{number}") == Decimal(expected)
            transaction.set_rollback(True)
    assert price(tenant, "a") == Decimal("0.01")


def test_a_suspension_that_was_undone_refuses_nothing(tenant: Tenant) -> None:
    payer = BillingEntity.objects.filter(pk=tenant.payer.pk)
    with transaction.atomic():
        payer.update(status="suspended")
        refused = charge(tenant, "inside", properties={"tokens": 1})
        assert isinstance(refused, Denied)
        transaction.set_rollback(True)
    assert price(tenant, "a") == Decimal("0.01")
    payer.update(status="suspended")
    assert isinstance(charge(tenant, "b", properties={"tokens": 1}), Denied)


def test_an_overdraft_that_was_undone_is_not_used(tenant: Tenant) -> None:
    with transaction.atomic():
        BillingEntity.objects.filter(pk=tenant.payer.pk).update(overdraft=100)
        assert isinstance(charge(tenant, "inside", properties={"tokens": 2000}), Charged)
        transaction.set_rollback(True)
    assert isinstance(charge(tenant, "a", properties={"tokens": 2000}), Denied)


def test_an_external_id_moved_to_another_workspace_charges_its_payer(tenant: Tenant) -> None:
    assert tenant.subscription is not None
    heir = make_tenant(tenant.subscription.version, balance="10")
    name, before = str(tenant.workspace.external_id), balance(tenant)
    Workspace.objects.filter(pk=tenant.workspace.pk).update(external_id=None)
    gone = charge(tenant, "a", properties={"tokens": 1})
    assert isinstance(gone, Failed)
    assert gone.error.code == "unknown_workspace"
    Workspace.objects.filter(pk=heir.workspace.pk).update(external_id=name)
    moved = charge(tenant, "b", properties={"tokens": 1})
    assert isinstance(moved, Charged)
    assert moved.billing_entity == heir.payer.public_id
    assert (balance(tenant), balance(heir)) == (before, Decimal("9.99"))


def test_an_assignment_that_ended_lets_nobody_pay(tenant: Tenant) -> None:
    PayerAssignment.objects.filter(workspace=tenant.workspace).update(ends_at=NOW)
    outcome = charge(tenant, "a", properties={"tokens": 1})
    assert isinstance(outcome, Failed)
    assert outcome.error.code == "no_payer"


def test_a_meter_that_was_undone_hears_nothing(tenant: Tenant) -> None:
    with transaction.atomic():
        make_meter("renders", event="render", aggregation="count")
        inside = charge(tenant, "inside", event="render")
        assert isinstance(inside, Charged)
        assert not inside.unmatched
        transaction.set_rollback(True)
    outside = charge(tenant, "a", event="render")
    assert isinstance(outside, Charged)
    assert outside.unmatched


def test_known_prices_cost_no_statement(
    tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    version = Customer.objects.get(pk=tenant.customer.pk).config_version
    with django_assert_num_queries(0):
        prices = payer_prices({tenant.payer.pk: version}, {tenant.payer.pk: [NOW] * 50})
    assert len(prices[tenant.payer.pk].at(NOW)) == 1


def test_a_periods_segment_is_made_when_usage_first_falls_in_it(tenant: Tenant) -> None:
    assert Segment.objects.count() == 1
    outcome = price(tenant, "feb", occurred_at=(NOW + timedelta(hours=23)).isoformat())
    assert (outcome, Segment.objects.count()) == (Decimal("0.01"), 1)
    clock.use(lambda: NOW + 20 * DAY)
    assert price(tenant, "next") == Decimal("0.01")
    spans = list(Segment.objects.order_by("starts_at").values_list("starts_at", "ends_at"))
    february, march = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
    assert spans == [(START, february), (february, march)]


def test_usage_at_a_segments_end_belongs_to_the_next(tenant: Tenant) -> None:
    february = datetime(2026, 2, 1, tzinfo=UTC)
    for at, start in ((february - timedelta(microseconds=1), START), (february, february)):
        (segment,) = known(tenant, at).at(at)
        assert segment.starts_at == start


def test_before_its_subscription_nothing_is_priced(tenant: Tenant) -> None:
    early = START - timedelta(microseconds=1)
    stretch = known(tenant, early).stretch(early)
    assert (stretch.segments, stretch.subscriptions, stretch.is_missing) == ((), (), False)


def test_between_two_changes_everything_is_looked_up_once(tenant: Tenant) -> None:
    prices = known(tenant, START)
    noon = START + timedelta(hours=12)
    assert prices.stretch(START) is prices.stretch(noon)
    assert prices.stretch(START).subscriptions != ()
    assert prices.stretch(START - timedelta(microseconds=1)) is not prices.stretch(START)


def test_a_segment_that_was_rolled_back_is_made_again_and_not_counted_in(tenant: Tenant) -> None:
    later = NOW + 40 * DAY
    before = set(Segment.objects.values_list("pk", flat=True))
    with transaction.atomic():
        gone = {segment.id for segment in known(tenant, later).at(later)}
        assert gone.isdisjoint(before)
        transaction.set_rollback(True)
    assert set(Segment.objects.values_list("pk", flat=True)) == before
    (made,) = known(tenant, later).at(later)
    assert made.id not in gone
    assert Segment.objects.filter(pk=made.id).exists()


def test_prices_read_in_a_transaction_are_read_once_in_it(
    tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with transaction.atomic():
        known(tenant)
        with django_assert_num_queries(1):  # the customer's version
            known(tenant)
