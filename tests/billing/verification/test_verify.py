"""`manage.py verify`: what is booked comes out again, and what does not is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.charging import Mode
from billing.closing import close_periods
from billing.management.commands import verify as command
from billing.models import Charge
from billing.periods import book_base_fees
from billing.reversals import reverse_event
from billing.seals import seal_due
from billing.verification import Verified, verify
from core import clock
from metering.models import UsageEvent
from tests.billing.damage import disarmed
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

USED_AT = START + timedelta(days=3)
CLOSED_AT = datetime(2026, 2, 4, tzinfo=UTC)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
COMPONENT: dict[str, Any] = {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}


@pytest.fixture
def tenant(db: None) -> Iterator[Tenant]:
    """One who used 8 and 6 in January, 3 in February, and had January closed; all of it is sealed."""
    clock.use(lambda: USED_AT)
    make_meter()
    made = make_tenant(make_version([COMPONENT | {"minimum": "20"}]), balance="100")
    for key, tokens in (("a", 8), ("b", 6)):
        charge(made, key, Mode.REPORT, properties={"tokens": tokens})
    clock.use(lambda: CLOSED_AT)
    book_base_fees(CLOSED_AT)
    assert close_periods(CLOSED_AT) == 1
    charge(made, "c", Mode.REPORT, properties={"tokens": 3})
    seal_due(CLOSED_AT)
    yield made
    clock.use(None)


def ran(*options: str) -> tuple[int, list[str]]:
    """The exit code and the lines."""
    out = StringIO()
    try:
        call_command("verify", *options, stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return int(ended.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def kinds(*options: str) -> list[tuple[str, str]]:
    code, lines = ran("--json", *options)
    *found, summary = map(json.loads, lines)
    assert (code, summary["differences"]) == (1 if found else 0, len(found))
    return [(each["kind"], each["field"]) for each in found]


def test_what_is_booked_comes_out_again(tenant: Tenant) -> None:
    reverse_event(UsageEvent.objects.get(idempotency_key="a"), reason="r")
    code, lines = ran()
    counts = "1 payer, 4 charges, 3 balances, 2 periods, 11 sealed rows"
    assert (code, lines) == (0, [f"Recomputed {counts}: 0 differences."])


def test_the_summary_as_json(tenant: Tenant) -> None:
    code, (line,) = ran("--json", "--customer", tenant.customer.public_id)
    assert (code, json.loads(line)) == (
        0,
        {
            "type": "summary",
            "payers": 1,
            "charges": 3,
            "balances": 3,
            "periods": 2,
            "sealed_rows": 11,
            "differences": 0,
        },
    )


def test_a_charge_that_was_changed_is_named_with_both_sides(tenant: Tenant) -> None:
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET amount = 9 WHERE seq = 2")
    code, lines = ran()
    stored = Charge.objects.get(seq=2)
    assert code == 1
    who = tenant.payer.public_id
    assert lines[:-1] == [
        f"{who} charge {stored.public_id}: amount: stored 9, recomputed 8",
        f"{who} seal charge 2: changed: The row is not what it was when it was sealed.",
    ]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE billing_charge SET lines = jsonb_set(lines, '{0,position,to}', '\"9\"') WHERE seq = 2",
            [("charge", "tok.position.to"), ("seal", "changed")],
        ),
        (
            "UPDATE billing_charge SET lines = jsonb_set(lines, '{0,plan_version}', '\"x\"') WHERE seq = 2",
            [("charge", "tok.plan_version"), ("seal", "changed")],
        ),
        (
            "UPDATE billing_charge SET lines = jsonb_set(lines, '{0,component_id}', '99999') WHERE seq = 5",
            [("charge", "charge"), ("period", "tok"), ("period", "99999"), ("seal", "changed")],
        ),
        (
            "UPDATE billing_charge SET lines = '[]' WHERE seq = 2",
            [("charge", "amount")] * 2
            + [("charge", f"tok.{what}") for what in ("amount", "position.from", "position.to")]
            + [("period", "tok"), ("seal", "changed")],
        ),
        (
            "UPDATE metering_usageevent SET properties = '{\"tokens\": 4}' WHERE idempotency_key = 'c'",
            [
                ("charge", "amount"),
                ("charge", "tok.amount"),
                ("charge", "tok.position.to"),
                ("charge", "tok.quantity"),
                ("period", "tok"),
                ("seal", "changed"),
            ],
        ),
        (
            "DELETE FROM metering_usageevent WHERE idempotency_key = 'c'",
            [("charge", "charge"), ("period", "tok"), ("seal", "missing")],
        ),
        (
            "UPDATE billing_ledgeraccount SET balance = balance + 1 WHERE kind = 'wallet'",
            [("balance", "balance")],
        ),
        (
            "UPDATE billing_transfer SET amount = 9 WHERE seq = 2",
            [("balance", "balance"), ("balance", "balance")]
            + [("balance", "settled_after")] * 3
            + [("seal", "changed")],
        ),
        (
            "UPDATE billing_charge SET settled_after = 0 WHERE seq = 2",
            [("balance", "settled_after"), ("seal", "changed")],
        ),
        ("UPDATE billing_closingline SET amount = amount + 1", [("period", "tok")]),
        ("UPDATE billing_ledgeraccount SET seq = seq + 2 WHERE kind = 'wallet'", [("number", "rows")]),
        (
            "UPDATE billing_seal SET sealed_at = sealed_at + interval '1 s'",
            [("seal", "broken")],
        ),
    ],
)
def test_whatever_was_changed_is_named(tenant: Tenant, statement: str, found: list[tuple[str, str]]) -> None:
    with disarmed() as cursor:
        cursor.execute(statement)
    assert kinds() == found


def test_a_number_without_a_row_is_named(tenant: Tenant) -> None:
    with disarmed() as cursor:
        for table in ("metering_usageevent", "billing_charge", "billing_transfer"):
            cursor.execute(f"DELETE FROM {table} WHERE seq IN (2, 3)")
    _, lines = ran()
    assert lines[0] == (
        f"{tenant.payer.public_id} number numbers 2 to 3: rows: stored none, recomputed at least one"
    )


def test_only_the_charges_and_closes_of_a_period(tenant: Tenant) -> None:
    with disarmed() as cursor:
        cursor.execute(
            "UPDATE billing_charge SET lines = jsonb_set(lines, '{0,amount}', '\"7\"') WHERE seq = 2"
        )
    assert kinds("--period", "2026-02") == []
    assert kinds("--period", "2025-07") == []
    assert kinds("--period", "2026-01") == [("charge", "tok.amount"), ("period", "tok")]


def test_only_the_customer_or_payer_that_is_named(tenant: Tenant) -> None:
    other = make_tenant(None, balance="5")
    with disarmed() as cursor:
        cursor.execute(
            f"UPDATE billing_ledgeraccount SET balance = 1 WHERE billing_entity_id = {other.payer.pk}"
        )
    assert kinds("--customer", tenant.customer.public_id) == []
    assert kinds("--payer", tenant.payer.public_id) == []
    assert len(kinds("--payer", other.payer.public_id)) == 2
    assert len(kinds()) == 2


@pytest.mark.parametrize("options", [["--customer", "cus_1"], ["--payer", "be_1"], ["--period", "January"]])
def test_what_there_is_not_is_told(db: None, options: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("verify", *options)


def test_progress_is_told_and_differences_come_as_they_are_found(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PROGRESS_EVERY", 0.0)
    err = StringIO()
    call_command("verify", stdout=StringIO(), stderr=err)
    assert err.getvalue() == "1 of 1 payers, 3 charges\n"
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET amount = 9")
    done = Verified()
    stream = verify([tenant.payer], done)
    next(stream)
    assert (done.charges, done.payers, done.differences) == (1, 0, 1)
    assert len(list(stream)) == done.differences - 1
