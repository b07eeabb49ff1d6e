"""Margins from many hands: two costs for one call, one bill applied twice, calls against one floor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from threading import Barrier, local

import pytest

from billing.charging import Charged, Denied, Mode
from billing.costs import correct_cost
from billing.margin_rules import create_rule, watch_margins
from billing.models import CostEntry, MarginAlert, MarginBucket, VendorBill, VendorBillShare
from billing.reversals import reverse_event
from billing.vendor_bills import apply_bills, begin_bill, load_bill
from billing.vendor_bills.applying import apply_share
from core import clock
from core.errors import Conflict
from metering.event_values import CostPart
from metering.models import UsageEvent
from tests.billing.kept_periods import whole
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.concurrency.crowd import at_once

ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
DENY = {"min_margin": "0.2", "action": "deny"}
MANY = 8


@pytest.fixture
def tenant() -> Tenant:
    return floored()


def floored() -> Tenant:
    make_meter()
    return make_tenant(make_version([ONE_EACH], margin_floor=DENY), balance="9000")


def call(tenant: Tenant, key: str, price: int, cost: str, mode: Mode = Mode.ASK, **fields: object) -> object:
    costs = [{"vendor": "v", "amount": cost, "currency": "USD"}]
    return charge(tenant, key, mode, properties={"tokens": price}, costs=costs, **fields)


def usage_cost() -> Decimal:
    found: Decimal = MarginBucket.objects.get(event="completion").cost
    return found


def test_two_costs_for_one_call_at_once_leave_the_later_row(tenant: Tenant) -> None:
    call(tenant, "a", 100, "10")
    event = UsageEvent.objects.get()
    parts = [(CostPart("v", Decimal(amount), "USD"),) for amount in range(20, 20 + MANY)]
    at_once([partial(correct_cost, event, each) for each in parts])
    latest = CostEntry.objects.order_by("pk").last()
    assert latest is not None
    assert CostEntry.objects.count() == MANY
    assert (usage_cost(), whole(tenant.payer).cost) == (latest.cost, latest.cost)


def test_a_cost_and_a_reversal_at_once_leave_nothing_behind(tenant: Tenant) -> None:
    for number in range(4):
        call(tenant, f"k{number}", 100, "10")
        event = UsageEvent.objects.get(idempotency_key=f"k{number}")

        def late(event: UsageEvent = event) -> object:
            try:
                return correct_cost(event, (CostPart("v", Decimal(30), "USD"),))
            except Conflict as refused:
                return refused.code

        race: list[Callable[[], object]] = [late, partial(reverse_event, event, reason="a race")]
        at_once(race)
    assert (usage_cost(), MarginBucket.objects.get(event="completion").events) == (0, 0)


def test_calls_at_once_never_push_the_period_below_its_floor(tenant: Tenant) -> None:
    call(tenant, "first", 100, "60")
    outcomes = at_once([partial(call, tenant, f"k{number}", 10, "14") for number in range(12)])
    allowed = [outcome for outcome in outcomes if isinstance(outcome, Charged)]
    assert all(isinstance(outcome, Charged | Denied) for outcome in outcomes)
    assert len(allowed) == 3  # 130 of revenue may cost 104: 60 + 3 x 14 = 102
    period = whole(tenant.payer)
    assert (period.revenue, period.cost) == (130, 102)


def test_the_first_calls_of_a_period_at_once_begin_its_sums_once(tenant: Tenant) -> None:
    at_once([partial(call, tenant, f"k{number}", 10, "8", Mode.REPORT) for number in range(MANY)])
    period = whole(tenant.payer)
    assert (period.events, period.revenue, period.cost) == (MANY, 10 * MANY, 8 * MANY)


def test_staff_is_told_once_by_calls_at_once(tenant: Tenant) -> None:
    at_once([partial(call, tenant, f"k{number}", 10, "9", Mode.REPORT) for number in range(MANY)])
    assert [row.kind for row in MarginAlert.objects.all()] == ["below_floor"]


def test_processes_whose_clocks_differ_charge_look_and_correct_at_once() -> None:
    """Half an hour apart around a full hour, with late calls, costs and reversals among them."""
    full = datetime(2026, 3, 10, 15, tzinfo=UTC)
    mine, together = local(), Barrier(6, timeout=60)
    clock.use(lambda: getattr(mine, "now", full - timedelta(hours=1)))
    try:
        tenant = floored()
        call(tenant, "first", 100, "10")
        event = UsageEvent.objects.get()

        def work(number: int) -> None:
            for step in range(6):
                together.wait()
                mine.now = full + timedelta(hours=step, minutes=25 if number % 2 else -5)
                cost = ("2", "9")[number % 3 == 0]
                call(tenant, f"{number} {step}", 10, cost, Mode.REPORT)
                late = (mine.now - timedelta(hours=number)).isoformat()
                call(tenant, f"late {number} {step}", 10, "1", Mode.REPORT, occurred_at=late)
                if number == 0:
                    correct_cost(event, (CostPart("v", Decimal(step), "USD"),))
                if number == 1:
                    key = f"{number} {step}"
                    reverse_event(UsageEvent.objects.get(idempotency_key=key), reason="a race")

        at_once([partial(work, number) for number in range(6)])
        mine.now = full + timedelta(hours=6)
        period = whole(tenant.payer)
        assert (period.events, period.revenue) == (1 + 6 * 11, 100 + 10 * 6 * 11)
        assert period.cost == 5 + 6 * (2 * 9 + 3 * 2) + 6 * 6
    finally:
        clock.use(None)


def _bill(total: str) -> VendorBill:
    month = clock.now().astimezone(UTC).date().replace(day=1)
    return load_bill(vendor="v", month=month, currency="USD", total=Decimal(total))


def test_a_bill_that_two_apply_at_once_is_applied_once(tenant: Tenant) -> None:
    call(tenant, "a", 100, "10")
    bill = _bill("15")

    def begin() -> str:
        try:
            return begin_bill(bill).status
        except Conflict as refused:
            return refused.code

    assert sorted(at_once([begin] * 4)) == ["applying", *["bill_applied"] * 3]
    assert sum(at_once([apply_bills] * 4)) == 1
    assert (usage_cost(), CostEntry.objects.count()) == (15, 1)


def test_two_bills_of_one_month_at_once_do_not_both_stand(tenant: Tenant) -> None:
    call(tenant, "a", 100, "10")
    bills = [_bill("15"), _bill("17")]

    def begin(bill: VendorBill) -> str:
        try:
            return begin_bill(bill).status
        except Conflict as refused:
            return refused.code

    assert sorted(at_once([partial(begin, bill) for bill in bills])) == ["applying", "bill_applying"]
    while apply_bills():
        pass
    standing = VendorBill.objects.get(status="applied")
    assert usage_cost() == standing.total


def test_two_workers_do_not_apply_one_share_twice(tenant: Tenant) -> None:
    for number in range(3):
        call(tenant, f"k{number}", 100, "10")
    bill = begin_bill(_bill("31"))
    share = VendorBillShare.objects.get()
    done = at_once([partial(apply_share, bill, share.pk) for _ in range(4)])
    assert sorted(done) == [False, False, False, True]
    apply_bills()
    assert (usage_cost(), CostEntry.objects.count()) == (31, 3)


def test_charges_and_a_bill_at_once_keep_the_books(tenant: Tenant) -> None:
    for number in range(5):
        call(tenant, f"k{number}", 100, "10")
    begin_bill(_bill("60"))
    works: list[Callable[[], object]] = [apply_bills]
    works += [partial(call, tenant, f"n{number}", 100, "10", Mode.REPORT) for number in range(6)]
    at_once(works)
    while apply_bills():
        pass
    assert VendorBill.objects.get().status == "applied"
    assert usage_cost() == 60 + 60


def test_two_runs_of_the_watch_tell_of_a_fall_once(tenant: Tenant) -> None:
    now = datetime(2026, 2, 1, tzinfo=UTC)
    create_rule(scope="whole", points=Decimal(5), days=10)
    for day, cost in (("2026-01-15", "10"), ("2026-01-25", "90")):
        hour = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        MarginBucket.objects.create(
            customer_id=tenant.customer.pk,
            billing_entity_id=tenant.payer.pk,
            hour=hour,
            workspace_id=0,
            event="base_fee",
            revenue=100,
            cost=cost,
            events=0,
            costed=0,
        )
    assert sorted(at_once([partial(watch_margins, now)] * 4)) == [0, 0, 0, 1]
    MarginBucket.objects.all().delete()
