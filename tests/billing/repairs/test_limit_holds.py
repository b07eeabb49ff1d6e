"""What a limit reserves for a hold is what the hold says; else it is found, and written anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.models import LimitHold
from billing.reconciliation.repairs.running import do_repair, find_action, preview_repair
from core import clock
from tests.accounts.caller import Caller, caller_with
from tests.billing.repairs.broken import corrupt, discrepancies, found, the_one
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
BROKEN = {
    "raised": "UPDATE billing_limithold SET amount = amount + 2",
    "lowered": "UPDATE billing_limithold SET amount = amount - 1",
    "gone": "DELETE FROM billing_limithold",
    "until later": "UPDATE billing_limithold SET expires_at = expires_at + interval '1 day'",
}


@pytest.fixture
def caller() -> Iterator[Caller]:
    clock.use(lambda: NOW)
    yield caller_with("admin")
    clock.use(None)


@pytest.fixture
def hold(caller: Caller) -> str:
    """An open hold of 3 under a limit."""
    make_meter()
    tenant: Tenant = make_tenant(make_version([PER_TOKEN]), balance="100", overdraft=Decimal(0))
    limit = {"billing_entity": tenant.payer.public_id, "amount": "50", "currency": "USD", "window": "day"}
    caller.made("/v1/spend-limits", limit)
    call = {"idempotency_key": "h", "event": "completion", "workspace": tenant.workspace.external_id}
    return str(caller.made("/v1/authorizations", call | {"properties": {"tokens": 300}})["id"])


def reserved() -> list[Any]:
    return list(LimitHold.objects.order_by("counter").values())


def repair() -> None:
    row = the_one("limit_hold", discrepancies())
    action = find_action(row, "rebuild_limit_hold")
    facts = preview_repair(row, action).facts
    do_repair(row, action, facts=facts, reason="r", by="felix")


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_reserved_of_a_limit_is_written_anew(caller: Caller, hold: str, statement: str) -> None:
    before = reserved()
    assert [row["amount"] for row in before] == [Decimal(3)]
    assert found() == []
    corrupt(statement)
    repair()
    assert reserved() == before
    assert found() == []
    assert caller.post(f"/v1/authorizations/{hold}/void", {}).status == 200
    assert reserved() == []


def test_nothing_stays_reserved_for_a_hold_that_is_settled(caller: Caller, hold: str) -> None:
    (row,) = LimitHold.objects.all()
    assert caller.post(f"/v1/authorizations/{hold}/void", {}).status == 200
    LimitHold.objects.bulk_create([row])
    repair()
    assert reserved() == []
    assert found() == []
