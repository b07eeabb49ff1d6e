"""Coupons as rows: made, changed until they are redeemed, redeemed no more often than they may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import Error, IntegrityError, transaction

from accounts.models import Currency
from billing.subscriptions import cancel_subscription, start_subscription
from core import clock
from core.database_errors import explain_database_error
from core.errors import Conflict, InvalidRequest, TollgateError
from pricing.catalog import CatalogError
from pricing.coupons import create_coupon, discounts_in, redeem_coupon
from pricing.models import BillingPeriod, Coupon, CouponRedemption, Subscription
from pricing.periods import ensure_segments
from pricing.plans import apply_catalog, apply_plan
from pricing.rating.coupons import Discount
from pricing.versions import publish_version
from tests.billing.world import make_tenant
from tests.pricing.documents import catalog_of, plan_document

pytestmark = pytest.mark.django_db

LAUNCH: dict[str, Any] = {"key": "launch", "percent": "20", "periods": 2, "components": ["calls"]}
VOUCHER: dict[str, Any] = {"key": "voucher", "amount": "50", "currency": "USD"}


@pytest.fixture
def subscription() -> Subscription:
    """A subscription on the plan `pro` since the first of March 2026."""
    version = publish_version(apply_plan(plan_document()))
    return start_subscription(make_tenant().payer, version, starts_at=datetime(2026, 3, 1, tzinfo=UTC))


def applied(*coupons: dict[str, Any]) -> list[str]:
    """What applying a file with these coupons did."""
    return [str(one) for one in apply_catalog(catalog_of({"coupons": list(coupons)}))]


def refused(*coupons: dict[str, Any]) -> list[tuple[str, str | None]]:
    """(code, path) of what stands against a file with these coupons."""
    with pytest.raises(CatalogError) as caught:
        apply_catalog(catalog_of({"coupons": list(coupons)}))
    return [(problem.code, problem.path) for problem in caught.value.problems]


def not_redeemed(subscription: Subscription, key: str = "launch", now: datetime | None = None) -> str:
    """Why a coupon cannot be redeemed."""
    with pytest.raises(TollgateError) as caught:
        redeem_coupon(subscription, key, now)
    return caught.value.code


def test_a_file_makes_coupons_and_applying_it_again_changes_nothing() -> None:
    assert applied(LAUNCH, VOUCHER) == ["coupon launch: created", "coupon voucher: created"]
    assert applied(LAUNCH, VOUCHER) == ["coupon launch: unchanged", "coupon voucher: unchanged"]
    launch = Coupon.objects.get(key="launch")
    assert (launch.percent, launch.amount, launch.periods) == (Decimal(20), None, 2)
    assert (launch.components, launch.plans, launch.redemptions) == (["calls"], [], 0)
    voucher = Coupon.objects.get(key="voucher")
    assert (voucher.percent, voucher.amount, voucher.currency) == (None, Decimal(50), "USD")


def test_a_coupon_changes_until_it_is_redeemed(subscription: Subscription) -> None:
    applied(LAUNCH)
    assert applied(LAUNCH | {"percent": "25"}) == ["coupon launch: changed"]
    redeem_coupon(subscription, "launch")
    assert refused(LAUNCH) == [("coupon_frozen", "coupons[0].percent")]
    assert Coupon.objects.get().percent == Decimal(25)
    later = LAUNCH | {"percent": "25", "name": "Launch!", "max_redemptions": 1}
    assert applied(later | {"redeem_before": "2027-01-01T00:00:00Z"}) == ["coupon launch: changed"]


def test_a_limit_below_what_was_redeemed_is_refused(subscription: Subscription) -> None:
    applied(LAUNCH)
    redeem_coupon(subscription, "launch")
    other = start_subscription(make_tenant().payer, subscription.version)
    redeem_coupon(other, "launch")
    assert refused(LAUNCH | {"max_redemptions": 1}) == [("number_out_of_range", "coupons[0].max_redemptions")]


def test_one_coupon_that_is_wrong_keeps_the_others_away() -> None:
    assert refused(LAUNCH, VOUCHER | {"currency": "CRD"}) == [("unknown_currency", "coupons[1].currency")]
    assert not Coupon.objects.exists()
    Currency.objects.create(
        code="CRD", name="Credits", price=Decimal(1), price_currency="USD", created_at=clock.now()
    )
    assert applied(VOUCHER | {"currency": "CRD"}) == ["coupon voucher: created"]


def test_a_coupon_is_made_once_by_its_key() -> None:
    assert create_coupon(LAUNCH).public_id.startswith("cpn_")
    with pytest.raises(Conflict) as caught:
        create_coupon(LAUNCH)
    assert (caught.value.code, caught.value.param) == ("coupon_exists", "key")
    with pytest.raises(InvalidRequest):
        create_coupon(VOUCHER | {"currency": "XYZ"})


def test_a_redemption_says_who_and_when(subscription: Subscription) -> None:
    create_coupon(LAUNCH)
    now = datetime(2026, 3, 15, tzinfo=UTC)
    redemption = redeem_coupon(subscription, "launch", now)
    assert (redemption.subscription, redemption.customer_id) == (subscription, subscription.customer_id)
    assert redemption.redeemed_at == now
    assert Coupon.objects.get().redemptions == 1


def test_a_coupon_is_on_a_subscription_once(subscription: Subscription) -> None:
    create_coupon(LAUNCH)
    redeem_coupon(subscription, "launch")
    assert not_redeemed(subscription) == "coupon_redeemed"
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        CouponRedemption.objects.create(
            customer_id=subscription.customer_id,
            coupon=Coupon.objects.get(),
            subscription=subscription,
            redeemed_at=clock.now(),
        )
    explained = explain_database_error(caught.value)
    assert explained is not None
    assert explained.code == "coupon_redeemed"
    assert Coupon.objects.get().redemptions == 1


def test_a_coupon_is_redeemed_no_more_often_than_it_may_be(subscription: Subscription) -> None:
    coupon = create_coupon(LAUNCH | {"max_redemptions": 1})
    redeem_coupon(subscription, "launch")
    other = start_subscription(make_tenant().payer, subscription.version)
    assert not_redeemed(other) == "coupon_used_up"
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        CouponRedemption.objects.create(
            customer_id=other.customer_id, coupon=coupon, subscription=other, redeemed_at=clock.now()
        )
    explained = explain_database_error(caught.value)
    assert explained is not None
    assert explained.code == "coupon_used_up"


def test_a_coupon_that_does_not_fit_is_refused(subscription: Subscription) -> None:
    before = datetime(2026, 6, 1, tzinfo=UTC)
    create_coupon(LAUNCH | {"key": "over", "redeem_before": "2026-06-01T00:00:00Z"})
    create_coupon(LAUNCH | {"key": "others", "plans": ["team"]})
    create_coupon(VOUCHER | {"key": "euros", "currency": "EUR"})
    create_coupon(LAUNCH)
    assert not_redeemed(subscription, "nope") == "unknown_coupon"
    assert not_redeemed(subscription, "others") == "coupon_of_other_plans"
    assert not_redeemed(subscription, "euros") == "currency_mismatch"
    assert not_redeemed(subscription, "over", before) == "coupon_over"
    assert redeem_coupon(subscription, "over", before - timedelta(seconds=1)).pk
    canceled = cancel_subscription(subscription)
    assert not_redeemed(canceled) == "not_active"


def test_redemptions_and_redeemed_coupons_stay_as_they_are(subscription: Subscription) -> None:
    coupon = create_coupon(LAUNCH)
    redemption = redeem_coupon(subscription, "launch")
    coupon.refresh_from_db()
    coupon.percent = Decimal(99)
    for attempt in (
        coupon.save,
        lambda: Coupon.objects.filter(pk=coupon.pk)._raw_delete(using="default"),
        lambda: CouponRedemption.objects.update(redeemed_at=clock.now()),
        redemption.delete,
    ):
        with pytest.raises(Error), transaction.atomic():
            attempt()
    assert Coupon.objects.get().percent == Decimal(20)


@pytest.mark.parametrize(
    "columns",
    [
        {"percent": None},
        {"percent": Decimal(0)},
        {"percent": Decimal("100.1")},
        {"amount": Decimal(5), "currency": "USD"},
        {"percent": None, "amount": Decimal(5)},
        {"percent": None, "amount": Decimal(0), "currency": "USD"},
        {"max_redemptions": 0, "redemptions": 1},
    ],
)
def test_the_database_knows_what_a_coupon_is(columns: dict[str, Any]) -> None:
    fields = {"key": "k", "name": "k", "percent": Decimal(5), "created_at": clock.now()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Coupon.objects.create(**fields | columns)
    assert Coupon.objects.create(**fields).redemptions == 0


def test_a_coupon_gives_its_discount_in_the_periods_that_it_holds_in(subscription: Subscription) -> None:
    create_coupon(LAUNCH)
    create_coupon(VOUCHER)
    redeem_coupon(subscription, "voucher", datetime(2026, 4, 2, tzinfo=UTC))
    redeem_coupon(subscription, "launch", datetime(2026, 4, 20, tzinfo=UTC))
    ensure_segments([(subscription.pk, datetime(2026, month, 5, tzinfo=UTC)) for month in (3, 4, 5, 6)])
    periods = BillingPeriod.objects.filter(subscription=subscription).order_by("starts_at")[:4]
    launch = Discount(Decimal(20), None, frozenset({"calls"}))
    voucher = Discount(None, Decimal(50))
    assert [discounts_in(period) for period in periods] == [
        [],
        [voucher, launch],
        [voucher, launch],
        [voucher],
    ]


def test_without_coupons_there_is_no_discount(subscription: Subscription) -> None:
    assert discounts_in(BillingPeriod.objects.filter(subscription=subscription)[0]) == []
