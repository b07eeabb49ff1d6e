"""Previewing a repair of a large payer keeps none of its calls waiting."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import transaction

from billing.models import Discrepancy, LedgerAccount
from billing.reconciliation.repairs import running
from billing.reconciliation.repairs.running import find_action, preview_repair
from core.sql import driver
from tests.billing.repairs.broken import corrupt, discrepancies, the_one
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
LOCK = "SELECT FROM billing_ledgeraccount WHERE billing_entity_id = %s FOR UPDATE NOWAIT"


BUMP = "UPDATE billing_ledgeraccount SET balance = balance + %s WHERE kind = 'wallet'"


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    """A payer whose balance is raised until the test ends."""
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10", overdraft=Decimal(0))
    charge(tenant, "c", properties={"tokens": 1})
    corrupt(BUMP, 5)
    yield tenant
    corrupt(BUMP, -5)


def bumped() -> Discrepancy:
    with transaction.atomic():
        return the_one("balance", discrepancies())


def freed(tenant: Tenant, function: str, free: list[bool]) -> Any:
    """Let `function` of the repairs note, whenever it has ended, whether a call could go on then."""
    original = getattr(running, function)

    def noting(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        with psycopg.connect(driver().info.dsn) as other:
            try:
                other.execute(LOCK, (tenant.payer.pk,))
                free.append(True)
            except psycopg.errors.LockNotAvailable:
                free.append(False)
        return result

    return mock.patch.object(running, function, noting)


def test_of_a_large_payer_neither_the_check_nor_the_repair_holds_a_lock(tenant: Tenant) -> None:
    row = bumped()
    free: list[bool] = []
    with (
        mock.patch.object(running, "REHEARSED_NUMBERS", 0),
        freed(tenant, "_check", free),
        freed(tenant, "_preview", free),
    ):
        preview = preview_repair(row, find_action(row, "rebuild_balance"))
    assert (free, preview.is_known) == ([True, True], False)
    assert LedgerAccount.objects.get(kind="wallet").balance == Decimal("14.99")


def test_of_a_small_one_it_is_rehearsed_under_a_lock_that_ends_with_it(tenant: Tenant) -> None:
    row = bumped()
    free: list[bool] = []
    with freed(tenant, "_check", free):
        preview = preview_repair(row, find_action(row, "rebuild_balance"))
    assert (free, preview.is_known, preview.after) == ([False, False], True, None)
    with psycopg.connect(driver().info.dsn) as other:
        other.execute(LOCK, (tenant.payer.pk,))
    assert LedgerAccount.objects.get(kind="wallet").balance == Decimal("14.99")
