"""A customer's second payer that comes while the only one is being charged: the limits of both stay whole.

A customer's only payer does not lock the limits that it counts in, for its own lock guards them. Who opens
the second payer's account waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from threading import Event
from typing import Any

import pytest
from django.db import connection

from accounts.models import BillingEntity, Organization, PayerAssignment, Workspace
from accounts.organizations import create_organization
from billing import ledger
from billing.charging import Charged, Denied, Outcome, path
from billing.limits.verbs import create_limit, owner_of
from billing.models import LedgerAccount, LimitCounter
from billing.wallets import top_up
from core import clock
from pricing.models import PlanVersion, Subscription
from tests.billing.test_batching import locked_elsewhere
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request

NOW = START + timedelta(days=10)
PRICE = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
WAIT_SECONDS = 10


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PRICE])


class Pause:
    """Holds the first transaction that has locked and read, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_reached, self.may_go_on = Event(), Event()
        decide: Callable[..., Any] = path._decide_and_write

        def wait_and_decide(*arguments: Any) -> Any:
            if not self.is_reached.is_set():
                self.is_reached.set()
                assert self.may_go_on.wait(WAIT_SECONDS)
            return decide(*arguments)

        monkeypatch.setattr(path, "_decide_and_write", wait_and_decide)


def in_organization(tenant: Tenant) -> Organization:
    organization = create_organization(customer=tenant.customer, name="Group")
    tenant.workspace.organization = organization
    tenant.workspace.save()
    return organization


def second_payer(first: Tenant, organization: Organization) -> Tenant:
    """Another payer of the same customer, with a workspace in the same organization; without an account."""
    assert first.subscription is not None
    own = {"customer": first.customer, "created_at": NOW}
    payer = BillingEntity.objects.create(name="Second", currency="USD", external_id="second", **own)
    workspace = Workspace.objects.create(
        name="Second", external_id="second", organization=organization, **own
    )
    PayerAssignment.objects.create(workspace=workspace, billing_entity=payer, **own)
    subscription = Subscription.objects.create(
        billing_entity=payer,
        version=first.subscription.version,
        starts_at=START,
        anchor_at=START,
        **own,
    )
    return Tenant(first.customer, payer, workspace, subscription)


def use(tenant: Tenant, *, tops_up: bool = False) -> Outcome:
    """A call of 7, in a thread of its own."""
    try:
        if tops_up:
            top_up(tenant.payer, Decimal(100))
        return charge(tenant, f"of {tenant.payer.pk}", properties={"tokens": 7})
    finally:
        connection.close()


def wait_until_it_waits(work: Future[Any]) -> None:
    """Until the work waits for a lock, or is done."""
    deadline = time.monotonic() + WAIT_SECONDS
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    while not work.done():
        assert time.monotonic() < deadline
        with connection.cursor() as cursor:
            cursor.execute(waiting + " AND datname = current_database()")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)


def race(
    monkeypatch: pytest.MonkeyPatch, first: Tenant, organization: Organization, **how: Any
) -> list[type]:
    """Charge the first payer, and its customer's second one in the middle of that."""
    pause = Pause(monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        of_first = pool.submit(use, first)
        assert pause.is_reached.wait(WAIT_SECONDS)
        of_second = pool.submit(use, second_payer(first, organization), **how)
        wait_until_it_waits(of_second)
        pause.may_go_on.set()
        return [type(of_first.result()), type(of_second.result())]


@pytest.mark.parametrize("tops_up", [False, True])
def test_it_waits_for_the_only_payer(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch, tops_up: bool
) -> None:
    first = make_tenant(version, balance="100")
    organization = in_organization(first)
    limit = create_limit(owner_of(organization=organization), Decimal(10))
    assert race(monkeypatch, first, organization, tops_up=tops_up) == [Charged, Denied]
    assert LimitCounter.objects.get(counter=limit.counter).used == 7


def test_a_first_payer_without_an_account_locks_its_limits(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_tenant(version)
    organization = in_organization(first)
    limit = create_limit(owner_of(organization=organization), Decimal(10))
    LedgerAccount.objects.all().delete()  # as if the payer had come after the limit
    assert race(monkeypatch, first, organization) == [Charged, Denied]
    assert LimitCounter.objects.get(counter=limit.counter).used == 7


def test_without_the_wait_both_would_be_charged(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_tenant(version, balance="100")
    organization = in_organization(first)
    create_limit(owner_of(organization=organization), Decimal(10))
    monkeypatch.setattr(ledger, "OPEN", ledger.OPEN.replace("FOR UPDATE", ""))
    assert race(monkeypatch, first, organization) == [Charged, Charged]


def test_a_second_payer_that_has_to_wait_holds_up_nobody_else(version: PlanVersion) -> None:
    first, other = make_tenant(version, balance="100"), make_tenant(version, balance="100")
    second = second_payer(first, in_organization(first))
    requests = [
        (place, request(tenant, "new", properties={"tokens": 7}))
        for place, tenant in enumerate((second, other))
    ]
    with locked_elsewhere(first):
        outcomes = path.charge_batch(requests, skip_locked=True)
    assert [(place, type(outcome)) for place, outcome in outcomes.items()] == [(1, Charged)]
    assert not LedgerAccount.objects.filter(billing_entity_id=second.payer.pk).exists()
    top_up(second.payer, Decimal(100))
    assert type(charge(second, "later", properties={"tokens": 7})) is Charged
