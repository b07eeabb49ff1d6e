"""Starting and canceling subscriptions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.models import BillingEntity
from billing.charging import Charged, Denied, charge_many
from billing.periods import book_base_fees
from billing.subscriptions import cancel_subscription, start_subscription
from core import clock
from core.errors import Conflict, InvalidRequest, PermissionDenied, TollgateError, Unprocessable
from pricing.models import BillingPeriod, PlanVersion, Segment, Subscription
from pricing.plans import apply_plan, publish_version
from pricing.versions import retire_version
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
SEATS = {"key": "seats", "unit_amount": "10.00"}


def day(month: int, number: int = 1) -> datetime:
    """Midnight of a day of 2026, in UTC."""
    return datetime(2026, month, number, tzinfo=UTC)


_january = standing_at(NOW)


@pytest.fixture
def version() -> PlanVersion:
    """A published version that prices tokens."""
    make_meter()
    return make_version([PER_TOKEN])


@pytest.fixture
def tenant() -> Tenant:
    """A payer with ten dollars and no subscription."""
    return make_tenant(balance="10", overdraft=Decimal(0))


def periods(subscription: Subscription) -> list[tuple[datetime, datetime]]:
    """The bounds of the subscription's periods, which are those of its segments."""
    rows = list(subscription.periods.order_by("starts_at").values_list("starts_at", "ends_at"))
    assert list(subscription.segments.order_by("starts_at").values_list("starts_at", "ends_at")) == rows
    return rows


def test_a_payer_starts_now_on_a_published_version(tenant: Tenant, version: PlanVersion) -> None:
    assert isinstance(charge(tenant, "before", properties={"tokens": 1}), Denied)
    subscription = start_subscription(tenant.payer, version)
    assert (subscription.starts_at, subscription.ends_at, subscription.anchor_at) == (NOW, None, NOW)
    assert (subscription.status, subscription.quantities) == ("active", {})
    assert subscription.customer_id == tenant.customer.pk
    assert periods(subscription) == [(NOW, day(2))]
    outcome = charge(tenant, "after", properties={"tokens": 100})
    assert isinstance(outcome, Charged)
    assert outcome.amount == Decimal(1)


def test_a_start_may_lie_in_the_past_or_in_the_future(tenant: Tenant, version: PlanVersion) -> None:
    past = start_subscription(tenant.payer, version, starts_at=day(1, 3), ends_at=day(3), external_id="s1")
    assert periods(past) == [(day(1, 3), day(2))]
    future = start_subscription(tenant.payer, version, starts_at=day(3))
    assert periods(future) == [(day(3), day(4))]


def test_an_anchor_may_be_another_day_than_the_start(tenant: Tenant) -> None:
    make_meter()
    version = make_version([PER_TOKEN], anchor="subscription")
    subscription = start_subscription(tenant.payer, version, anchor_at=day(1, 20))
    assert periods(subscription) == [(NOW, day(1, 20))]
    assert isinstance(charge(tenant, "a", properties={"tokens": 1}), Charged)


def test_quantities_are_kept_for_the_fees_that_take_one(tenant: Tenant) -> None:
    version = make_version([], base_fees=[SEATS, {"key": "platform", "amount": "1"}])
    subscription = start_subscription(tenant.payer, version, quantities={"seats": Decimal("3.50")})
    assert subscription.quantities == {"seats": "3.5"}
    assert balance(tenant) == Decimal("10") - 35 - 1


@pytest.mark.parametrize(
    ("quantities", "code"),
    [
        ({"platform": "1"}, "unknown_quantity"),
        ({"x": "1"}, "unknown_quantity"),
        ({"seats": "-1"}, "negative_number"),
    ],
)
def test_other_quantities_are_refused(tenant: Tenant, quantities: dict[str, str], code: str) -> None:
    version = make_version([], base_fees=[SEATS, {"key": "platform", "amount": "1"}])
    given = {key: Decimal(value) for key, value in quantities.items()}
    with pytest.raises(InvalidRequest) as caught:
        start_subscription(tenant.payer, version, quantities=given)
    assert (caught.value.code, caught.value.param) == (code, f"quantities.{next(iter(quantities))}")


