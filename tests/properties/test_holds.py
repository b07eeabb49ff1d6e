"""Whatever is done in whatever order: what is held is the sum of open holds, and no promise is broken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import authorizations
from billing.balances import balance_of
from billing.charging import (
    Authorized,
    CaptureTerms,
    Charged,
    ChargeRequest,
    Denied,
    HoldTerms,
    Mode,
    Over,
    charge_many,
)
from billing.models import Authorization, LedgerAccount, Overspend
from billing.wallets import grant_credit, top_up
from core import clock
from core.errors import TollgateError
from core.sql import driver
from metering.events import parse_event
from pricing.models import PlanVersion
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, make_meter, make_tenant, make_version, request

START = datetime(2026, 1, 15, 12, tzinfo=UTC)
COMPONENTS = [
    {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"},
    {"key": "img", "meter": "images", "model": "per_unit", "unit_price": "0.01"},
]
UNITS = st.integers(1, 300)
METERS = st.sampled_from(["tokens", "images"])
STEPS = st.one_of(
    st.tuples(st.just("authorize"), METERS, UNITS),
    st.tuples(st.just("amount"), METERS, UNITS),
    st.tuples(st.just("charge"), METERS, UNITS),
    st.tuples(st.just("capture"), st.integers(0, 9), UNITS),
    st.tuples(st.just("void"), st.integers(0, 9), UNITS),
    st.tuples(st.just("extend"), st.integers(0, 9), UNITS),
    st.tuples(st.just("wait"), st.just("seconds"), UNITS),
    st.tuples(st.just("top_up"), st.just(""), UNITS),
    st.tuples(st.just("grant"), METERS, UNITS),
)
PAYERS = [
    {"overdraft": Decimal(0)},
    {"overdraft": Decimal(1)},
    {"settlement": "wallet_then_invoice", "credit_limit": Decimal(2)},
    {"settlement": "invoice_only", "credit_limit": Decimal(4)},
]


class Calls:
    """One payer, and what is done for it; every answer is looked at."""

    def __init__(self, version: PlanVersion, payer: dict[str, Any]) -> None:
        self.now = START
        clock.use(lambda: self.now)
        self.tenant: Tenant = make_tenant(version, balance="4", **payer)
        self.open: dict[int, tuple[Authorized, str]] = {}
        self.made = 0

    def do(self, what: str, which: Any, units: int) -> None:
        self.made += 1
        self.now += timedelta(seconds=1)
        getattr(self, f"_{what}")(which, units)

    def check(self) -> None:
        """The sum of open holds is what is held; the balance that is read leaves out those that are over."""
        rows = Authorization.objects.filter(billing_entity_id=self.tenant.payer.pk, status="authorized")
        holding = sum((row.held for row in rows if row.expires_at > self.now), Decimal(0))
        over = sum((row.held for row in rows if row.expires_at <= self.now), Decimal(0))
        account = LedgerAccount.objects.filter(billing_entity_id=self.tenant.payer.pk, kind="wallet").first()
        assert (account.held if account else 0) == holding + over
        assert balance_of(self.tenant.payer, self.now).held == holding
        assert not Overspend.objects.exists()

    def _authorize(self, meter: str, units: int, amount: Decimal | None = None) -> None:
        asked = request(self.tenant, f"k{self.made}", Mode.HOLD, properties={meter: units})
        asked.hold = HoldTerms(timedelta(seconds=units), amount)
        (outcome,) = charge_many([asked])
        assert isinstance(outcome, Authorized | Denied)
        if isinstance(outcome, Authorized):
            self.open[self.made] = (outcome, meter)

    def _amount(self, meter: str, units: int) -> None:
        self._authorize(meter, units, Decimal(units) / 50)

    def _charge(self, meter: str, units: int) -> None:
        (outcome,) = charge_many([request(self.tenant, f"k{self.made}", properties={meter: units})])
        assert isinstance(outcome, Charged | Denied)

    def _pick(self, number: int) -> int | None:
        return list(self.open)[number % len(self.open)] if self.open else None

    def _capture(self, number: int, units: int) -> None:
        """A hold that is not over is captured up to its amount, whatever came between."""
        picked = self._pick(number)
        if picked is None:
            return
        hold, meter = self.open.pop(picked)
        row = Authorization.objects.get(id=hold.id)
        raw = {"idempotency_key": row.public_id, "event": "completion", "billing_entity": hold.billing_entity}
        event = parse_event(raw | {"properties": {meter: units}}, clock.now())
        over = [Over.CAP, Over.OVERDRAFT][units % 2]
        terms = CaptureTerms(hold.customer_id, hold.id, over=over)
        (outcome,) = charge_many([ChargeRequest(event, Mode.ASK, authorization=terms)])
        is_open = row.expires_at > self.now
        if is_open and (over is Over.CAP or Decimal(units) / 100 <= hold.amount):
            assert isinstance(outcome, Charged)

    def _void(self, number: int, _units: int) -> None:
        picked = self._pick(number)
        if picked is not None:
            self._try(authorizations.void, Authorization.objects.get(id=self.open.pop(picked)[0].id))

    def _extend(self, number: int, units: int) -> None:
        picked = self._pick(number)
        if picked is not None:
            row = Authorization.objects.get(id=self.open[picked][0].id)
            self._try(authorizations.extend, row, timedelta(seconds=units))

    def _try(self, verb: Any, row: Authorization, *arguments: Any) -> None:
        if row.expires_at > self.now:
            verb(row, *arguments)
            return
        with pytest.raises(TollgateError) as raised, transaction.atomic():
            verb(row, *arguments)
        assert raised.value.code == "authorization_expired"

    def _wait(self, _which: str, units: int) -> None:
        self.now += timedelta(seconds=units)

    def _top_up(self, _which: str, units: int) -> None:
        top_up(self.tenant.payer, Decimal(units) / 100)

    def _grant(self, meter: str, units: int) -> None:
        components = [meter[:3]] if meter == "tokens" else ["img"]
        end = self.now + timedelta(seconds=units)
        grant_credit(self.tenant.payer, Decimal(units) / 100, components=components, expires_at=end)


@pytest.fixture
def version(transactional_db: None) -> Iterator[PlanVersion]:
    """Made when the calls begin: a meter counts what was recorded since it was frozen."""
    clock.use(lambda: START)
    make_meter()
    make_meter("images")
    yield make_version(COMPONENTS)
    clock.use(None)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(STEPS, min_size=3, max_size=25), payer=st.sampled_from(PAYERS))
def test_what_is_held_is_the_sum_of_open_holds(
    version: PlanVersion, steps: list[tuple[str, Any, int]], payer: dict[str, Any]
) -> None:
    calls = Calls(version, payer)
    for what, which, units in steps:
        calls.do(what, which, units)
        calls.check()
    authorizations.expire_due(calls.now)
    assert broken_invariants(driver()) == []
