"""Changes of subscriptions among many: one meter is priced once, what is due is done once, and the very
next call is rated on the new version in every process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import pytest

from billing.charging import Charged, Denied, charge_many
from billing.models import BookedFee
from billing.subscriptions import (
    apply_subscription_changes,
    cancel_subscription,
    change_subscription,
    pause_subscription,
    resume_subscription,
    start_subscription,
)
from core import clock
from core.errors import Conflict
from core.sql import driver
from pricing.models import PlanVersion, Segment, Subscription, SubscriptionChange
from tests.billing.invariants import broken_invariants
from tests.billing.world import balance, charge, make_meter, make_tenant, make_version, request
from tests.clocks import standing_at
from tests.concurrency.crowd import at_once

NOW = datetime(2026, 1, 11, tzinfo=UTC)
PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
_clock = standing_at(NOW)


def per_token(price: str, **terms: Any) -> PlanVersion:
    """A version that prices tokens."""
    return make_version(
        [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": price}], **terms
    )


def wins(work: Callable[[], object]) -> Callable[[], bool]:
    """Whether a work was done; False when it met a conflict."""

    def run() -> bool:
        try:
            work()
        except Conflict:
            return False
        return True

    return run


def test_of_a_change_a_start_and_a_resumption_on_one_meter_one_wins() -> None:
    make_meter()
    tenant = make_tenant()
    plain, priced = make_version([]), per_token("1")
    changed, scheduled = (start_subscription(tenant.payer, plain) for _ in range(2))
    paused = start_subscription(tenant.payer, priced)
    clock.use(lambda: NOW + timedelta(seconds=1))
    pause_subscription(paused)
    clock.use(lambda: NOW + timedelta(seconds=2))
    won = at_once(
        [
            wins(lambda: change_subscription(changed, version=priced)),
            wins(lambda: change_subscription(scheduled, version=priced, at=NOW + timedelta(days=3))),
            wins(lambda: resume_subscription(paused)),
            wins(lambda: start_subscription(tenant.payer, priced)),
        ]
    )
    assert sum(won) == 1
    clock.use(lambda: NOW + timedelta(days=4))
    outcome = charge(tenant, "a", properties={"tokens": 1})
    assert isinstance(outcome, Charged)
    assert outcome.amount == Decimal(1)


def test_what_is_due_is_done_once_by_many_workers() -> None:
    old, new = (
        make_version([], base_fees=[PLATFORM]),
        make_version([], base_fees=[PLATFORM | {"amount": "62"}]),
    )
    tenants = [make_tenant(balance="100") for _ in range(4)]
    for tenant in tenants:
        subscription = start_subscription(tenant.payer, old)
        change_subscription(subscription, version=new, at=NOW + timedelta(days=10))
    later = NOW + timedelta(days=15)
    clock.use(lambda: later)
    done = at_once([lambda: apply_subscription_changes(later) for _ in range(4)])
    assert sum(done) == 4
    assert not SubscriptionChange.objects.filter(status="scheduled").exists()
    for tenant in tenants:
        fees = BookedFee.objects.filter(billing_entity_id=tenant.payer.pk).order_by("seq")
        assert [fee.amount for fee in fees] == [Decimal(21), Decimal(-11), Decimal(22)]
        assert balance(tenant) == 100 - 21 + 11 - 22
    assert set(Subscription.objects.values_list("version_id", flat=True)) == {new.pk}
    assert broken_invariants(driver()) == []


def test_charges_beside_a_change_are_each_rated_once_on_one_of_both_versions() -> None:
    make_meter()
    tenant = make_tenant(balance="1000")
    subscription = start_subscription(tenant.payer, per_token("1"))
    new = per_token("2")
    ticks = iter(range(1, 10_000))
    clock.use(lambda: NOW + timedelta(milliseconds=next(ticks)))

    def calls(name: str) -> list[Any]:
        return [charge_many([request(tenant, f"{name}-{n}", properties={"tokens": 1})])[0] for n in range(15)]

    works: list[Callable[[], Any]] = [partial(calls, name) for name in "abc"]
    at_once([*works, lambda: change_subscription(subscription, version=new)])
    first, second = Segment.objects.order_by("starts_at")
    assert (first.ends_at, second.version_id) == (second.starts_at, new.pk)
    outcome = charge(tenant, "last", properties={"tokens": 1})
    assert isinstance(outcome, Charged)
    assert outcome.amount == Decimal(2)
    assert broken_invariants(driver()) == []


def test_the_next_call_of_another_process_is_rated_on_the_new_version() -> None:
    """This process keeps its copies; the change comes from a connection past all of its code."""
    make_meter()
    tenant = make_tenant(balance="1000")
    start_subscription(tenant.payer, per_token("1"))
    new = per_token("2")
    assert isinstance(charge(tenant, "warm", properties={"tokens": 1}), Charged)
    segment = Segment.objects.get()
    at, end = NOW + timedelta(hours=1), segment.ends_at
    with psycopg.connect(driver().info.dsn) as other:
        other.execute(b"UPDATE pricing_segment SET ends_at = %s WHERE id = %s", (at, segment.pk))
        other.execute(
            b"INSERT INTO pricing_segment"
            b" (customer_id, subscription_id, version_id, period_id, starts_at, ends_at)"
            b" VALUES (%s, %s, %s, %s, %s, %s)",
            (segment.customer_id, segment.subscription_id, new.pk, segment.period_id, at, end),
        )
    clock.use(lambda: at)
    outcome = charge(tenant, "a", properties={"tokens": 1})
    assert isinstance(outcome, Charged)
    assert outcome.amount == Decimal(2)


@pytest.mark.parametrize("verb", [pause_subscription, cancel_subscription])
def test_of_many_who_stop_it_at_once_one_does(verb: Callable[..., Subscription]) -> None:
    make_meter()
    tenant = make_tenant(balance="100")
    subscription = start_subscription(tenant.payer, per_token("1", base_fees=[PLATFORM]))
    later = NOW + timedelta(days=1)
    clock.use(lambda: later)
    assert sum(at_once([wins(lambda: verb(subscription)) for _ in range(4)])) == 1
    assert isinstance(charge(tenant, "a", properties={"tokens": 1}), Denied)
    assert SubscriptionChange.objects.exclude(action="start").count() == 1
