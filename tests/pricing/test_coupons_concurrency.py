"""The last redemption of a coupon, wanted by several at once: one gets it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Barrier
from unittest import mock

import pytest
from django.db import IntegrityError
from django.db.models import QuerySet

from billing.subscriptions import start_subscription
from core.errors import Conflict
from pricing.coupons import create_coupon, redeem_coupon
from pricing.models import Coupon, CouponRedemption, Subscription
from pricing.plans import apply_plan
from pricing.versions import publish_version
from tests.billing.world import make_tenant
from tests.concurrency.crowd import tried_at_once
from tests.pricing.documents import plan_document

pytestmark = pytest.mark.django_db(transaction=True)

CALLERS = 4


@pytest.fixture
def subscriptions() -> list[Subscription]:
    version = publish_version(apply_plan(plan_document()))
    return [start_subscription(make_tenant().payer, version) for _ in range(CALLERS)]


def race(subscriptions: list[Subscription]) -> list[object]:
    """All of them redeem a coupon that two may redeem."""
    create_coupon({"key": "launch", "percent": "20", "max_redemptions": 2})
    return tried_at_once(*[lambda each=each: redeem_coupon(each, "launch") for each in subscriptions])


@contextmanager
def without_the_lock() -> Iterator[None]:
    """Redeeming does not lock the coupon, and all have looked at it before one goes on."""
    barrier = Barrier(CALLERS)

    def first(rows: QuerySet[Coupon]) -> Coupon | None:
        found = next(iter(rows[:1]), None)
        if rows.model is Coupon:
            barrier.wait()
        return found

    with (
        mock.patch.object(QuerySet, "select_for_update", lambda rows, **_: rows),
        mock.patch.object(QuerySet, "first", first),
    ):
        yield


def test_two_redeem_it_and_the_others_are_told(subscriptions: list[Subscription]) -> None:
    results = race(subscriptions)
    assert sum(isinstance(result, CouponRedemption) for result in results) == 2
    refusals = [result.code for result in results if isinstance(result, Conflict)]
    assert refusals == ["coupon_used_up"] * 2
    assert Coupon.objects.get().redemptions == CouponRedemption.objects.count() == 2


def test_without_the_lock_the_database_still_holds_the_limit(subscriptions: list[Subscription]) -> None:
    with without_the_lock():
        results = race(subscriptions)
    assert sum(isinstance(result, CouponRedemption) for result in results) == 2
    assert sum(isinstance(result, IntegrityError) for result in results) == 2
    assert Coupon.objects.get().redemptions == CouponRedemption.objects.count() == 2
