"""For each repair: afterwards a full run is clean, the statement is right, and history shows it all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest

from accounts.models import Customer
from billing.charging import Charged
from billing.limits import limit_books
from billing.models import Discrepancy, Repair, Transfer
from billing.reconciliation.repairs import running
from billing.reconciliation.repairs.running import actions_for, do_repair, find_action, preview_repair
from core import clock
from core.errors import Conflict, NotFound
from tests.accounts.caller import Caller, caller_with
from tests.billing.repairs.broken import corrupt, discrepancies, found, the_one
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
TIERED = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "tiers": [{"up_to": "100", "unit_price": "0.1"}, {"up_to": None, "unit_price": "0.01"}],
}
WALLET = "UPDATE billing_ledgeraccount SET balance = balance + 5 WHERE kind = 'wallet'"


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


@pytest.fixture
def caller() -> Caller:
    return caller_with("admin")


@dataclass
class Statement:
    """What the customer sees: what it used, what it has, what it was charged."""

    usage: Any
    balance: Any
    charges: Any


@pytest.fixture
def tenant(caller: Caller) -> Tenant:
    """A payer with three charges (60 x 0.1, 40 x 0.1 + 20 x 0.01, 10 x 0.01) and an open hold."""
    make_meter()
    tenant = make_tenant(make_version([TIERED]), balance="100", overdraft=Decimal(0))
    limit = {"billing_entity": tenant.payer.public_id, "amount": "500", "currency": "USD", "window": "day"}
    caller.made("/v1/spend-limits", limit)
    for number, tokens in enumerate((60, 60, 10)):
        made = charge(
            tenant,
            f"c{number}",
            properties={"tokens": tokens},
            costs=[{"vendor": "v", "amount": "0.5", "currency": "USD"}],
        )
        assert isinstance(made, Charged)
    return tenant


def statement(caller: Caller, tenant: Tenant) -> Statement:
    workspace, payer = tenant.workspace.public_id, tenant.payer.public_id
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
    usage = caller.get("/v1/usage", billing_entity=payer, meter="tokens", **span).json
    usage.pop("as_of", None)
    charges = caller.get("/v1/charges", billing_entity=payer).json
    return Statement(usage, caller.get("/v1/balance", workspace=workspace).json, charges)


def repair(row: Discrepancy, name: str) -> Repair:
    """Preview and do, as staff would."""
    action = find_action(row, name)
    preview = preview_repair(row, action)
    assert preview.after is None, preview.after
    with mock.patch.object(running, "REHEARSED_NUMBERS", 0):
        read_only = preview_repair(row, action)
    assert (read_only.is_known, read_only.facts) == (False, preview.facts)
    assert read_only.writes == preview.writes, "what is only worked out is what would be written"
    return do_repair(row, action, facts=preview.facts, reason="Restored after the incident", by="felix")


Break = tuple[str, str, str]
"""(statement that corrupts, type that is found, repair)"""
REBUILT: dict[str, Break] = {
    "a balance bumped": (WALLET, "balance", "rebuild_balance"),
    "revenue lowered": (
        "UPDATE billing_ledgeraccount SET balance = balance - 1 WHERE kind = 'revenue'",
        "balance",
        "rebuild_balance",
    ),
    "an account gone": (
        "DELETE FROM billing_ledgeraccount WHERE kind = 'revenue'",
        "balance",
        "rebuild_balance",
    ),
    "a grant overdrawn": (
        "UPDATE billing_creditgrant SET remaining = remaining - 3",
        "grant_remaining",
        "rebuild_grant",
    ),
    "a hold left over": (
        "UPDATE billing_ledgeraccount SET held = held + 4 WHERE kind = 'wallet'",
        "held",
        "rebuild_held",
    ),
    "a counter off by one": (
        "UPDATE pricing_counter SET quantity = quantity + 1",
        "counter_state",
        "rebuild_counters",
    ),
    "a counter's amount": (
        "UPDATE pricing_counter SET amount = amount + 1",
        "counter_amount",
        "rebuild_counters",
    ),
    "a counter gone": ("DELETE FROM pricing_counter", "counter_amount", "rebuild_counters"),
    "a bucket wrong": (
        "UPDATE metering_usagebucket SET quantity = quantity + 7",
        "bucket_quantity",
        "rebuild_usage_bucket",
    ),
    "a bucket's events": (
        "UPDATE metering_usagebucket SET events = events + 1",
        "bucket_events",
        "rebuild_usage_bucket",
    ),
    "revenue of an hour": (
        "UPDATE billing_marginbucket SET revenue = revenue + 2 WHERE event = 'completion'",
        "bucket_revenue",
        "rebuild_margin_bucket",
    ),
    "cost of an hour": (
        "UPDATE billing_marginbucket SET cost = 0 WHERE event = 'completion'",
        "bucket_cost",
        "rebuild_margin_bucket",
    ),
    "events of an hour": (
        "UPDATE billing_marginbucket SET events = events + 1 WHERE event = 'completion'",
        "bucket_events",
        "rebuild_margin_bucket",
    ),
    "costed events of an hour": (
        "UPDATE billing_marginbucket SET costed = costed - 1 WHERE event = 'completion'",
        "bucket_events",
        "rebuild_margin_bucket",
    ),
    "a limit's counter": (
        "UPDATE billing_limitcounter SET used = used + 3",
        "limit_counter",
        "rebuild_limit",
    ),
    "a limit's counter lowered": (
        "UPDATE billing_limitcounter SET used = 0",
        "limit_counter",
        "rebuild_limit",
    ),
    "a limit's counter gone": ("DELETE FROM billing_limitcounter", "limit_counter", "rebuild_limit"),
    "a key missing": (
        "DELETE FROM metering_idempotencykey WHERE key = 'c1'",
        "key_missing",
        "restore_key",
    ),
}


@pytest.mark.parametrize("broken", REBUILT.values(), ids=REBUILT.keys())
def test_what_is_derived_is_rebuilt(caller: Caller, tenant: Tenant, broken: Break) -> None:
    statement_that_breaks, kind, name = broken
    before, entries = statement(caller, tenant), Transfer.objects.count()
    corrupt(statement_that_breaks)
    row = the_one(kind, discrepancies())
    done = repair(row, name)
    assert found() == []
    assert statement(caller, tenant) == before
    assert Transfer.objects.count() == entries, "nothing was posted"
    assert (done.reason, done.done_by, done.seq) == ("Restored after the incident", "felix", None)
    assert done.writes
    assert Discrepancy.objects.get(pk=row.pk).amount == row.amount, "what was found stays to be seen"


TRANSFER = "UPDATE billing_transfer SET {} WHERE reason = 'usage' AND amount = 6"
CORRECTED = {
    "an amount raised": TRANSFER.format("amount = amount + 2"),
    "an amount lowered": TRANSFER.format("amount = amount - 2"),
    "its sides changed": TRANSFER.format("source = destination, destination = source"),
    "another account": TRANSFER.format("source = 'receivable', grant_id = NULL"),
    "a transfer gone": "DELETE FROM billing_transfer WHERE reason = 'usage' AND amount = 6",
}


@pytest.mark.parametrize("broken", CORRECTED.values(), ids=CORRECTED.keys())
def test_entries_are_corrected_by_new_ones(caller: Caller, tenant: Tenant, broken: str) -> None:
    before = statement(caller, tenant)
    corrupt(broken)
    changed = list(Transfer.objects.order_by("seq", "position").values())
    kept = discrepancies()
    assert {row.link for row in kept} >= {"transfers", "balances"}
    row = next(row for row in kept if row.link == "transfers")
    done = repair(row, "correct_entries")
    assert found() == []
    assert statement(caller, tenant) == before
    after = list(Transfer.objects.order_by("seq", "position").values())
    assert after[: len(changed)] == changed, "what was changed stays as it is"
    new = after[len(changed) :]
    assert {row["reason"] for row in new} == {"correction"}
    assert {row["seq"] for row in new} == {done.seq} == {changed[-1]["seq"] + 1}
    outcome = charge(tenant, "next", properties={"tokens": 100})
    assert isinstance(outcome, Charged)
    assert found() == []


def test_a_balance_is_not_derived_from_entries_that_are_wrong(tenant: Tenant) -> None:
    """The balance is right, the transfer is not: rebuilding the balance would make the theft the truth."""
    corrupt(TRANSFER.format("amount = amount + 2"))
    kept = discrepancies()
    row = next(row for row in kept if row.type == "balance")
    with pytest.raises(Conflict, match="first") as refused:
        preview_repair(row, find_action(row, "rebuild_balance"))
    assert refused.value.code == "mend_first"


def test_a_balance_may_be_both_bumped_and_busy(caller: Caller, tenant: Tenant) -> None:
    """Calls go on between the preview and the repair: the same difference is mended, on newer balances."""
    corrupt(WALLET)
    row = the_one("balance", discrepancies())
    action = find_action(row, "rebuild_balance")
    preview = preview_repair(row, action)
    outcome = charge(tenant, "meanwhile", properties={"tokens": 10})
    assert isinstance(outcome, Charged)
    done = do_repair(row, action, facts=preview.facts, reason="r", by="felix")
    assert done.writes[0]["before"] == {"balance": "94.6"}
    assert done.writes[0]["after"] == {"balance": "89.6"}
    assert found() == [("balances", "balance_told")], "what the call meanwhile was answered stays a fact"


def test_what_processes_keep_of_limits_is_out_of_date_after_a_repair(tenant: Tenant) -> None:
    """Each call costs 0.1; of 500 so much is left that calls do not read the limit any more."""
    for number in range(3):
        assert isinstance(charge(tenant, f"calm{number}", properties={"tokens": 1}), Charged)
    corrupt("UPDATE billing_limitcounter SET used = used - 5")
    repair(the_one("limit_counter", discrepancies()), "rebuild_limit")
    book = limit_books({tenant.customer.pk: Customer.objects.get(pk=tenant.customer.pk).config_version})
    assert [course.calm for course in book[tenant.customer.pk]._courses.values()] == []
    assert isinstance(charge(tenant, "after", properties={"tokens": 1}), Charged)
    assert found() == []


def test_a_preview_says_what_would_be_written_and_writes_nothing(tenant: Tenant) -> None:
    corrupt(WALLET)
    row = the_one("balance", discrepancies())
    preview = preview_repair(row, find_action(row, "rebuild_balance"))
    (write,) = preview.writes
    assert (write.before, write.after) == ({"balance": "94.7"}, {"balance": "89.7"})
    assert (preview.before.expected, preview.before.actual) == (Decimal("89.7"), Decimal("94.7"))
    assert ("balances", "balance") in found()
    assert not Repair.objects.exists()


def test_a_repair_is_refused_when_the_facts_have_changed(tenant: Tenant) -> None:
    corrupt(WALLET)
    row = the_one("balance", discrepancies())
    action = find_action(row, "rebuild_balance")
    preview = preview_repair(row, action)
    corrupt(WALLET)
    with pytest.raises(Conflict) as refused:
        do_repair(row, action, facts=preview.facts, reason="r", by="felix")
    assert refused.value.code == "facts_changed"
    assert not Repair.objects.exists()


def test_what_agrees_again_needs_no_repair(tenant: Tenant) -> None:
    corrupt(WALLET)
    row = the_one("balance", discrepancies())
    action = find_action(row, "rebuild_balance")
    repair(row, "rebuild_balance")
    with pytest.raises(Conflict) as refused:
        preview_repair(row, action)
    assert refused.value.code == "already_gone"


def test_only_what_fits_is_offered(tenant: Tenant) -> None:
    corrupt("UPDATE metering_usageevent SET properties = '{\"tokens\": 61}' WHERE idempotency_key = 'c0'")
    kept = discrepancies()
    changed = the_one("event_changed", kept)
    assert actions_for(changed) == [], "what a caller sent is a fact: nothing here can tell what it was"
    with pytest.raises(NotFound):
        find_action(changed, "rebuild_balance")
    bucket = the_one("bucket_quantity", kept)
    with pytest.raises(Conflict, match=changed.public_id):
        preview_repair(bucket, find_action(bucket, "rebuild_usage_bucket"))


def test_a_restored_key_answers_a_retry_with_the_first_answer(caller: Caller, tenant: Tenant) -> None:
    body: dict[str, Any] = {"idempotency_key": "once", "event": "completion"}
    body["workspace"] = tenant.workspace.external_id
    body["properties"] = {"tokens": "1.50"}
    first = caller.post("/v1/charges", body)
    corrupt("DELETE FROM metering_idempotencykey WHERE key = 'once'")
    repair(the_one("key_missing", discrepancies()), "restore_key")
    again = caller.post("/v1/charges", body)
    assert (first.status, again.status) == (201, 200)
    assert again.json["id"] == first.json["id"]
    other = caller.post("/v1/charges", body | {"properties": {"tokens": "2"}})
    assert other.status == 409


def test_the_key_of_a_hold_is_restored(tenant: Tenant, caller: Caller) -> None:
    hold: dict[str, Any] = {"idempotency_key": "held", "event": "completion"}
    hold["workspace"] = tenant.workspace.external_id
    hold["properties"] = {"tokens": 5}
    first = caller.post("/v1/authorizations", hold)
    corrupt("DELETE FROM metering_idempotencykey WHERE key = 'held'")
    repair(the_one("key_missing", discrepancies()), "restore_key")
    assert found() == []
    again = caller.post("/v1/authorizations", hold)
    assert (again.status, again.json["id"]) == (200, first.json["id"])


def test_a_repair_needs_a_reason_and_is_kept_for_good(tenant: Tenant) -> None:
    corrupt(WALLET)
    row = the_one("balance", discrepancies())
    action = find_action(row, "rebuild_balance")
    facts = preview_repair(row, action).facts
    with pytest.raises(Exception, match="reason"):
        do_repair(row, action, facts=facts, reason=" ", by="felix")
    do_repair(row, action, facts=facts, reason="r", by="felix")
    with pytest.raises(Exception, match="Cannot update"):
        Repair.objects.update(reason="another")
