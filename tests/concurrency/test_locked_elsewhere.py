"""A wallet that another transaction holds: whoever may not wait goes round it at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from django.db import connection

from billing.charging import HoldTerms, Mode, entitling
from billing.charging.path import charge_batch
from billing.models import Authorization, LedgerAccount, LimitCounter, LimitHold
from pricing.models import PlanVersion
from tests.billing.world import Tenant, make_meter, make_tenant, make_version, request

QUOTA = {"feature": "quota", "type": "metered", "meter": "tokens", "limit": "100"}
LOCK = "SELECT 1 FROM billing_ledgeraccount WHERE billing_entity_id = %s FOR UPDATE"


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}])


def never_seen_by_this_process(version: PlanVersion) -> Tenant:
    tenant = make_tenant(version)
    LedgerAccount.objects.create(
        customer_id=tenant.customer.pk, billing_entity_id=tenant.payer.pk, kind="wallet"
    )
    return tenant


@contextmanager
def locked(tenant: Tenant) -> Iterator[None]:
    """While another transaction holds the payer's wallet."""
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: params[name] for name in names if name in params}) as other:
        other.execute(LOCK, (tenant.payer.pk,))
        yield


def test_a_locked_wallet_that_this_process_never_saw_is_left_out(version: PlanVersion) -> None:
    held, free = never_seen_by_this_process(version), make_tenant(version)
    requests = [(0, request(held, "a")), (1, request(free, "b"))]
    with locked(held):
        assert charge_batch(requests, skip_locked=True).keys() == {1}
    assert charge_batch(requests[:1], skip_locked=True).keys() == {0}


def test_a_quota_of_a_locked_payer_is_brought_up_to_date_by_who_has_it_locked() -> None:
    """Else both do it, and all that the payer has used before counts twice."""
    make_meter()
    component = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0"}
    version = make_version([component], entitlements=[QUOTA])
    held, free = make_tenant(version), make_tenant(version)
    hold = request(held, "hold", Mode.HOLD, properties={"tokens": 5})
    hold.hold = HoldTerms(timedelta(hours=1))
    charge_batch([(0, request(held, "a", properties={"tokens": 7})), (1, hold)], skip_locked=False)
    LimitCounter.objects.all().delete()  # as if the quota had come after them
    LimitHold.objects.all().delete()
    Authorization.objects.update(counted_in=[])
    entitling._ranges.clear()
    requests = [
        (place, request(one, "b", properties={"tokens": 1})) for place, one in enumerate((held, free))
    ]
    with locked(held):
        assert charge_batch(requests, skip_locked=True).keys() == {1}
        rows = LimitCounter.objects.values_list("customer_id", "used")
        assert list(rows) == [(free.customer.pk, 1)]
        assert not LimitHold.objects.exists()
    assert charge_batch(requests[:1], skip_locked=True).keys() == {0}
    assert LimitCounter.objects.get(customer_id=held.customer.pk).used == 8
    assert LimitHold.objects.get().amount == 5
