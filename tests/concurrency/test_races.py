"""Each race twice: with what prevents it taken away it happens, and with it in place it does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from threading import Thread

import pytest
from django.db import connection

from accounts.models import BillingEntity
from accounts.payers import assign_payer, create_billing_entity
from billing.charging import Charged, Denied, Outcome, charge_many, charge_one, path, planning, reading
from billing.ledger import lock_accounts
from billing.models import Charge
from core import clock
from core.sql import driver
from metering.models import UsageEvent
from pricing.models import Counter as TierCounter
from pricing.models import PlanVersion, Subscription
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version, request
from tests.concurrency.crowd import at_once
from tests.concurrency.interleaving import meet_after_reading, take_the_lock_away

TIERS = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "tiers": [{"up_to": "1", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}],
}


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([TIERS])


@pytest.fixture(autouse=True)
def _books_agree(transactional_db: None) -> None:
    """In place of the check after every test: here books may be broken on purpose."""


def _both(tenant: Tenant, *keys: str) -> list[Outcome]:
    return at_once([partial(charge, tenant, key, properties={"tokens": 1}) for key in keys])


def _warm(tenant: Tenant) -> None:
    """Let a call of no tokens make the payer's period and wallet, so that the race is about nothing else."""
    charge(tenant, "warm", properties={"tokens": 0})


