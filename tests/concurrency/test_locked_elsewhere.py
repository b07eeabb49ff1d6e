"""A wallet that another transaction holds: whoever may not wait goes round it at once."""

from __future__ import annotations

import psycopg
import pytest
from django.db import connection

from billing.charging.path import charge_batch
from billing.models import LedgerAccount
from pricing.models import PlanVersion
from tests.billing.world import Tenant, make_meter, make_tenant, make_version, request

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


def test_a_locked_wallet_that_this_process_never_saw_is_left_out(version: PlanVersion) -> None:
    held, free = never_seen_by_this_process(version), make_tenant(version)
    params = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: params[name] for name in names if name in params}) as other:
        other.execute(LOCK, (held.payer.pk,))
        requests = [(0, request(held, "a")), (1, request(free, "b"))]
        assert charge_batch(requests, skip_locked=True).keys() == {1}
    assert charge_batch(requests[:1], skip_locked=True).keys() == {0}
