"""A machine that sends the same to the HTTP API and to the model, and compares what they answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant

from core import clock
from tests.model.base import AMOUNTS
from tests.model.looks import Looks
from tests.model.rules_calls import CallRules
from tests.model.rules_leases import LeaseRules
from tests.model.rules_money import MoneyRules
from tests.model.rules_terms import TermRules
from tests.model.rules_time import TimeRules
from tests.model.world import START, ZONES, World

TERMS = st.sampled_from(
    [
        {"settlement": "wallet_only", "overdraft": "0"},
        {"settlement": "wallet_only", "overdraft": "2.5"},
        {"settlement": "wallet_only", "overdraft": None},
        {"settlement": "wallet_then_invoice", "credit_limit": "4"},
        {"settlement": "wallet_then_invoice", "credit_limit": None},
        {"settlement": "invoice_only", "credit_limit": "6"},
    ]
)

STARTS = [START, datetime(2026, 3, 3, 12, tzinfo=UTC), datetime(2026, 10, 28, 15, tzinfo=UTC)]
"""Three days before they begin to play: in January, and not long before New York moves its clocks."""


class Agreement(CallRules, LeaseRules, MoneyRules, TermRules, TimeRules, Looks):
    """One customer with three payers of different currencies and settlements, two workspaces, and time."""

    @initialize(
        terms=st.tuples(TERMS, TERMS, TERMS),
        versions=st.tuples(*[st.sampled_from(["first", "second"])] * 3),
        currency=st.sampled_from(["USD", "USD", "JPY", "KWD"]),
        balance=AMOUNTS,
        zones=st.tuples(ZONES, ZONES, ZONES),
        since=st.sampled_from(STARTS),
    )
    def open(
        self, terms: Any, versions: Any, currency: str, balance: Decimal, zones: Any, since: datetime
    ) -> None:
        """The customer; two payers in dollars, the third in any currency."""
        self.now = since + timedelta(days=3, hours=5)
        self.world = World(self.api, self.prices, since)
        self.system = self.world.system
        currencies = ("USD", "USD", currency)
        self.world.build(
            [
                {**terms[at], "version": versions[at], "currency": currencies[at], "time_zone": zones[at]}
                for at in range(3)
            ]
        )
        for at in range(3):
            self.top_up(payer=at, amount=balance, expires=None)

    @invariant()
    def balances_agree(self) -> None:
        """Every payer's balance, to the last decimal."""
        if not hasattr(self, "system"):
            return
        type(self).steps += 1
        self.system.settle(self.now)
        for payer in self.system.payers.values():
            row = self.world.api.get("/v1/balance", billing_entity=self.world.ids[payer.name]).json()
            told = {name: Decimal(row[name]) for name in ("available", "settled", "held", "owed")}
            self._agree(told, payer.wallet.balance() | {"owed": payer.wallet.owed}, [payer.name, row])
            self._agree(row["status"], payer.status, payer.name)

    def teardown(self) -> None:
        """The books agree; then all of it is forgotten."""
        try:
            if hasattr(self, "system") and not self.has_failed:
                self.look()
        finally:
            transaction.savepoint_rollback(self._savepoint)
            clock.use(None)