class TestTwoChargesOfOneWallet:
    """The lock on the wallet row: balance, tier position and running number."""

    def test_without_the_lock_both_spend_the_same_money(
        self, version: PlanVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
        _warm(tenant)
        take_the_lock_away(monkeypatch)
        meeting = meet_after_reading(monkeypatch)
        outcomes = _both(tenant, "a", "b")
        assert meeting.has_happened
        assert all(isinstance(outcome, Charged) for outcome in outcomes)
        broken = broken_invariants(driver())
        assert any(sentence.startswith("numbers: number_twice") for sentence in broken)
        assert any(sentence.startswith("counters: ") for sentence in broken)

    def test_with_it_the_second_is_refused(
        self, version: PlanVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
        _warm(tenant)
        meeting = meet_after_reading(monkeypatch)
        outcomes = _both(tenant, "a", "b")
        assert not meeting.has_happened
        assert Counter(type(outcome) for outcome in outcomes) == {Charged: 1, Denied: 1}
        assert balance(tenant) == 0
        assert broken_invariants(driver()) == []

    def test_with_it_each_is_rated_at_its_own_tier(
        self, version: PlanVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tenant = make_tenant(version, balance="10")
        _warm(tenant)
        meet_after_reading(monkeypatch)
        outcomes = _both(tenant, "a", "b")
        assert {outcome.amount for outcome in outcomes if isinstance(outcome, Charged)} == {
            Decimal(1),
            Decimal("0.5"),
        }
        assert TierCounter.objects.get().quantity == 2
        assert broken_invariants(driver()) == []


class TestOneKeyAtTwoPayers:
    """Two payers of a customer have a lock each; the key's own row keeps one key from counting twice."""

    @pytest.fixture
    def moved(self, version: PlanVersion) -> tuple[Tenant, BillingEntity]:
        """A workspace whose payer changes: calls before and after `instant` have different payers."""
        tenant = make_tenant(version, balance="10")
        parent = create_billing_entity(customer=tenant.customer, name="Parent", currency="USD")
        Subscription.objects.create(
            customer=tenant.customer,
            billing_entity=parent,
            version=version,
            starts_at=START,
            anchor_at=START,
            created_at=START,
        )
        return tenant, parent

    def test_both_look_the_key_up_before_either_has_written_it_and_one_charges(
        self, moved: tuple[Tenant, BillingEntity], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tenant, parent = moved
        _warm(tenant)
        charge_many([request(tenant, "warm too", workspace=None, billing_entity=parent.public_id)])
        meeting = meet_after_reading(monkeypatch)
        send = partial(charge, tenant, "one", properties={"tokens": 1})
        outcomes = at_once([send, partial(send, workspace=None, billing_entity=parent.public_id)])
        assert meeting.has_happened, "both were past the lookup"
        assert sorted(outcome.is_replay for outcome in outcomes if isinstance(outcome, Charged)) == [
            False,
            True,
        ]
        assert len({outcome.id for outcome in outcomes if isinstance(outcome, Charged)}) == 1
        assert UsageEvent.objects.filter(idempotency_key="one").count() == 1
        assert broken_invariants(driver()) == []

    def test_a_key_sent_before_during_and_after_a_move_is_charged_once(
        self, moved: tuple[Tenant, BillingEntity]
    ) -> None:
        tenant, parent = moved
        works: list[Callable[[], object]] = [
            lambda: charge_one(request(tenant, "one", properties={"tokens": 1}))
        ] * 12
        works.insert(6, lambda: assign_payer(tenant.workspace, parent, from_=clock.now()))
        outcomes = [outcome for outcome in at_once(works) if isinstance(outcome, Charged)]
        after = charge(tenant, "one", properties={"tokens": 1})
        assert isinstance(after, Charged)
        assert after.is_replay
        assert len(outcomes) == 12
        assert {outcome.id for outcome in outcomes} == {after.id}
        assert sum(not outcome.is_replay for outcome in outcomes) == 1
        assert Charge.objects.count() == 1
        assert broken_invariants(driver()) == []


class TestAChangeBetweenPlanningAndLock:
    """The config version is read again under the lock."""

    def test_without_that_a_suspended_payer_is_charged(
        self, version: PlanVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "_check_versions", lambda plan, rows: None)
        outcome = _charge_while_suspending(make_tenant(version, balance="10"), monkeypatch)
        assert isinstance(outcome, Charged)

    def test_with_it_the_payer_is_refused(
        self, version: PlanVersion, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        outcome = _charge_while_suspending(make_tenant(version, balance="10"), monkeypatch)
        assert isinstance(outcome, Denied)
        assert outcome.reason == "suspended"


def _charge_while_suspending(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Suspend the payer when the charge is planned and has no lock yet."""
    _warm(tenant)
    plan_requests = planning.plan_requests
    payers = [tenant.payer]

    def plan_and_suspend(*arguments: object) -> object:
        plan = plan_requests(*arguments)  # type: ignore[arg-type]
        if payers:
            thread = Thread(target=_suspend, args=(payers.pop(),))
            thread.start()
            thread.join()
        return plan

    monkeypatch.setattr(path, "plan_requests", plan_and_suspend)
    return charge(tenant, "a", properties={"tokens": 1})


def _suspend(payer: BillingEntity) -> None:
    BillingEntity.objects.filter(pk=payer.pk).update(status="suspended")
    connection.close()


def test_batches_over_the_same_payers_in_any_order_do_not_deadlock(version: PlanVersion) -> None:
    tenants = [make_tenant(version, balance="1000") for _ in range(12)]

    def batch(number: int) -> list[Outcome]:
        ordered = tenants[number:] + tenants[:number]
        return charge_many(
            [
                request(tenant, f"{number}-{turn}-{tenant.payer.pk}", properties={"tokens": 1})
                for turn in range(3)
                for tenant in ordered[:: 1 if number % 2 else -1]
            ]
        )

    before = _deadlocks()
    outcomes = at_once([partial(batch, number) for number in range(10)])
    assert all(isinstance(outcome, Charged) for batched in outcomes for outcome in batched)
    assert _deadlocks() == before
    assert Charge.objects.count() == 10 * 3 * 12
    assert broken_invariants(driver()) == []


def _deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        count: int = cursor.fetchone()[0]
        return count


def test_a_wallet_that_is_held_elsewhere_holds_up_nobody_else(version: PlanVersion) -> None:
    held, free = make_tenant(version, balance="10"), make_tenant(version, balance="10")
    for tenant in (held, free):
        _warm(tenant)
    waiting: list[Outcome] = []

    def wait() -> None:
        waiting.append(charge_one(request(held, "held", properties={"tokens": 1})))
        connection.close()

    thread = Thread(target=wait)
    connection.set_autocommit(False)
    try:
        lock_accounts(driver(), [(held.customer.pk, held.payer.pk)])
        thread.start()
        calls = [request(free, key, properties={"tokens": 1}) for key in ("a", "b", "c")]
        outcomes = at_once([partial(charge_one, each) for each in calls])
        assert all(isinstance(outcome, Charged) for outcome in outcomes)
        assert thread.is_alive()
        assert not waiting
    finally:
        connection.rollback()
        connection.set_autocommit(True)
    thread.join(10)
    assert isinstance(waiting[0], Charged)
    assert broken_invariants(driver()) == []
