"""A limit that is set while calls are held, captured and charged by many: it has missed nothing of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db.models import Sum

from billing.ledger import lock_accounts
from billing.limits import verbs
from billing.limits.verbs import create_limit, owner_of
from billing.models import Authorization, Charge, LimitCounter, LimitHold, SpendLimit
from core import clock
from core.sql import driver
from metering.models import Meter
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.concurrency.callers import Api, call
from tests.concurrency.crowd import at_once

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
Make = Callable[[Tenant], SpendLimit]
_clock = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="100000", overdraft=Decimal(0))


def of_workspace(tenant: Tenant) -> SpendLimit:
    return create_limit(owner_of(workspace=tenant.workspace), Decimal(20))


def of_payer_by_the_hour(tenant: Tenant) -> SpendLimit:
    owner = owner_of(billing_entity=tenant.payer)
    return create_limit(owner, Decimal(20), window="rolling", hours=24)


def of_meter(tenant: Tenant) -> SpendLimit:
    return create_limit(owner_of(billing_entity=tenant.payer, meter=Meter.objects.get()), Decimal(20))


def counted(limit: SpendLimit) -> tuple[Decimal, Decimal]:
    """What a limit has used, and what holds reserve of it."""
    used = LimitCounter.objects.filter(counter=limit.counter).aggregate(sum=Sum("used"))["sum"]
    held = LimitHold.objects.filter(counter=limit.counter).aggregate(sum=Sum("amount"))["sum"]
    return used or Decimal(0), held or Decimal(0)


def truth() -> tuple[Decimal, Decimal]:
    """What was charged, and what is held."""
    charged = Charge.objects.aggregate(sum=Sum("amount"))["sum"]
    held = Authorization.objects.filter(status="authorized").aggregate(sum=Sum("held"))["sum"]
    return charged or Decimal(0), held or Decimal(0)


@pytest.mark.parametrize("make", [of_workspace, of_payer_by_the_hour, of_meter])
def test_a_limit_set_among_holds_counts_each_of_them_once(tenant: Tenant, api: Api, make: Make) -> None:
    for number in range(10):
        assert api.authorize(call(tenant, f"before-{number}")).status_code == 201
    asking: list[Callable[[], Any]] = [
        partial(api.authorize, call(tenant, f"h{number}")) for number in range(30)
    ]
    asking.insert(random.Random(make.__name__).randrange(30), partial(make, tenant))
    answers = at_once(asking)
    (limit,) = SpendLimit.objects.all()
    assert counted(limit) == truth()
    given = 10 + sum(getattr(answer, "status_code", 0) == 201 for answer in answers)
    assert given >= 20  # hard from the instant at which it was set: it let the rest of its amount pass
    assert api.authorize(call(tenant, "one-more")).status_code == 402


@pytest.mark.parametrize("make", [of_workspace, of_payer_by_the_hour, of_meter])
def test_a_limit_set_while_holds_end_counts_what_became_of_them(tenant: Tenant, api: Api, make: Make) -> None:
    holds = [api.authorize(call(tenant, f"k{number}")).json()["id"] for number in range(24)]
    works: list[Callable[[], Any]] = [partial(api.capture, one, 1) for one in holds[:12]]
    works += [partial(api.void, one) for one in holds[12:18]]
    works += [partial(api.charge, call(tenant, f"c{number}")) for number in range(6)]
    works.insert(9, partial(make, tenant))
    at_once(works)
    (limit,) = SpendLimit.objects.all()
    assert counted(limit) == truth()
    assert truth()[1] == 6
    clock.use(lambda: NOW + timedelta(minutes=10))
    charged, _ = truth()
    assert (
        api.charge(call(tenant, "last", int(Decimal(20) - charged))).status_code == 201
    )  # the rest are over
    assert counted(limit) == truth() == (Decimal(20), 0)


def test_two_limits_set_at_once_see_the_same_holds(tenant: Tenant, api: Api) -> None:
    for number in range(5):
        assert api.authorize(call(tenant, f"k{number}")).status_code == 201
    limits = at_once([partial(make, tenant) for make in (of_workspace, of_payer_by_the_hour, of_meter)])
    assert [counted(limit) for limit in limits] == [(0, 5)] * 3


def test_what_is_charged_while_a_limit_waits_for_its_payer_came_before_it(
    tenant: Tenant, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = call(tenant, "yesterday") | {"occurred_at": (NOW - timedelta(days=1)).isoformat()}

    def lock_at_last(*locked: Any) -> None:
        clock.use(lambda: NOW + timedelta(seconds=1))
        assert api.report([yesterday]).json()["accepted"] == 1
        clock.use(lambda: NOW + timedelta(seconds=2))
        lock_accounts(*locked)

    monkeypatch.setattr(verbs, "lock_accounts", lock_at_last)
    limit = create_limit(owner_of(workspace=tenant.workspace), Decimal(20), window="day")
    assert (truth(), counted(limit)) == ((1, 0), (0, 0))
    assert broken_invariants(driver()) == []
