"""Rows against their seals: whatever was changed behind the system's back is named."""

from __future__ import annotations

import pytest

from billing.seals import sealing, verifying
from billing.seals.sealing import seal_due
from billing.seals.verifying import Cause, Misfit, Verification
from core.sql import driver
from tests.billing.damage import disarmed
from tests.billing.seals.sealed import NOW, seals, use
from tests.billing.world import Tenant, make_tenant
from tests.statements import counted


def verified(tenant: Tenant, after: int = 0) -> Verification:
    return Verification(driver(), [(tenant.customer.pk, tenant.payer.pk, after)])


def found(tenant: Tenant, after: int = 0) -> list[tuple[str, str]]:
    return [(each.subject, each.cause.value) for each in verified(tenant, after).misfits()]


def test_what_was_sealed_fits(tenant: Tenant) -> None:
    seal_due(NOW)
    run = verified(tenant)
    assert list(run.misfits()) == []
    assert (run.rows, run.seals) == (10, 1)


def test_what_is_not_sealed_yet_is_not_judged(tenant: Tenant) -> None:
    seal_due(NOW)
    use(tenant, 1, first=3)
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET amount = 9 WHERE seq = 5")
    assert found(tenant) == []


@pytest.mark.parametrize(
    ("statement", "subjects"),
    [
        ("UPDATE billing_charge SET amount = 9 WHERE seq = 2", ["charge 2"]),
        ("UPDATE billing_charge SET lines = '[]' WHERE seq = 3", ["charge 3"]),
        ("UPDATE billing_charge SET settled_after = settled_after + 1 WHERE seq = 3", ["charge 3"]),
        ("UPDATE billing_transfer SET amount = 9 WHERE seq = 1", ["transfer 1"]),
        ("UPDATE billing_transfer SET source = 'cash' WHERE seq = 4", ["transfer 4"]),
        ("UPDATE billing_transfer SET grant_id = NULL WHERE seq = 4", ["transfer 4"]),
        ("UPDATE metering_usageevent SET properties = properties || '{\"tokens\": 6}'", "all"),
        ("UPDATE metering_usageevent SET properties = properties || '{\"tokens\": 5.0}'", "all"),
        ("UPDATE metering_usageevent SET properties = properties - 'who' WHERE seq = 2", ["event 2"]),
        ("UPDATE metering_usageevent SET properties = properties || '{\"x\": null}'", "all"),
        ("UPDATE metering_usageevent SET \"user\" = 'bob' WHERE seq = 2", ["event 2"]),
        ('UPDATE metering_usageevent SET "user" = NULL WHERE seq = 2', ["event 2"]),
        ("UPDATE metering_usageevent SET unmatched = true WHERE seq = 2", ["event 2"]),
        ("UPDATE metering_usageevent SET occurred_at = occurred_at + interval '1 us'", "all"),
    ],
)
def test_a_row_that_was_changed_is_named(tenant: Tenant, statement: str, subjects: list[str] | str) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute(statement)
    names = ["event 2", "event 3", "event 4"] if subjects == "all" else list(subjects)
    assert found(tenant) == [(name, "changed") for name in names]


@pytest.mark.parametrize(
    ("table", "kind"),
    [("metering_usageevent", "event"), ("billing_charge", "charge"), ("billing_transfer", "transfer")],
)
def test_a_row_that_is_gone_is_named(tenant: Tenant, table: str, kind: str) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE seq = 3")
    assert found(tenant) == [(f"{kind} 3", "missing")]


def test_a_row_that_came_under_a_seal_is_named(tenant: Tenant) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET seq = 3 WHERE seq = 2")
    assert found(tenant) == [("charge 2", "missing"), ("charge 3", "added")]
    with disarmed() as cursor:
        cursor.execute(
            "INSERT INTO billing_transfer SELECT customer_id, billing_entity_id, seq, 7, recorded_at, reason,"
            " reference, source, destination, amount, grant_id FROM billing_transfer WHERE seq = 1"
        )
    assert ("transfer 1/7", "added") in found(tenant)


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("UPDATE billing_seal SET head = decode(repeat('11', 32), 'hex')", "broken"),
        ("UPDATE billing_seal SET entries = overlay(entries placing '\\x00'::bytea from 40)", "broken"),
        ("UPDATE billing_seal SET sealed_at = sealed_at + interval '1 s'", "broken"),
        ("UPDATE billing_seal SET to_seq = to_seq - 1", "broken"),
        ("UPDATE billing_seal SET previous_head = head", "broken"),
    ],
)
def test_a_broken_seal_is_named(tenant: Tenant, statement: str, cause: str) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute("ALTER TABLE billing_seal DROP CONSTRAINT IF EXISTS seal_begins")
        cursor.execute(statement)
    assert cause in [each.cause.value for each in verified(tenant).misfits()]


