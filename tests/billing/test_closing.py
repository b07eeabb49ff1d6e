"""The close of billing periods: what it books, once, and what usage costs that comes after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing.charging import Mode
from billing.closing import close_period, close_periods
from billing.models import Charge, ClosingLine, LedgerAccount, MarginBucket
from billing.periods import book_base_fees
from billing.subscriptions import start_subscription
from billing.wallets import grant_credit
from core import clock
from pricing.models import BillingPeriod, Segment
from tests.billing.closing_tables import Case, worked_closes
from tests.billing.reversing import check, reverse
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_UNIT: dict[str, Any] = {"key": "c", "meter": "m", "model": "per_unit", "unit_price": "1"}
CLOSED_AT = datetime(2026, 2, 2, tzinfo=UTC)


def january(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: january(1))
    yield
    clock.use(None)


def open_tenant(
    component: dict[str, Any] | None = None,
    *,
    day: int = 1,
    meter: dict[str, Any] | None = None,
    terms: dict[str, Any] | None = None,
    **payer: Any,
) -> Tenant:
    """A payer with 1000 in its wallet, subscribed since that day of January."""
    make_meter("m", **({"property_path": "value"} | (meter or {})))
    priced = component if component and "model" in component else PER_UNIT | (component or {})
    version = make_version([{"key": "c", "meter": "m"} | priced], **(terms or {}))
    payer = {"balance": "1000"} | payer
    tenant = make_tenant(**payer)
    clock.use(lambda: january(day))
    tenant.subscription = start_subscription(tenant.payer, version)
    return tenant


def use(tenant: Tenant, value: object, key: str, at: datetime) -> None:
    """Usage that occurred then; it is reported at once, or late if the clock is further already."""
    now = max(clock.now(), at)
    clock.use(lambda: now)
    charge(tenant, key, Mode.REPORT, properties={"value": str(value)}, occurred_at=at.isoformat())


def run_due(now: datetime) -> int:
    """Let the clock stand at `now` and run what is due; gives how many periods were closed."""
    clock.use(lambda: now)
    book_base_fees(now)
    return close_periods(now)


def lines() -> list[tuple[str, Decimal]]:
    return [(row.kind, row.amount) for row in ClosingLine.objects.order_by("pk")]


@pytest.mark.parametrize("case", worked_closes(), ids=lambda case: case.name)
def test_the_worked_tables(case: Case) -> None:
    meter = {"aggregation": case.aggregation}
    tenant = open_tenant(case.component, day=case.start, meter=meter, terms=case.terms)
    at = january(case.start, 12)
    for number, value in enumerate(case.used):
        use(tenant, value, f"k{number}", at + timedelta(minutes=number))
    assert run_due(CLOSED_AT) == 1
    assert dict(lines()) == case.booked
    for number, (value, cost) in enumerate(zip(case.late, case.costs, strict=True)):
        before = balance(tenant)
        use(tenant, value, f"late{number}", at + timedelta(hours=1, minutes=number))
        assert before - balance(tenant) == cost, number
    check(tenant)


def test_a_period_waits_for_late_usage_before_it_closes() -> None:
    tenant = open_tenant({"minimum": "20"})
    assert run_due(datetime(2026, 2, 1, 23, 59, tzinfo=UTC)) == 0
    assert [period.status for period in BillingPeriod.objects.order_by("starts_at")] == ["grace", "open"]
    use(tenant, 5, "in grace", january(31))
    assert Charge.objects.get().amount == 5
    assert run_due(CLOSED_AT) == 1
    assert lines() == [("minimum", 15)]
    period = BillingPeriod.objects.order_by("starts_at")[0]
    assert (period.status, period.closed_at) == ("closed", CLOSED_AT)
    check(tenant)


def test_a_close_happens_once() -> None:
    tenant = open_tenant({"minimum": "20"})
    assert [run_due(CLOSED_AT), run_due(CLOSED_AT), run_due(CLOSED_AT + timedelta(days=1))] == [1, 0, 0]
    assert close_period(BillingPeriod.objects.order_by("starts_at")[0], CLOSED_AT) == []
    assert (lines(), balance(tenant)) == ([("minimum", 20)], 980)


def test_an_open_period_is_not_closed() -> None:
    open_tenant({"minimum": "20"})
    assert close_period(BillingPeriod.objects.get(), january(20)) == []
    assert BillingPeriod.objects.get().status == "open"


def test_what_was_missed_is_closed_in_order() -> None:
    tenant = open_tenant({"minimum": "20"})
    assert run_due(datetime(2026, 4, 3, tzinfo=UTC)) == 3
    assert lines() == [("minimum", 20)] * 3
    assert balance(tenant) == 940
    check(tenant)


def test_one_payer_that_fails_does_not_keep_the_others_from_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_tenant({"minimum": "20"})
    second = make_tenant(balance="1000")
    assert first.subscription is not None
    start_subscription(second.payer, first.subscription.version)
    real = ClosingLine.objects.bulk_create

    def fail(rows: list[ClosingLine]) -> Any:
        if rows and rows[0].billing_entity_id == first.payer.pk:
            raise DatabaseError("no")
        return real(rows)

    with monkeypatch.context() as patched:
        patched.setattr(ClosingLine.objects, "bulk_create", fail)
        assert run_due(CLOSED_AT) == 1
    assert (balance(first), balance(second)) == (1000, 980)
    assert run_due(CLOSED_AT) == 1
    assert balance(first) == 980
    check(first)


def test_the_lines_are_paid_like_usage_and_explained() -> None:
    tenant = open_tenant({"minimum": "20"})
    grant_credit(tenant.payer, Decimal(6), priority=1)
    use(tenant, 5, "a", january(3))
    run_due(CLOSED_AT)
    line = ClosingLine.objects.get()
    assert [(part["account"], part["amount"]) for part in line.funding] == [("wallet", "1"), ("wallet", "14")]
    assert line.detail == {
        "usage": "5",
        "minimum": "20",
        "minimum_of_a_cycle": "20",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2026-02-01T00:00:00Z",
    }
    assert (line.key, line.cause, line.currency, line.event_id) == ("c", "close", "USD", None)
    bucket = MarginBucket.objects.get(event="period_close")
    assert (bucket.hour, bucket.revenue, bucket.events) == (datetime(2026, 1, 31, 23, tzinfo=UTC), 15, 0)
    assert balance(tenant, "revenue") == 20


def test_an_invoiced_payer_owes_the_minimum() -> None:
    tenant = open_tenant({"minimum": "20"}, balance=None, settlement="invoice_only")
    run_due(CLOSED_AT)
    assert balance(tenant, "receivable") == -20
    use(tenant, 25, "late", january(9))
    assert balance(tenant, "receivable") == -25
    check(tenant)


def test_a_minimum_does_not_ask_for_the_trial() -> None:
    tenant = open_tenant({"minimum": "31"}, terms={"trial": {"days": 21}, "minimum_spend": "62"})
    run_due(CLOSED_AT)
    assert lines() == [("minimum", 10), ("commitment", 10)]
    check(tenant)


def test_settled_meters_count_by_group() -> None:
    meter = {"aggregation": "avg"}
    tenant = open_tenant({"group_by": ["region"], "minimum": "4"}, meter=meter)
    for number, (region, value) in enumerate((("eu", 2), ("us", 5), ("eu", 4))):
        properties = {"value": value, "region": region}
        charge(tenant, f"k{number}", Mode.REPORT, properties=properties)
    assert not Charge.objects.exists()
    run_due(CLOSED_AT)
    line = ClosingLine.objects.get()
    assert line.amount == 8
    assert line.detail["groups"] == [
        {"dimensions": ["eu"], "quantity": "3"},
        {"dimensions": ["us"], "quantity": "5"},
    ]
    check(tenant)


def test_a_weighted_sum_carries_its_level_over_the_close() -> None:
    tenant = open_tenant(meter={"aggregation": "weighted_sum", "carry_over": True})
    use(tenant, 31, "a", january(16, 12))  # half of January
    run_due(datetime(2026, 3, 3, tzinfo=UTC))
    assert lines() == [("usage", Decimal("15.5")), ("usage", 31)]
    check(tenant)


def test_a_late_level_is_carried_into_the_closed_periods_after_it() -> None:
    tenant = open_tenant(meter={"aggregation": "weighted_sum", "carry_over": True})
    use(tenant, 31, "a", january(1))
    run_due(datetime(2026, 3, 3, tzinfo=UTC))
    assert lines() == [("usage", 31), ("usage", 31)]
    use(tenant, 62, "late", january(31, 12))  # half a day of January, all of February
    assert lines()[2:] == [("usage", 1), ("usage", 62)]
    reverse("a")
    assert lines()[4:] == [("usage", -31), ("usage", -31)]
    assert balance(tenant) == 1000 - 1 - 62
    check(tenant)


def test_a_reversed_event_is_not_settled_and_one_that_is_reversed_late_is_settled_anew() -> None:
    tenant = open_tenant({"minimum": "4"}, meter={"aggregation": "avg"})
    for key, value in (("a", 100), ("b", 6), ("c", 12)):
        use(tenant, value, key, january(5))
    reverse("a")
    run_due(CLOSED_AT)
    assert lines() == [("usage", 9)]
    reverse("c")
    assert (lines()[-1], balance(tenant)) == (("usage", -3), 994)
    reverse("b")
    assert (lines()[-1], balance(tenant)) == (("usage", -2), 996)
    check(tenant)


def test_what_was_paid_returns_to_its_payer_where_the_meter_absorbs_what_comes_late() -> None:
    tenant = open_tenant(meter={"aggregation": "avg", "late_policy": "absorb"})
    for key, value in (("a", 6), ("b", 12)):
        use(tenant, value, key, january(5))
    run_due(CLOSED_AT)
    assert balance(tenant) == 1000 - 9
    use(tenant, 18, "late", january(6))
    assert (lines()[1:], balance(tenant)) == ([("usage", 3)], 1000 - 9)
    assert balance(tenant, "leakage") == -3
    reverse("b")  # the mean of 6 and 18 is 12 as before
    reverse("late")  # 6 are left: the 3 that were absorbed, then 3 that were paid
    assert (lines()[2:], balance(tenant)) == ([("usage", -3), ("usage", -3)], 1000 - 6)
    assert balance(tenant, "leakage") == 0
    reverse("a")
    assert balance(tenant) == 1000
    check(tenant)


def test_a_reversal_after_the_close_gives_back_no_more_than_the_minimum_leaves() -> None:
    tenant = open_tenant({"minimum": "10"})
    use(tenant, 8, "a", january(5))
    use(tenant, 9, "b", january(5))
    run_due(CLOSED_AT)
    assert lines() == []
    assert [reverse("a"), reverse("b")] == [-7, 0]
    assert balance(tenant) == 990
    check(tenant)


@pytest.mark.parametrize("policy", ["delta_line", "note", "absorb"])
def test_the_meters_policy_says_who_bears_late_usage(policy: str) -> None:
    tenant = open_tenant({"minimum": "10"}, meter={"late_policy": policy})
    use(tenant, 8, "a", january(5))
    run_due(CLOSED_AT)
    use(tenant, 5, "late", january(6))
    late = Charge.objects.order_by("seq").last()
    assert late is not None
    assert (late.amount, late.lines[0]["late"]) == (3, {"policy": policy, "f": "5", "minimum": "10"})
    is_absorbed = policy == "absorb"
    assert (balance(tenant), balance(tenant, "leakage")) == ((990, -3) if is_absorbed else (987, 0))
    assert balance(tenant, "revenue") == 13
    check(tenant)
    reverse("late")
    assert (balance(tenant), balance(tenant, "leakage")) == (990, 0)
    check(tenant)


def test_a_policy_of_absorbing_does_not_keep_what_came_in_time() -> None:
    tenant = open_tenant(meter={"late_policy": "absorb"})
    use(tenant, 8, "a", january(5))
    run_due(CLOSED_AT)
    use(tenant, 5, "late", january(6))
    reverse("a")
    assert (balance(tenant), balance(tenant, "leakage")) == (1000, -5)
    check(tenant)


def test_what_is_absorbed_does_not_reach_a_commitment() -> None:
    tenant = open_tenant(meter={"late_policy": "absorb"}, terms={"minimum_spend": "10"})
    use(tenant, 4, "a", january(5))
    run_due(CLOSED_AT)
    use(tenant, 5, "late", january(6))
    assert lines() == [("commitment", 6)]
    assert (balance(tenant), balance(tenant, "leakage")) == (990, -5)
    reverse("a")
    assert lines() == [("commitment", 6), ("commitment", 4)]
    assert balance(tenant) == 990
    check(tenant)


def test_late_usage_of_a_settled_meter_is_absorbed_too() -> None:
    tenant = open_tenant(meter={"aggregation": "latest", "late_policy": "absorb"})
    use(tenant, 8, "a", january(5))
    run_due(CLOSED_AT)
    use(tenant, 9, "late", january(6))
    assert (balance(tenant), balance(tenant, "leakage")) == (992, -1)
    line = ClosingLine.objects.order_by("pk").last()
    assert line is not None
    assert (line.cause, line.late_policy, line.event_public_id is None) == ("late", "absorb", False)
    check(tenant)


def test_late_usage_of_groups_counts_with_the_minimum_of_all() -> None:
    tenant = open_tenant({"group_by": ["region"], "minimum": "10"})
    for key, region, value in (("a", "eu", 4), ("b", "us", 3)):
        charge(tenant, key, Mode.REPORT, properties={"value": value, "region": region})
    run_due(CLOSED_AT)
    assert lines() == [("minimum", 3)]
    for key, region, cost in (("c", "us", 0), ("d", "asia", 2)):
        before = balance(tenant)
        properties = {"value": 2 if key == "c" else 3, "region": region}
        charge(tenant, key, Mode.REPORT, properties=properties, occurred_at=january(9).isoformat())
        assert before - balance(tenant) == cost
    check(tenant)


def test_a_closed_period_stays_closed() -> None:
    open_tenant({"minimum": "20"})
    run_due(CLOSED_AT)
    closed = BillingPeriod.objects.filter(status="closed")
    for attempt in (
        lambda: closed.update(status="grace", closed_at=None),
        lambda: Segment.objects.filter(closed_at__isnull=False).update(closed_at=None),
        lambda: ClosingLine.objects.update(amount=1),
        lambda: ClosingLine.objects.all().delete(),
        lambda: BillingPeriod.objects.filter(status="open").update(status="closed"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert LedgerAccount.objects.get(kind="revenue").balance == 20
