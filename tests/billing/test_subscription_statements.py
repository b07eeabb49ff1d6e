"""What the verbs of subscriptions take: a fixed number of statements, and no round trip for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Mode
from billing.subscriptions import cancel_subscription, change_subscription, start_subscription
from core import clock
from pricing.models import PlanVersion, Subscription
from tests.billing.world import START, charge, make_meter, make_tenant, make_version
from tests.statements import BUDGETS, counted

pytestmark = pytest.mark.django_db
PARTS = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}]
LATER = START + timedelta(days=15)


@pytest.fixture(autouse=True)
def _clock(ready_months: None) -> Iterator[None]:
    clock.use(lambda: START)
    yield
    clock.use(None)


def version_with(fee: str) -> PlanVersion:
    seats = {"key": "seats", "unit_amount": "5", "prorate": True}
    return make_version(PARTS, base_fees=[{"key": "platform", "amount": fee, "prorate": True}, seats])


def started(version: PlanVersion) -> Subscription:
    """A subscription that has run for half a month, with usage; it is the 16th."""
    clock.use(lambda: START)
    tenant = make_tenant(settlement="invoice_only")
    subscription = start_subscription(tenant.payer, version, quantities={"seats": Decimal(2)})
    charge(tenant, "k", Mode.REPORT, properties={"tokens": 2})
    clock.use(lambda: LATER)
    return subscription


VERBS: dict[str, Callable[[Subscription, PlanVersion], Any]] = {
    "change of version": lambda row, other: change_subscription(row, version=other),
    "change of quantities": lambda row, other: change_subscription(row, quantities={"seats": Decimal(3)}),
    "scheduled change": lambda row, other: change_subscription(
        row, version=other, at=LATER + timedelta(days=5)
    ),
    "cancellation": lambda row, other: cancel_subscription(row, credit_unused=True),
}


@pytest.mark.parametrize("name", VERBS)
def test_a_change_keeps_its_budget(name: str) -> None:
    make_meter()
    version, other = version_with("31"), version_with("62")
    VERBS[name](started(version), other)  # the first one fills what a process keeps
    subscription = started(version)
    with counted() as statements:
        VERBS[name](subscription, other)
    assert len(statements) == BUDGETS[name], statements.shown
    assert statements.trips <= len(statements) - 2, "what can go together does"


def test_a_start_keeps_its_budget() -> None:
    make_meter()
    version = version_with("31")
    started(version)
    clock.use(lambda: START)
    payer = make_tenant(settlement="invoice_only", balance="5").payer
    with counted() as statements:
        start_subscription(payer, version, quantities={"seats": Decimal(2)})
    assert len(statements) == BUDGETS["start"], statements.shown
