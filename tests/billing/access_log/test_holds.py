"""Lines with a hold: captured once with what the call took, whoever else settled it, whenever it is over."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.keys import issue_api_key
from accounts.models import BillingEntity
from billing.access_log.ingesting import Ingester
from billing.models import Authorization, Charge, Overspend, UnreadLine
from billing.reports.passed_calls import passed_calls
from core import clock
from metering.models import QuarantinedEvent, UsageEvent
from tests.api_client import Api
from tests.billing.access_log.log_lines import append, line
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_UNIT = {"key": "calls", "meter": "quantity", "model": "per_unit", "unit_price": "0.5"}


class Gate:
    """A gateway: it asks before a call, and logs a line after it."""

    def __init__(self, tenant: Tenant, log: Path) -> None:
        self.api, self.tenant, self.log = Api(), tenant, log
        self.key = issue_api_key(workspace=tenant.workspace, name="caller").secret
        self.count = 0

    def ask(self, quantity: int = 2, event: str = "completion") -> str:
        """Ask for a new call; the hold's id."""
        self.count += 1
        headers = {
            "X-Tollgate-Key": self.api.secret,
            "X-Api-Key": str(self.key),
            "X-Request-Id": f"call-{self.count}",
            "X-Tollgate-Event": event,
            "X-Tollgate-Quantity": str(quantity),
        }
        answer = self.api.client.get("/v1/gateway/authorize", headers=headers)
        assert answer.status_code == 200, answer.content
        return str(answer["X-Tollgate-Authorization"])

    def logs(self, hold: str, **fields: Any) -> None:
        """The line of the last call."""
        named = {"request_id": f"call-{self.count}", "tollgate": "200", "authorization": hold}
        append(self.log, line(**named | fields))

    def ingest(self) -> dict[str, int]:
        counts: Counter[str] = Ingester(self.log).run().counts
        return {name: count for name, count in counts.items() if count}


_january = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    make_meter("quantity")
    return make_tenant(make_version([PER_UNIT]), balance="10", overdraft=Decimal(0))


@pytest.fixture
def gate(tenant: Tenant, tmp_path: Path) -> Gate:
    return Gate(tenant, tmp_path / "tollgate.log")


def held(tenant: Tenant) -> Decimal:
    return sum(Authorization.objects.values_list("held", flat=True), Decimal(0))


@pytest.mark.parametrize(
    ("usage", "amount"),
    [("", "1"), ("2", "1"), ("0.5", "0.25"), ("7", "3.5"), ('{"quantity": 3}', "1.5"), ("0", "0")],
)
def test_a_hold_is_captured_with_what_the_call_took(
    gate: Gate, tenant: Tenant, usage: str, amount: str
) -> None:
    gate.logs(gate.ask(2), usage=usage)
    assert gate.ingest() == {"lines": 1, "captured": 1}
    charge = Charge.objects.get()
    assert charge.amount == Decimal(amount)
    assert balance(tenant) == 10 - Decimal(amount)
    assert held(tenant) == 0
    event = UsageEvent.objects.get()
    assert (event.source, event.properties["bytes"]) == ("gateway", 512)
    assert event.api_key_id is not None


def test_a_number_of_usage_is_what_the_events_meter_measures(tenant: Tenant, tmp_path: Path) -> None:
    make_meter("tokens", event="chat")
    gate = Gate(make_tenant(make_version([PER_UNIT | {"meter": "tokens"}]), balance="10"), tmp_path / "a.log")
    gate.logs(gate.ask(2, event="chat"), usage="7")
    gate.logs(gate.ask(2, event="chat"))
    gate.logs(gate.ask(2, event="chat"), usage='{"tokens": 1}')
    append(gate.log, line(event="chat", caller=gate.key, quantity="3"))
    assert gate.ingest() == {"lines": 4, "captured": 3, "passed": 1}
    amounts = [charge.amount for charge in Charge.objects.order_by("seq")]
    assert amounts == [Decimal("3.5"), Decimal(1), Decimal("0.5"), Decimal("1.5")]


def test_reading_again_or_elsewhere_captures_nothing_twice(gate: Gate, tenant: Tenant) -> None:
    hold = gate.ask()
    gate.logs(hold)
    gate.ingest()
    assert gate.ingest() == {}
    gate.log = gate.log.with_name("copy.log")
    append(gate.log, line())
    gate.logs(hold)
    assert gate.ingest() == {"lines": 2, "unread": 1, "known": 1}
    assert Charge.objects.count() == 1
    assert balance(tenant) == Decimal(9)


def test_what_the_operators_own_code_captured_is_known(gate: Gate, tenant: Tenant) -> None:
    hold = gate.ask()
    captured = gate.api.post(f"/v1/authorizations/{hold}/capture", {"idempotency_key": "own"})
    assert captured.status_code == 201
    gate.logs(hold, usage="9")
    assert gate.ingest() == {"lines": 1, "known": 1}
    assert balance(tenant) == Decimal(9)


def test_a_call_that_failed_frees_its_hold_once(gate: Gate, tenant: Tenant) -> None:
    hold = gate.ask()
    gate.logs(hold, status="502")
    gate.logs(hold, status="502")
    assert gate.ingest() == {"lines": 2, "voided": 1, "known": 1}
    assert Authorization.objects.get().status == "voided"
    assert (balance(tenant), held(tenant)) == (Decimal(10), Decimal(0))


