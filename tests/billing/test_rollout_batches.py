"""Moving many subscriptions in one transaction: what it takes, and what one that cannot move costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.charging import Mode
from billing.models import BookedFee
from billing.periods import book_fees_of
from billing.rollouts import Cohort, announce_rollout, draft_rollout, execute_rollouts, executing
from billing.rollouts.executing import execute_rollout
from billing.subscriptions import cancel_subscription, change_subscription, start_subscription
from core import clock
from pricing.models import PlanVersion, Rollout, RolloutMember, Segment, Subscription, UsageCeiling
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.concurrency.rollouts import make_price_change
from tests.statements import BUDGETS, Statements, counted

pytestmark = pytest.mark.django_db
NOW = START + timedelta(days=15)
TOKENS = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1", "included": "100"}
CALLS = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "1"}
State = RolloutMember.State


@pytest.fixture(autouse=True)
def _world() -> Iterator[None]:
    clock.use(lambda: START)
    make_meter()
    make_meter("calls", aggregation="count")
    clock.use(lambda: NOW)
    yield
    clock.use(None)


def fees(amount: str) -> list[dict[str, object]]:
    return [{"key": "platform", "amount": amount, "prorate": True}]


def announced(old: PlanVersion, new: PlanVersion) -> Rollout:
    """A price change for everybody on `old`, due at once."""
    rollout = draft_rollout(new, timing="immediately", cohort=Cohort(from_versions=[old.pk]))
    return announce_rollout(rollout, reason="a test")


def two_versions() -> tuple[PlanVersion, PlanVersion]:
    """One with 100 units included at 31 a month, and one that charges for all of them, at 62."""
    old = make_version([TOKENS], base_fees=fees("31"))
    return old, make_version([TOKENS | {"included": "0"}], base_fees=fees("62"))


def subscription_of(tenant: Tenant) -> Subscription:
    assert tenant.subscription is not None
    tenant.subscription.refresh_from_db()
    return tenant.subscription


def booked(subscription: Subscription) -> list[Decimal]:
    rows = BookedFee.objects.filter(subscription_id=subscription.pk).order_by("pk")
    return list(rows.values_list("amount", flat=True))


def moved_with(size: int) -> Statements:
    """What it takes to move so many subscriptions, each with fees, a ceiling and usage."""
    old, new = two_versions()
    tenants = [make_tenant(old, settlement="invoice_only") for _ in range(size)]
    clock.use(lambda: NOW - timedelta(days=1))
    for tenant in tenants:
        charge(tenant, "k", properties={"tokens": 7})
        book_fees_of([tenant.payer], clock.now())
    clock.use(lambda: NOW)
    rollout = announced(old, new)
    with counted() as statements:
        assert execute_rollout(rollout, NOW) == size
    for tenant in tenants:
        subscription = subscription_of(tenant)
        assert subscription.version_id == new.pk
        # 31 in January, of which 16 days go back; and 16 of the 31 days of 62.
        assert booked(subscription) == [Decimal(31), Decimal(-16), Decimal(32)]
    ceilings = UsageCeiling.objects.filter(member__rollout=rollout)
    assert list(ceilings.values_list("limit", "used_before")) == [(Decimal(100), Decimal(7))] * size
    return statements


def test_a_batch_takes_as_many_statements_as_one_subscription(ready_months: None) -> None:
    moved_with(1)  # the first one fills what a process keeps
    few, many = moved_with(2), moved_with(11)
    assert len(many) == len(few) == BUDGETS["rollout batch"], many.shown


def test_all_are_moved_batch_after_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executing, "BATCH", 4)
    change = make_price_change(11)
    assert execute_rollouts(NOW) == 11
    change.check_moved_once()
    assert execute_rollouts(NOW) == 0


def test_one_that_cannot_move_leaves_the_others_of_its_batch_alone() -> None:
    old, new = make_version([TOKENS]), make_version([TOKENS, CALLS])
    tenants = [make_tenant(old) for _ in range(7)]
    rollout = announced(old, new)
    blocked = subscription_of(tenants[4])
    addon = make_version([CALLS])
    start_subscription(tenants[4].payer, addon)
    assert execute_rollout(rollout, NOW) == 6
    states = RolloutMember.objects.filter(rollout=rollout).values_list("subscription_id", "state", "attempts")
    assert {pk: (state, attempts) for pk, state, attempts in states} == {
        subscription_of(tenant).pk: (State.FAILED, 1) if tenant is tenants[4] else (State.MOVED, 0)
        for tenant in tenants
    }
    failed = RolloutMember.objects.get(subscription=blocked)
    assert failed.result == "A subscription of this payer prices the meter 'calls' then."
    assert Segment.objects.filter(version=new).count() == 6
    # The add-on ends, and the one that was left is to move after it.
    cancel_subscription(Subscription.objects.get(version=addon))
    later = NOW + timedelta(hours=1)
    clock.use(lambda: later)
    RolloutMember.objects.filter(pk=failed.pk).update(effective_at=later)
    assert execute_rollout(rollout, later) == 1
    rollout.refresh_from_db()
    assert rollout.status == Rollout.Status.DONE


def test_two_subscriptions_of_one_payer_move_together() -> None:
    old = make_version([TOKENS], base_fees=fees("31"))
    addon, new_addon = (make_version([CALLS], base_fees=fees(amount)) for amount in ("31", "62"))
    tenant = make_tenant(old, settlement="invoice_only")
    first = start_subscription(tenant.payer, addon)
    second_payer = make_tenant(addon, settlement="invoice_only")
    rollout = announced(addon, new_addon)
    assert execute_rollout(rollout, NOW) == 2
    for subscription in (first, subscription_of(second_payer)):
        subscription.refresh_from_db()
        assert subscription.version_id == new_addon.pk
    assert subscription_of(tenant).version_id == old.pk


def test_a_member_that_was_moved_by_hand_is_left_while_the_others_move() -> None:
    old, new = two_versions()
    tenants = [make_tenant(old, settlement="invoice_only") for _ in range(3)]
    rollout = announced(old, new)
    elsewhere = make_version([CALLS])
    change_subscription(subscription_of(tenants[1]), version=elsewhere)
    assert execute_rollout(rollout, NOW) == 2
    member = RolloutMember.objects.get(subscription=subscription_of(tenants[1]))
    assert (member.state, member.result) == (State.LEFT, f"The subscription is on {elsewhere} by then.")


def test_usage_since_a_late_move_is_rated_anew_for_each() -> None:
    old, new = make_version([TOKENS]), make_version([TOKENS | {"included": "0"}])
    tenants = [make_tenant(old, settlement="invoice_only") for _ in range(3)]
    rollout = announced(old, new)
    RolloutMember.objects.filter(rollout=rollout).update(effective_at=NOW - timedelta(days=2))
    at = (NOW - timedelta(days=1)).isoformat()
    for number, tenant in enumerate(tenants[:2], start=1):
        assert balance(tenant, "receivable") == 0
        charge(tenant, "k", Mode.REPORT, properties={"tokens": 10 * number}, occurred_at=at)
    assert execute_rollout(rollout, NOW) == 3
    assert [balance(tenant, "receivable") for tenant in tenants] == [-10, -20, 0]
