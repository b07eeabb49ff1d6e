"""A payer is closed among its own charges and changes: nothing deadlocks, and nothing is sold after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from accounts.models import BillingEntity
from accounts.payers import change_billing_entity
from billing.charging import Charged, charge_many
from billing.models import Charge
from billing.subscriptions import change_subscription, start_subscription
from core import clock
from core.errors import PermissionDenied
from core.sql import driver
from pricing.models import Segment, Subscription
from tests.billing.invariants import broken_invariants
from tests.billing.world import make_meter, make_tenant, make_version, request
from tests.clocks import standing_at
from tests.concurrency.crowd import tried_at_once

NOW = datetime(2026, 1, 11, tzinfo=UTC)
PRICE = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
_clock = standing_at(NOW)


def test_nothing_is_sold_after_it() -> None:
    make_meter()
    tenant = make_tenant(balance="1000")
    subscription = start_subscription(tenant.payer, make_version([PRICE]))
    other = make_version([PRICE | {"unit_price": "2"}])
    ticks = iter(range(1, 10_000))
    clock.use(lambda: NOW + timedelta(milliseconds=next(ticks)))

    def calls(name: str) -> list[Any]:
        return [charge_many([request(tenant, f"{name}-{n}", properties={"tokens": 1})])[0] for n in range(10)]

    works: list[Callable[[], Any]] = [partial(calls, name) for name in "ab"]
    *outcomes, changed, closed = tried_at_once(
        *works,
        lambda: change_subscription(subscription, version=other),
        lambda: change_billing_entity(tenant.payer, status="closed"),
    )
    assert isinstance(closed, BillingEntity), closed
    assert isinstance(changed, Subscription | PermissionDenied), changed
    charged = [one for each in outcomes for one in each if isinstance(one, Charged)]
    ends_at = Subscription.objects.get().ends_at
    assert ends_at is not None
    assert Charge.objects.filter(occurred_at__lt=ends_at).count() == Charge.objects.count() >= len(charged)
    assert not Segment.objects.filter(ends_at__gt=ends_at).exists()
    assert broken_invariants(driver()) == []
