"""The demo's break-in: found, explained and repaired through the API, and impossible outside of a demo."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import override_settings

from billing.demo import proof
from billing.demo.gateway import Answer
from billing.models import LedgerAccount, Repair, Transfer
from billing.reconciliation.runs import request_run
from core import clock
from core.errors import PermissionDenied
from tests.accounts.caller import Caller, caller_with
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}


@dataclass
class InProcess:
    """The demo's gateway without a network."""

    caller: Caller

    def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None
    ) -> Answer:
        content = b"" if body is None else json.dumps(body).encode()
        found = self.caller.request(method, path, content)
        return Answer(found.status, found.json, 1)


@pytest.fixture(autouse=True)
def _demo() -> Iterator[None]:
    clock.use(lambda: NOW)
    with override_settings(TOLLGATE_DEMO=True):
        yield
    clock.use(None)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> Tenant:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="100", external_id="echo-billing")
    monkeypatch.setattr(proof, "VICTIM", tenant.customer.external_id)
    monkeypatch.setattr(proof, "_payer", lambda: tenant.payer)
    charge(tenant, "a", properties={"tokens": 10})
    return tenant


@pytest.fixture
def gateway() -> Any:
    return InProcess(caller_with("admin"))


def test_a_break_in_is_found_with_its_amount_and_repaired_without_an_entry(
    echo: Tenant, gateway: Any
) -> None:
    entries = Transfer.objects.count()
    found = proof.play_corrupt(gateway)
    assert [(side.before, side.after) for side in found.sides] == [(90, 115), (0, 25)]
    assert "is 115 USD, and its entries come to 90" in found.sense
    assert [link[1] for link in found.links] == ["discrepancy", "reconciliation_run", "reconciliation"]
    mended = proof.play_repair(gateway)
    assert [(side.before, side.after) for side in mended.sides] == [(115, 90), (25, 0)]
    assert mended.sense.endswith("the discrepancy is resolved.")
    assert (balance(echo), Transfer.objects.count()) == (90, entries)
    assert Repair.objects.get().reason == proof.REASON


def test_a_second_break_in_grows_the_same_discrepancy(echo: Tenant, gateway: Any) -> None:
    proof.play_corrupt(gateway)
    again = proof.play_corrupt(gateway)
    assert (again.sides[1].before, again.sides[1].after) == (25, 50)


def test_without_a_break_in_there_is_nothing_to_repair(echo: Tenant, gateway: Any) -> None:
    assert "break its balance first" in proof.play_repair(gateway).sense
    assert not Repair.objects.exists()


def test_while_another_run_goes_on_the_button_says_so(
    echo: Tenant, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "WAIT", 0)
    request_run()
    outcome = proof.play_corrupt(gateway)
    assert "A run over everybody is going on" in outcome.sense
    assert outcome.links == [("Reconciliation", "reconciliation", ())]


def test_nobody_breaks_into_anything_but_a_demo(echo: Tenant) -> None:
    with override_settings(TOLLGATE_DEMO=False), pytest.raises(PermissionDenied):
        proof.corrupt_balance(echo.payer, Decimal(25))
    account = LedgerAccount.objects.get(billing_entity_id=echo.payer.pk, kind="wallet")
    assert account.balance == 90