def test_salts_that_are_gone_leave_events_without_proof(tenant: Tenant) -> None:
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute("DELETE FROM billing_sealsalts")
    assert found(tenant) == [(f"event {seq}", "changed") for seq in (2, 3, 4)]


def test_a_seal_that_is_gone_breaks_the_chain(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 1)
    seal_due(NOW)
    assert len(seals(tenant)) == 4
    with disarmed() as cursor:
        cursor.execute("DELETE FROM billing_seal WHERE from_seq = 2")
    assert found(tenant) == [("seal 3 to 3", "unchained")]
    with disarmed() as cursor:
        cursor.execute("DELETE FROM billing_seal WHERE from_seq = 1")
    assert found(tenant) == [("seal 3 to 3", "unchained")]
    assert found(tenant, after=2) == []


def test_a_seal_that_was_made_again_over_changed_rows_does_not_fit_its_successor(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 2)
    seal_due(NOW)
    first, second = seals(tenant)
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET amount = 9 WHERE seq = 2; DELETE FROM billing_sealsalts")
        cursor.execute("DELETE FROM billing_seal")
    seal_due(NOW)
    forged = seals(tenant)[0]
    with disarmed() as cursor:
        cursor.execute("DELETE FROM billing_seal WHERE from_seq > 1")
        cursor.execute(
            "INSERT INTO billing_seal (customer_id, billing_entity_id, from_seq, to_seq, rows, previous_head,"
            " head, entries, sealed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(second.customer_id, second.billing_entity_id, 3, 4, second.rows),
                *(bytes(second.previous_head), bytes(second.head), bytes(second.entries), second.sealed_at),
            ],
        )
    assert bytes(forged.head) != bytes(first.head)
    assert ("seal 3 to 4", "unchained") in found(tenant)


def test_only_what_ends_beyond_a_number_is_looked_at(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 2)
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute("UPDATE billing_charge SET amount = 9 WHERE seq = 2")
    assert found(tenant, after=2) == []
    assert found(tenant, after=1) == [("charge 2", "changed")]


def test_payers_do_not_mix(tenant: Tenant) -> None:
    other = make_tenant(None, balance="7")
    seal_due(NOW)
    with disarmed() as cursor:
        cursor.execute(f"UPDATE billing_transfer SET amount = 8 WHERE billing_entity_id = {other.payer.pk}")
    run = Verification(driver(), [(each.customer.pk, each.payer.pk, 0) for each in (other, tenant)])
    (misfit,) = run.misfits()
    assert misfit == Misfit((other.customer.pk, other.payer.pk), Cause.CHANGED, 1, 1, misfit.place)
    assert (run.rows, run.seals) == (11, 2)


def test_statements_grow_with_rows_and_not_with_payers(tenant: Tenant) -> None:
    spans = [(tenant.customer.pk, tenant.payer.pk, 0)]
    seal_due(NOW)
    with counted() as one:
        assert list(Verification(driver(), spans).misfits()) == []
    for number in range(10):
        other = make_tenant(None, balance=str(number + 1))
        spans.append((other.customer.pk, other.payer.pk, 0))
    seal_due(NOW)
    with counted() as many:
        assert list(Verification(driver(), spans).misfits()) == []
    assert len(one) == len(many) == 6


def test_long_chains_are_read_a_part_at_a_time(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 1)
    monkeypatch.setattr(verifying, "NUMBERS_AT_ONCE", 2)
    monkeypatch.setattr(verifying, "SEALS_AT_ONCE", 3)
    use(tenant, 5, first=3)
    seal_due(NOW)
    run = verified(tenant)
    assert list(run.misfits()) == []
    assert (run.rows, run.seals) == (25, 9)
