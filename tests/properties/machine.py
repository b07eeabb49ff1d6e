"""A machine that moves money in random ways, and remembers what it was told."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from accounts.models import BillingEntity
from billing.charging import Charged, Denied, Failed, Mode, Outcome, charge_many
from billing.models import LedgerAccount
from billing.recompute import charges_of, is_proved, recompute_charges
from billing.wallets import adjust, grant_credit, top_up
from core import clock
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, balance, make_tenant, request
from tests.properties.payers import SETTLEMENTS, make_prices

PAYERS = st.integers(0, len(SETTLEMENTS) - 1)
AMOUNTS = st.decimals("0.01", "6", places=2)
CALLS = st.fixed_dictionaries(
    {
        "payer": PAYERS,
        "key": st.integers(0, 40),
        "tokens": st.decimals("0", "9", places=1),
        "region": st.sampled_from(["eu", "us"]),
        "person": st.sampled_from("abc"),
        "mode": st.sampled_from([Mode.ASK, Mode.ASK, Mode.REPORT]),
    }
)


class Money(RuleBasedStateMachine):
    """Payers of every settlement; calls in batches, money in and out, and time that passes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START + timedelta(days=2)
        self.tenants: list[Tenant] = []
        self.answers: dict[tuple[int, str], tuple[dict[str, Any], Charged]] = {}
        self.may_be_below: set[int] = set()
        clock.use(self._now)
        self._savepoint = transaction.savepoint()

    def _now(self) -> datetime:
        return self.now

    @initialize(balance=AMOUNTS)
    def open(self, balance: Decimal) -> None:
        """One payer of each kind; the one without a floor may be anywhere."""
        version = make_prices()
        self.tenants = [make_tenant(version, balance=str(balance), **fields) for fields in SETTLEMENTS]
        self.may_be_below.add(len(SETTLEMENTS) - 1)

    @rule(calls=st.lists(CALLS, min_size=1, max_size=8))
    def charge(self, calls: list[dict[str, Any]]) -> None:
        """A batch of calls; keys repeat, with the same payload and with another."""
        outcomes = charge_many([self._request(call) for call in calls])
        for call, outcome in zip(calls, outcomes, strict=True):
            self._remember(call, outcome)

    @rule(payer=PAYERS, amount=AMOUNTS)
    def pay_in(self, payer: int, amount: Decimal) -> None:
        """Somebody pays."""
        top_up(self.tenants[payer].payer, amount)

    @rule(payer=PAYERS, amount=AMOUNTS, hours=st.integers(1, 60), priority=st.sampled_from([10, 50]))
    def give(self, payer: int, amount: Decimal, hours: int, priority: int) -> None:
        """A block of credit for one component, which will expire."""
        expires_at = self.now + timedelta(hours=hours)
        grant_credit(
            self.tenants[payer].payer,
            amount,
            components=["graduated"],
            priority=priority,
            expires_at=expires_at,
        )

    @rule(payer=PAYERS, amount=AMOUNTS)
    def take_out(self, payer: int, amount: Decimal) -> None:
        """Staff correct a wallet, below its floor if they like."""
        adjust(self.tenants[payer].payer, -amount, reason="Paid in by mistake")
        self.may_be_below.add(payer)

    @rule(hours=st.integers(1, 48))
    def wait(self, hours: int) -> None:
        """Time passes; grants expire."""
        self.now += timedelta(hours=hours)

    @invariant()
    def no_payer_is_below_its_floor(self) -> None:
        """Charges that ask never take a wallet or a credit line past its bound."""
        for number, tenant in enumerate(self.tenants):
            if number not in self.may_be_below:
                payer: BillingEntity = tenant.payer
                if payer.settlement == "wallet_only":
                    assert balance(tenant) >= -(payer.overdraft or 0)
                else:
                    assert balance(tenant) >= 0
                    assert -balance(tenant, "receivable") <= (payer.credit_limit or 0)

    @invariant()
    def books_agree(self) -> None:
        """What DESIGN.md section 5 says holds after every step."""
        assert broken_invariants(driver()) == []

    def teardown(self) -> None:
        """Every charge is proved; then all of it is forgotten."""
        try:
            for tenant in self.tenants:
                for stored, again in recompute_charges(charges_of(tenant.customer.pk, tenant.payer.pk)):
                    assert is_proved(stored, again), (stored.lines, again)
            totals = LedgerAccount.objects.filter(kind="revenue").values_list("balance", flat=True)
            charged = [first.amount for _, first in self.answers.values()]
            assert sum(totals) == sum(charged)
        finally:
            transaction.savepoint_rollback(self._savepoint)
            clock.use(None)

    def _request(self, call: dict[str, Any]) -> Any:
        return request(
            self.tenants[call["payer"]],
            f"key-{call['key']}",
            call["mode"],
            properties=_properties(call),
        )

    def _remember(self, call: dict[str, Any], outcome: Outcome) -> None:
        """The first answer to a key is the answer to it for ever."""
        key = (call["payer"], f"key-{call['key']}")
        if key not in self.answers:
            if isinstance(outcome, Charged):
                assert not outcome.is_replay
                self.answers[key] = (_properties(call), outcome)
                if call["mode"] is Mode.REPORT:
                    self.may_be_below.add(call["payer"])
            else:
                assert isinstance(outcome, Denied)
                assert call["mode"] is Mode.ASK
            return
        properties, first = self.answers[key]
        if properties != _properties(call):
            assert isinstance(outcome, Failed)
            assert outcome.error.status == 409
        else:
            assert isinstance(outcome, Charged)
            assert outcome.is_replay
            assert (outcome.id, outcome.amount, outcome.available) == (
                first.id,
                first.amount,
                first.available,
            )


def _properties(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("tokens", "region", "person")}
