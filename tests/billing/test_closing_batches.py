"""Closing the periods of many payers in one transaction: what it takes, and that each gets its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Mode
from billing.closing import close_periods, verbs
from billing.models import ClosingLine
from billing.periods import book_base_fees
from billing.subscriptions import start_subscription
from core import clock
from pricing.models import BillingPeriod, PlanVersion
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.statements import BUDGETS, Statements, counted

pytestmark = pytest.mark.django_db
CLOSED_AT = datetime(2026, 2, 2, tzinfo=UTC)
PARTS = [
    {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1", "minimum": "10"},
    {"key": "peak", "meter": "peak", "model": "per_unit", "unit_price": "2"},
    {"key": "mean", "meter": "mean", "model": "per_unit", "unit_price": "1"},
]


@pytest.fixture(autouse=True)
def _world(ready_months: None) -> Iterator[None]:
    clock.use(lambda: START)
    make_meter()
    make_meter("peak", aggregation="min", property_path="tokens")
    make_meter("mean", aggregation="avg", property_path="tokens")
    yield
    clock.use(None)


def a_version() -> PlanVersion:
    return make_version(PARTS, minimum_spend="100")


def started(version: PlanVersion, *sizes: int, **payer: Any) -> Tenant:
    """A payer whose January is in grace, with events of these sizes."""
    clock.use(lambda: START)
    tenant = make_tenant(**({"settlement": "invoice_only"} | payer))
    tenant.subscription = start_subscription(tenant.payer, version)
    for number, size in enumerate(sizes):
        charge(tenant, f"k{number}", Mode.REPORT, properties={"tokens": size})
    return tenant


def close() -> tuple[int, Statements]:
    clock.use(lambda: CLOSED_AT)
    book_base_fees(CLOSED_AT)
    with counted() as statements:
        closed = close_periods(CLOSED_AT)
    return closed, statements


def lines_of(tenant: Tenant) -> list[tuple[str, str, Decimal]]:
    rows = ClosingLine.objects.filter(billing_entity_id=tenant.payer.pk).order_by("seq")
    return [(row.key, row.kind, row.amount) for row in rows if row.amount]


def test_many_payers_take_as_many_statements_as_one() -> None:
    version = a_version()
    started(version, 2)
    close()
    taken = []
    for size in (2, 7):
        for number in range(size):
            started(version, 2, number + 3)
        closed, statements = close()
        assert closed == size
        taken.append(statements)
    few, many = taken
    assert len(few) == len(many) == BUDGETS["close"], many.shown


def test_each_payer_gets_its_own_lines() -> None:
    version = a_version()
    small, large, idle = started(version, 2, 4), started(version, 30, 50), started(version)
    assert close()[0] == 3
    # 6 tokens are 4 short of 10; the least is 2 at 2, the mean 3; 17 in all, and 83 to the commitment.
    assert lines_of(small) == [
        ("tok", "minimum", 4),
        ("peak", "usage", 4),
        ("mean", "usage", 3),
        ("minimum_spend", "commitment", 83),
    ]
    assert lines_of(large) == [("peak", "usage", 60), ("mean", "usage", 40)]
    assert lines_of(idle) == [("tok", "minimum", 10), ("minimum_spend", "commitment", 90)]
    assert [balance(each, "receivable") for each in (small, large, idle)] == [-100, -180, -100]


def test_what_no_more_than_some_payers_fit_into_goes_on_in_the_next_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verbs, "PAYERS_AT_ONCE", 2)
    tenants = [started(a_version(), 2) for _ in range(5)]
    assert close()[0] == 5
    assert close()[0] == 0
    assert all(lines_of(tenant) for tenant in tenants)


def test_several_months_of_a_payer_close_in_order_with_those_of_others() -> None:
    version = a_version()
    tenants = [started(version, 2), started(version, 4)]
    later = datetime(2026, 4, 2, tzinfo=UTC)
    clock.use(lambda: later)
    book_base_fees(later)
    assert close_periods(later) == 6
    for tenant in tenants:
        rows = ClosingLine.objects.filter(billing_entity_id=tenant.payer.pk).exclude(seq=None)
        periods = [row.period_id for row in rows.order_by("seq")]
        assert periods == sorted(periods)
        assert balance(tenant, "receivable") == -300
    assert set(BillingPeriod.objects.filter(ends_at__lte=later).values_list("closed_at")) == {(later,)}


def test_one_that_fails_in_a_batch_is_left_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    version = a_version()
    tenants = [started(version, 2) for _ in range(5)]
    broken = tenants[3].payer.pk
    real = ClosingLine.objects.bulk_create

    def fail(rows: list[ClosingLine]) -> Any:
        if any(row.billing_entity_id == broken for row in rows):
            raise RuntimeError("no")
        return real(rows)

    with monkeypatch.context() as patched:
        patched.setattr(ClosingLine.objects, "bulk_create", fail)
        assert close()[0] == 4
    assert [record.message for record in caplog.records if "could not be closed" in record.message] == [
        f"the periods of {tenants[3].payer.public_id} could not be closed"
    ]
    assert lines_of(tenants[3]) == []
    assert close()[0] == 1
    assert [balance(tenant, "receivable") for tenant in tenants] == [-100] * 5


def test_a_payer_of_a_wallet_and_one_of_invoices_close_together() -> None:
    version = a_version()
    wallet = started(version, 2, settlement="wallet_only", balance="500")
    invoiced = started(version, 2)
    assert close()[0] == 2
    assert (balance(wallet), balance(wallet, "receivable")) == (400, 0)
    assert (balance(invoiced), balance(invoiced, "receivable")) == (0, -100)
    assert START + timedelta(days=31) == BillingPeriod.objects.earliest("starts_at").ends_at
