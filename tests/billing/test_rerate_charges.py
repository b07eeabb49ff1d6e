"""Charges are taken back and made again at what covers their events now: for changes that are backdated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from billing.charging import Mode
from billing.models import LedgerAccount, MarginBucket, Reversal
from billing.reversals import rerate_charges, rerate_usage
from metering.models import UsageBucket
from pricing.models import Segment, Subscription
from tests.billing.reversing import all_charges, check, event, move, reverse, subscribe, use
from tests.billing.world import START, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
_january = standing_at(NOW)


def test_charges_are_made_again_at_the_price_that_covers_their_events_now() -> None:
    make_meter()
    tenant = make_tenant(None, balance="100")
    subscribe(tenant, START)
    for day, key in ((3, "a"), (8, "b"), (12, "c")):
        at = datetime(2026, 1, day, tzinfo=UTC).isoformat()
        charge(tenant, key, Mode.REPORT, properties={"tokens": 10}, occurred_at=at)
    assert balance(tenant) == 70
    move(tenant, datetime(2026, 1, 7, tzinfo=UTC), "0.5")
    done = rerate_charges(tenant.payer, all_charges(tenant)[1:], NOW, "A change was backdated", by="staff")
    assert (done.reversed, done.charged, done.reversed_amount, done.charged_amount) == (2, 2, -20, 10)
    assert (done.difference, balance(tenant)) == (-10, 80)
    assert [one.amount for one in all_charges(tenant)] == [10, 10, 10, -10, -10, 5, 5]
    assert [row.cause for row in Reversal.objects.all()] == ["rerating"] * 2
    replacing = {row.event_id: row.replaced_by for row in Reversal.objects.all()}
    assert replacing == {event(key).id: all_charges(tenant)[at].id for key, at in (("b", 5), ("c", 6))}
    bucket = MarginBucket.objects.order_by("hour").last()
    assert bucket is not None
    assert (bucket.events, bucket.revenue) == (1, 5)
    check(tenant)


def test_a_charge_that_was_made_again_can_be_made_again_and_reversed() -> None:
    make_meter()
    tenant = make_tenant(None, balance="100")
    subscribe(tenant, START)
    use(tenant, "a", tokens=10)
    for price in ("0.5", "0.25"):
        move(tenant, START + timedelta(days=1 if price == "0.5" else 2), price)
        rerate_charges(tenant.payer, all_charges(tenant), NOW, "Backdated")
    assert balance(tenant) == Decimal("97.5")
    assert reverse("a") == Decimal("-2.5")
    again = rerate_charges(tenant.payer, all_charges(tenant), NOW, "Backdated")
    assert (again.reversed, again.charged) == (0, 0)
    assert balance(tenant) == 100
    check(tenant)


def test_what_nothing_prices_any_more_is_taken_back_and_charged_when_a_price_comes() -> None:
    make_meter()
    tenant = make_tenant(None, balance="100")
    subscription = subscribe(tenant, START)
    use(tenant, "a", tokens=10)
    end = START + timedelta(days=2)
    Segment.objects.update(ends_at=end)
    Subscription.objects.update(ends_at=end)
    done = rerate_usage(tenant.payer, end, None, NOW, "It had ended")
    assert (done.reversed, done.charged, balance(tenant)) == (1, 0, 100)
    subscribe(tenant, end, "2")
    done = rerate_usage(tenant.payer, end, None, NOW, "It goes on")
    assert (done.reversed, done.charged, balance(tenant)) == (0, 1, 80)
    assert subscription.pk
    check(tenant)


def test_usage_that_nothing_had_priced_is_charged_with_the_rest() -> None:
    make_meter()
    tenant = make_tenant(None, balance="100")
    charge(tenant, "early", Mode.REPORT, properties={"tokens": 3}, occurred_at="2026-01-05T00:00:00Z")
    subscribe(tenant, datetime(2026, 1, 10, tzinfo=UTC))
    charge(tenant, "later", Mode.REPORT, properties={"tokens": 4}, occurred_at="2026-01-12T00:00:00Z")
    Subscription.objects.update(starts_at=START)
    done = rerate_usage(tenant.payer, START, None, NOW, "It began earlier")
    assert (done.reversed, done.charged, done.difference) == (1, 2, 3)
    assert balance(tenant) == 93
    check(tenant)


def test_uniques_are_counted_anew_in_the_segment_that_covers_them_now() -> None:
    make_meter(aggregation="unique", property_path="person")
    tenant = make_tenant(None, balance="100")
    subscribe(tenant, START)
    for day, key in ((3, "a"), (8, "b"), (9, "c")):
        at = datetime(2026, 1, day, tzinfo=UTC).isoformat()
        charge(tenant, key, Mode.REPORT, properties={"person": "ada"}, occurred_at=at)
    move(tenant, datetime(2026, 1, 7, tzinfo=UTC), "3")
    done = rerate_usage(tenant.payer, datetime(2026, 1, 7, tzinfo=UTC), None, NOW, "Backdated")
    assert (done.reversed_amount, done.charged_amount) == (0, 3)
    assert sorted(bucket.quantity for bucket in UsageBucket.objects.all()) == [0, 1, 1]
    assert sum(bucket.events for bucket in UsageBucket.objects.all()) == 3
    check(tenant)


def test_a_failed_change_leaves_no_trace_of_its_re_rating() -> None:
    make_meter()
    tenant = make_tenant(None, balance="100")
    subscribe(tenant, START)
    use(tenant, "a", tokens=5)
    before = list(LedgerAccount.objects.order_by("kind").values())
    with transaction.atomic():
        rerate_charges(tenant.payer, all_charges(tenant), NOW, "Backdated")
        assert Reversal.objects.count() == 1
        transaction.set_rollback(True)
    assert list(LedgerAccount.objects.order_by("kind").values()) == before
    assert use(tenant, "b", tokens=1).amount == 1
    check(tenant)


def test_components_without_a_price_do_not_keep_the_others_from_theirs() -> None:
    """An event whose cost is not known is charged in part, when it comes and when it is charged again."""
    make_meter()
    tenant = make_tenant(None, balance="100")
    subscription = subscribe(tenant, START)
    components = [
        {"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": "3"},
        {"key": "cost", "meter": "tokens", "model": "cost_plus", "markup": "1"},
    ]
    use(tenant, "a", tokens=4)
    at = START + timedelta(days=1)
    Segment.objects.update(ends_at=at)
    Subscription.objects.filter(pk=subscription.pk).update(ends_at=at)
    later = subscribe(tenant, at)
    Subscription.objects.filter(pk=later.pk).update(version=make_version(components))
    done = rerate_usage(tenant.payer, at, None, NOW, "Backdated")
    assert (done.reversed, done.charged, done.charged_amount) == (1, 1, 12)
    assert [line["component"] for line in all_charges(tenant)[-1].lines] == ["c"]
    assert reverse("a") == -12
    check(tenant)
