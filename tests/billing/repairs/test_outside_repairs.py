"""Repairs of what the outside says: payments booked or adjusted, calls released, messages delivered."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys import register_fingerprint
from accounts.secrets import fingerprint
from billing.models import Discrepancy, OutboxMessage, Repair, Transfer
from billing.reconciliation.alerts import tell_discrepancies
from billing.reconciliation.repairs.running import actions_for, do_repair, find_action, preview_repair
from billing.reconciliation.runs import request_run, run_unfinished
from core import clock, partitions
from core.errors import Conflict
from tests.accounts.caller import Caller, caller_with
from tests.billing.outside.outside_world import call_by_key, count, listed
from tests.billing.repairs.broken import corrupt, discrepancies, found, the_one
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, 12, 30, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
_clock = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), starts_at=NOW - timedelta(days=80))


def pay(caller: Caller, tenant: Tenant, amount: str) -> None:
    """A top-up of two days ago that names the payment."""
    clock.use(lambda: NOW - timedelta(days=2))
    body = {"billing_entity": tenant.payer.public_id, "amount": amount, "reference": "stripe:pi_1"}
    caller.made("/v1/top-ups", body)
    clock.use(lambda: NOW)


def repair(row: Discrepancy, name: str) -> Repair:
    """Preview and do."""
    action = find_action(row, name)
    facts = preview_repair(row, action).facts
    return do_repair(row, action, facts=facts, reason="By the list of January", by="felix")


@pytest.mark.parametrize(
    ("booked", "listed_amount", "kind", "wallet"),
    [
        (["45"], "50", "payment_amount_differs", "50"),
        (["50", "50"], "50", "payment_booked_twice", "50"),
        (["50"], None, "payment_missing_there", "0"),
    ],
)
def test_what_is_booked_is_adjusted_to_what_the_provider_has(
    caller: Caller, tenant: Tenant, booked: list[str], listed_amount: str | None, kind: str, wallet: str
) -> None:
    for amount in booked:
        pay(caller, tenant, amount)
    listed(caller, *([] if listed_amount is None else [{"id": "pi_1", "amount": listed_amount}]))
    before = Transfer.objects.count()
    done = repair(the_one(kind, discrepancies()), "adjust_to_payment")
    assert found() == []
    assert balance(tenant) == Decimal(wallet)
    assert Transfer.objects.count() > before, "entries were posted, none was changed"
    assert done.seq is not None
    adjustment = caller.get("/v1/adjustments").json["data"][0]
    assert adjustment["reason"] == "By the list of January (stripe:pi_1)"


@pytest.mark.parametrize(("kind", "wallet"), [("payment", "50"), ("refund", "-50")])
def test_what_is_missing_here_is_booked_for_the_payer_that_the_list_names(
    caller: Caller, tenant: Tenant, kind: str, wallet: str
) -> None:
    listed(caller, {"id": "pi_1", "amount": "50", "kind": kind, "billing_entity": tenant.payer.external_id})
    repair(the_one("payment_missing_here", discrepancies()), "book_payment")
    assert found() == []
    assert balance(tenant) == Decimal(wallet)


def test_what_a_preview_made_is_not_taken_for_there(
    caller: Caller,
    tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Callable[[], AbstractContextManager[list[Any]]],
) -> None:
    """Partitions of a month that a preview makes are undone: the process must not count on them."""
    listed(caller, {"id": "pi_1", "amount": "50", "billing_entity": tenant.payer.external_id})
    row = the_one("payment_missing_here", discrepancies())
    monkeypatch.setattr(partitions, "_ready", set())
    with django_capture_on_commit_callbacks() as waiting:
        assert preview_repair(row, find_action(row, "book_payment")).writes
    assert waiting == []


def test_without_a_payer_or_in_another_currency_nothing_is_booked(caller: Caller, tenant: Tenant) -> None:
    listed(caller, {"id": "pi_1", "amount": "50"})
    assert actions_for(the_one("payment_missing_here", discrepancies())) == []
    payer = tenant.payer.external_id
    listed(caller, {"id": "pi_2", "amount": "50", "currency": "EUR", "billing_entity": payer})
    row = the_one("payment_missing_here", discrepancies())
    assert row.subject == "payment stripe:pi_2", "the newer list no longer has the other"
    with pytest.raises(Conflict) as refused:
        preview_repair(row, find_action(row, "book_payment"))
    assert refused.value.code == "currency_differs"


def test_calls_that_wait_are_released_and_charged_once(caller: Caller, tenant: Tenant) -> None:
    key = register_fingerprint(workspace=tenant.workspace, name="k", fingerprint=fingerprint("secret"))
    hour = (NOW - timedelta(days=40)).replace(minute=0)
    for number in range(2):
        call_by_key(caller, key, f"late-{number}", hour + timedelta(minutes=number))
    count(caller, key, hour, 2)
    row = the_one("count_too_high", discrepancies())
    preview = preview_repair(row, find_action(row, "release_calls"))
    assert [write.after for write in preview.writes] == [{"status": "released"}] * 2
    assert not preview.is_known, "what cannot be taken back is not tried"
    assert balance(tenant) == 0
    repair(row, "release_calls")
    assert found() == []
    assert balance(tenant) == -2


def test_when_more_is_missing_than_waits_nothing_is_released(caller: Caller, tenant: Tenant) -> None:
    key = register_fingerprint(workspace=tenant.workspace, name="k", fingerprint=fingerprint("secret"))
    hour = (NOW - timedelta(days=40)).replace(minute=0)
    call_by_key(caller, key, "late", hour)
    count(caller, key, hour, 3)
    row = the_one("count_too_high", discrepancies())
    with pytest.raises(Conflict) as refused:
        repair(row, "release_calls")
    assert refused.value.code == "not_mended"


def test_a_message_that_waited_too_long_is_delivered_once(tenant: Tenant) -> None:
    old = NOW - timedelta(hours=2)
    OutboxMessage.objects.create(kind="k", key="k", payload={}, created_at=old)
    row = the_one("message_waiting", discrepancies())
    repair(row, "deliver_again")
    assert found() == []
    assert OutboxMessage.objects.get().delivered_at == NOW


BUMP = "UPDATE billing_ledgeraccount SET balance = balance + 5 WHERE kind = 'wallet'"


def test_repairs_through_the_api(caller: Caller, tenant: Tenant) -> None:
    charge(tenant, "a", properties={"tokens": 3})
    corrupt(BUMP)
    request_run("full")
    run_unfinished()
    (row,) = caller.get("/v1/discrepancies", type="balance").json["data"]
    address = f"/v1/discrepancies/{row['id']}"
    (offer,) = caller.get(f"{address}/repair").json["data"]
    assert (offer["action"], offer["posts"]) == ("rebuild_balance", False)
    preview = caller.post(f"{address}/repair", {"action": "rebuild_balance", "preview": True}).json
    assert preview["writes"] == [
        {
            "table": "ledger account",
            "row": f"wallet of {tenant.payer.public_id}",
            "before": {"balance": "2"},
            "after": {"balance": "-3"},
        }
    ]
    assert (preview["before"]["amount"], preview["after"]) == ("5", None)
    body = {"action": "rebuild_balance", "facts": preview["facts"], "reason": "r"}
    assert caller_with("read").post(f"{address}/repair", body).status == 403
    for name in ("facts", "reason"):
        lacking = {key: value for key, value in body.items() if key != name}
        assert caller.post(f"{address}/repair", lacking).error["param"] == name
    wrong = caller.post(f"{address}/repair", body | {"facts": "x"})
    assert (wrong.status, wrong.error["code"]) == (409, "facts_changed")
    assert caller.post(f"{address}/repair", body | {"action": "x"}).error["code"] == "no_such_repair"
    first = caller.post(f"{address}/repair", body, key="k1")
    again = caller.post(f"{address}/repair", body, key="k1")
    assert (first.status, first.json) == (200, again.json)
    (done,) = caller.get(f"{address}/repairs").json["data"]
    assert (done["id"], done["writes"], done["reason"]) == (first.json["id"], preview["writes"], "r")
    request_run("full")
    run_unfinished()
    assert caller.get(address).json["status"] == "resolved"
    assert caller.get(f"{address}/repair").json["data"] == []
    assert caller.get("/v1/balance", workspace=tenant.workspace.public_id).json["settled"] == "-3"


def test_staff_is_told_once_of_what_a_run_found_for_the_first_time(
    caller: Caller, tenant: Tenant, settings: object
) -> None:
    charge(tenant, "a", properties={"tokens": 3})
    corrupt(BUMP)
    for _ in range(2):
        request_run("full")
        run_unfinished()
        tell_discrepancies(NOW)
        tell_discrepancies(NOW)
    (message,) = OutboxMessage.objects.filter(kind="reconciliation.discrepancies")
    assert message.customer_id is None, "it is for the operator, never for a customer"
    assert (message.payload["count"], message.payload["drift"]) == (2, {"USD": "7"})
    types = [one["type"] for one in message.payload["discrepancies"]]
    assert types == ["balance", "wallet_over_grants"], "the largest first"


def test_what_is_below_the_threshold_is_told_to_nobody(tenant: Tenant, settings: object) -> None:
    settings.RECONCILIATION_ALERT_FROM = Decimal(6)  # type: ignore[attr-defined]
    charge(tenant, "a", properties={"tokens": 3})
    corrupt(BUMP)
    request_run("full")
    run_unfinished()
    assert tell_discrepancies(NOW) == 0