def test_a_failed_call_whose_hold_is_over_is_free(gate: Gate) -> None:
    gate.logs(gate.ask(), status="504")
    clock.use(lambda: NOW + timedelta(seconds=600))
    assert gate.ingest() == {"lines": 1, "free": 1}


def test_a_line_that_comes_after_the_hold_is_over_is_charged_all_the_same(gate: Gate, tenant: Tenant) -> None:
    hold = gate.ask(20)  # all there is
    gate.logs(hold, usage="6")
    clock.use(lambda: NOW + timedelta(seconds=601))
    charge(tenant, "meanwhile", properties={"quantity": 16})
    assert gate.ingest() == {"lines": 1, "captured": 1}
    assert Charge.objects.latest("seq").amount == Decimal(3)
    overspend = Overspend.objects.get()
    assert (overspend.amount, overspend.cause) == (Decimal(1), "late_capture")
    assert balance(tenant) == Decimal(-1)
    assert gate.ingest() == {}


@pytest.mark.parametrize("days", [0, 1, 20])
def test_a_call_happened_when_it_was_authorized_however_late_its_line_is_read(gate: Gate, days: int) -> None:
    """Twenty days on it is another month: the call belongs to the one in which it was made."""
    gate.logs(gate.ask())
    clock.use(lambda: NOW + timedelta(days=days))
    assert gate.ingest() == {"lines": 1, "captured": 1}
    assert UsageEvent.objects.get().occurred_at == NOW
    assert gate.ingest() == {}


def test_a_call_that_is_older_than_the_accept_window_waits_in_quarantine(gate: Gate, tenant: Tenant) -> None:
    gate.logs(gate.ask())
    clock.use(lambda: NOW + timedelta(days=36))
    assert gate.ingest() == {"lines": 1, "quarantined": 1}
    assert QuarantinedEvent.objects.get().reason == "too_late"
    assert balance(tenant) == Decimal(10)


def test_who_hung_up_while_tollgate_was_asked_pays_nothing(gate: Gate, tenant: Tenant) -> None:
    hold = gate.ask()
    gate.logs(hold, status="499", upstream="")
    gate.logs("", request_id="call-2", status="499", upstream="", tollgate="", caller=f"Bearer {gate.key}")
    assert gate.ingest() == {"lines": 2, "voided": 1, "free": 1}
    assert (balance(tenant), held(tenant)) == (Decimal(10), Decimal(0))


def test_a_line_names_no_lease(gate: Gate, tenant: Tenant) -> None:
    body = {"workspace": tenant.workspace.external_id, "amount": "5"}
    lease = gate.api.make("/v1/leases", **body)["id"]
    gate.logs(lease.replace("lease_", "auth_"), status="500")
    assert gate.ingest() == {"lines": 1, "unread": 1}
    assert held(tenant) == Decimal(5)


def test_more_than_was_held_is_charged_even_below_the_floor(gate: Gate, tenant: Tenant) -> None:
    gate.logs(gate.ask(2), usage="30")
    assert gate.ingest() == {"lines": 1, "captured": 1}
    assert balance(tenant) == Decimal(-5)
    assert Overspend.objects.get().amount == Decimal(5)


def test_a_hold_whose_answer_was_lost_is_captured_by_the_line_that_has_only_the_key(
    gate: Gate, tenant: Tenant
) -> None:
    gate.ask(2)
    gate.logs("", tollgate="", caller=f"Bearer {gate.key}", usage="4")
    assert gate.ingest() == {"lines": 1, "passed": 1}
    assert balance(tenant) == Decimal(8)
    assert held(tenant) == 0
    assert Authorization.objects.get().status == "captured"
    (passed,) = passed_calls(since=START)
    assert (passed.calls, passed.amount, passed.overspent) == (1, Decimal(2), Decimal(0))
    assert gate.ingest() == {}


def test_holds_events_and_failures_of_one_batch_are_settled_together(gate: Gate, tenant: Tenant) -> None:
    first, second = gate.ask(), gate.ask()
    gate.logs(second)
    append(gate.log, line(request_id="call-1", tollgate="200", authorization=first, status="500"))
    append(gate.log, line(tollgate="402", reason="insufficient_funds"), line(caller=gate.key))
    assert gate.ingest() == {"lines": 4, "captured": 1, "voided": 1, "stopped": 1, "passed": 1}
    assert held(tenant) == 0


def test_a_hold_that_is_not_ours_is_reported(gate: Gate) -> None:
    hold = gate.ask()
    gate.logs(hold[:-1] + ("0" if hold[-1] != "0" else "1"))
    assert gate.ingest() == {"lines": 1, "unread": 1}
    assert UnreadLine.objects.get().problem == "There is no such authorization."


def test_a_payer_closed_meanwhile_is_charged_for_what_was_promised(gate: Gate, tenant: Tenant) -> None:
    gate.logs(gate.ask())
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="closed")
    assert gate.ingest() == {"lines": 1, "captured": 1}
    assert (balance(tenant), held(tenant)) == (Decimal(9), 0)
    assert not QuarantinedEvent.objects.exists()


def test_a_payer_suspended_meanwhile_is_charged_for_what_was_promised(gate: Gate, tenant: Tenant) -> None:
    gate.logs(gate.ask())
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="suspended")
    assert gate.ingest() == {"lines": 1, "captured": 1}
    assert balance(tenant) == Decimal(9)