def test_only_published_versions_in_the_payers_currency_are_taken(tenant: Tenant) -> None:
    draft = apply_plan({"plan": "draft", "currency": "USD"})
    with pytest.raises(Unprocessable, match="draft v1 is draft") as caught:
        start_subscription(tenant.payer, draft)
    assert caught.value.code == "not_published"
    retire_version(publish_version(draft))
    with pytest.raises(Unprocessable, match="retired"):
        start_subscription(tenant.payer, draft)
    euros = publish_version(apply_plan({"plan": "euros", "currency": "EUR"}))
    with pytest.raises(Unprocessable) as caught:
        start_subscription(tenant.payer, euros)
    assert caught.value.code == "currency_mismatch"
    assert not Subscription.objects.exists()


def test_a_closed_payer_starts_nothing(tenant: Tenant, version: PlanVersion) -> None:
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="closed")
    with pytest.raises(PermissionDenied):
        start_subscription(tenant.payer, version)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"ends_at": NOW}, "invalid_period"),
        ({"ends_at": day(1)}, "invalid_period"),
        ({"starts_at": NOW - timedelta(days=4000)}, "out_of_range"),
        ({"starts_at": NOW + timedelta(days=4000)}, "out_of_range"),
        ({"anchor_at": datetime.min.replace(tzinfo=UTC)}, "out_of_range"),
        ({"ends_at": datetime.max.replace(tzinfo=UTC)}, "out_of_range"),
    ],
)
def test_instants_must_make_sense(
    tenant: Tenant, version: PlanVersion, fields: dict[str, datetime], code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        start_subscription(tenant.payer, version, **fields)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_no_meter_is_priced_twice_at_once(tenant: Tenant, version: PlanVersion) -> None:
    start_subscription(tenant.payer, version, starts_at=day(2), ends_at=day(3))
    other = make_version([PER_TOKEN | {"unit_price": "0.02"}])
    for starts_at, ends_at in ((day(2), day(3)), (NOW, None), (NOW, day(2, 2)), (day(2, 28), day(4))):
        with pytest.raises(Conflict, match="'tokens'") as caught:
            start_subscription(tenant.payer, other, starts_at=starts_at, ends_at=ends_at)
        assert caught.value.code == "meter_priced_already"
    before = start_subscription(tenant.payer, other, starts_at=NOW, ends_at=day(2))
    after = start_subscription(tenant.payer, other, starts_at=day(3))
    assert (before.ends_at, after.starts_at) == (day(2), day(3))


def test_subscriptions_that_price_other_meters_run_side_by_side(tenant: Tenant, version: PlanVersion) -> None:
    make_meter("images", event="image", aggregation="count")
    add_on = make_version([{"key": "img", "meter": "images", "model": "per_unit", "unit_price": "0.05"}])
    fee_only = make_version([], base_fees=[{"key": "support", "amount": "1"}])
    for each in (version, add_on, fee_only, fee_only):
        start_subscription(tenant.payer, each)
    assert Subscription.objects.count() == 4
    assert isinstance(charge(tenant, "a", properties={"tokens": 1}), Charged)
    assert isinstance(charge(tenant, "b", event="image"), Charged)


def test_another_payer_may_price_the_same_meter(tenant: Tenant, version: PlanVersion) -> None:
    start_subscription(tenant.payer, version)
    start_subscription(make_tenant().payer, version)
    assert Subscription.objects.count() == 2


def test_an_external_id_is_taken_once_and_is_none_of_ours(tenant: Tenant, version: PlanVersion) -> None:
    subscription = start_subscription(tenant.payer, version, external_id="s1", ends_at=day(2))
    with pytest.raises(Conflict) as caught:
        start_subscription(tenant.payer, version, external_id="s1", starts_at=day(2))
    assert caught.value.code == "already_exists"
    with pytest.raises(InvalidRequest):
        start_subscription(tenant.payer, version, external_id=subscription.public_id, starts_at=day(2))


def test_what_fails_leaves_nothing_behind(tenant: Tenant, version: PlanVersion) -> None:
    start_subscription(tenant.payer, version)
    with pytest.raises(TollgateError):
        start_subscription(tenant.payer, version)
    assert (Subscription.objects.count(), BillingPeriod.objects.count(), Segment.objects.count()) == (1, 1, 1)


def test_a_cancellation_ends_it_now_or_later(tenant: Tenant, version: PlanVersion) -> None:
    subscription = start_subscription(tenant.payer, version)
    assert isinstance(charge(tenant, "a", properties={"tokens": 1}), Charged)
    clock.use(lambda: NOW + timedelta(hours=1))
    canceled = cancel_subscription(subscription)
    assert (canceled.status, canceled.ends_at) == ("canceled", NOW + timedelta(hours=1))
    assert periods(canceled) == [(NOW, NOW + timedelta(hours=1))]
    denied = charge(tenant, "b", properties={"tokens": 1})
    assert isinstance(denied, Denied)
    assert denied.reason == "no_subscription"
    late = charge(tenant, "late", properties={"tokens": 1}, occurred_at="2026-01-15T12:30:00Z")
    assert isinstance(late, Charged)


def test_a_cancellation_on_a_date_lets_it_run_until_then(tenant: Tenant, version: PlanVersion) -> None:
    subscription = cancel_subscription(start_subscription(tenant.payer, version), at=day(2, 10))
    assert periods(subscription) == [(NOW, day(2))]
    clock.use(lambda: day(2, 9))
    assert isinstance(charge(tenant, "a", properties={"tokens": 1}), Charged)
    assert periods(subscription) == [(NOW, day(2)), (day(2), day(2, 10))]
    clock.use(lambda: day(2, 10))
    assert isinstance(charge(tenant, "b", properties={"tokens": 1}), Denied)
    start_subscription(tenant.payer, version)


def test_one_that_has_not_begun_never_does(tenant: Tenant) -> None:
    make_meter()
    version = make_version([PER_TOKEN], base_fees=[{"key": "platform", "amount": "5"}])
    subscription = cancel_subscription(start_subscription(tenant.payer, version, starts_at=day(2)))
    assert (subscription.status, subscription.ends_at) == ("canceled", day(2) + MICROSECOND)
    assert periods(subscription) == []
    assert book_base_fees(day(3)) == 0
    clock.use(lambda: day(2))
    start_subscription(tenant.payer, make_version([PER_TOKEN]), starts_at=day(2) + MICROSECOND)
    assert balance(tenant) == Decimal(10)


def test_one_canceled_in_the_instant_in_which_it_began_keeps_its_first_fee(tenant: Tenant) -> None:
    version = make_version(
        [],
        base_fees=[{"key": "platform", "amount": "5"}, {"key": "x", "amount": "1", "timing": "in_arrears"}],
    )
    subscription = cancel_subscription(start_subscription(tenant.payer, version))
    assert periods(subscription) == [(NOW, NOW + MICROSECOND)]
    assert book_base_fees(day(3)) == 0
    assert balance(tenant) == Decimal(5)


def test_a_cancellation_happens_once_and_not_in_the_past(tenant: Tenant, version: PlanVersion) -> None:
    subscription = start_subscription(tenant.payer, version, ends_at=day(3))
    with pytest.raises(InvalidRequest, match="now or later"):
        cancel_subscription(subscription, at=NOW - MICROSECOND)
    with pytest.raises(Conflict, match="ends before"):
        cancel_subscription(subscription, at=day(3))
    cancel_subscription(subscription, at=day(2))
    with pytest.raises(Conflict, match="canceled already"):
        cancel_subscription(subscription)


def test_usage_that_is_charged_already_keeps_its_subscription(tenant: Tenant, version: PlanVersion) -> None:
    clock.use(lambda: day(1, 31) + timedelta(hours=12))
    subscription = start_subscription(tenant.payer, version)
    ahead = charge(tenant, "a", properties={"tokens": 1}, occurred_at="2026-02-01T06:00:00Z")
    assert isinstance(ahead, Charged)
    with pytest.raises(Conflict) as caught:
        cancel_subscription(subscription, at=day(2))
    assert caught.value.code == "usage_after"
    subscription.refresh_from_db()
    assert subscription.status == "active"


def test_the_first_call_of_a_new_period_makes_its_rows(tenant: Tenant, version: PlanVersion) -> None:
    subscription = start_subscription(tenant.payer, version)
    clock.use(lambda: day(4, 5))
    assert isinstance(charge(tenant, "a", properties={"tokens": 1}), Charged)
    assert periods(subscription) == [(NOW, day(2)), (day(4), day(5))]
    book_base_fees(day(4, 5))
    assert periods(subscription) == [(NOW, day(2)), (day(2), day(3)), (day(3), day(4)), (day(4), day(5))]


def test_nothing_is_charged_for_an_empty_batch() -> None:
    assert charge_many([]) == []
