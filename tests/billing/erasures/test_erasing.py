"""Erasing a person's data: it is gone, nobody can guess it, and everything is proved as before."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import TextField
from django.db.models.functions import Cast

from accounts.audit import changes_of
from billing.authorizations import capture_request
from billing.charging import Authorized, Charged, Failed, Mode, charge_many
from billing.erasures import request_erasure, rows, run_erasure, run_erasures, verbs
from billing.models import Authorization, Charge, ErasedRecord, Erasure, SealSalts
from billing.recompute import charges_of, is_proved, recompute_charges
from billing.replay import replay_differences
from billing.seals import check_export, seal_payers, sealing
from billing.seals.sealing import seal_due
from billing.seals.verifying import Verification
from core.errors import InvalidRequest
from core.sql import driver
from metering.models import CostRate, IdempotencyKey, QuarantinedEvent, UsageEvent
from tests.billing.seals.sealed import PER_TOKEN, use
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
SENT: dict[str, Any] = {
    "properties": {
        "tokens": 5,
        "email": "olga@example.com",
        "ip": "10.0.0.1",
        "region": "eu",
        "n": Decimal("1.50"),
    },
    "user": "olga",
}
january = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    """Olga called three times, Bob once, and once nobody in particular with Olga's address."""
    make_meter(group_by=["region"])
    made = make_tenant(make_version([PER_TOKEN]), balance="100")
    use(made, 3, **SENT)
    use(made, 1, first=3, **SENT | {"user": "bob", "properties": {"tokens": 5, "email": "bob@example.com"}})
    use(made, 1, first=4, properties={"tokens": 1, "contact": "olga@example.com"}, user=None)
    return made


def erase(tenant: Tenant, **wish: Any) -> Erasure:
    erasure = request_erasure(tenant.customer, reason="she asked", by="p@example.com", **wish)
    assert run_erasures(NOW) == 1
    erasure.refresh_from_db()
    return erasure


def everything() -> str:
    """All rows of all tables of ours, as text; without the audit trail's context."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith(("metering_", "billing_", "core_")):
                cursor.execute(f'SELECT t::text FROM "{table}" t')
                found += [row[0] for row in cursor.fetchall()]
    return "\n".join(found)


def misfits(tenant: Tenant) -> list[str]:
    spans = [(tenant.customer.pk, tenant.payer.pk, 0)]
    return [each.subject for each in Verification(driver(), spans).misfits()]


def events() -> dict[str, UsageEvent]:
    return {event.idempotency_key: event for event in UsageEvent.objects.all()}


def test_what_is_erased_is_nowhere_any_more(tenant: Tenant) -> None:
    assert "olga" in everything()
    erasure = erase(tenant, user="olga", properties=["email", "ip"], values=["olga@example.com"])
    assert "olga" not in everything()
    assert "10.0.0.1" not in everything()
    assert (erasure.status, erasure.user, erasure.values) == ("done", None, [])
    assert (erasure.events, erasure.parts, erasure.done_at) == (4, 10, NOW)
    assert events()["k0"].properties == {"tokens": 5, "region": "eu", "n": 1.5}
    assert (events()["k3"].user, events()["k3"].properties["email"]) == ("bob", "bob@example.com")


def test_seals_charges_and_periods_are_proved_as_before(tenant: Tenant) -> None:
    seal_due(NOW)
    before = list(Charge.objects.order_by("seq").values())
    erase(tenant, user="olga", properties=["email", "ip"], values=["olga@example.com"])
    assert misfits(tenant) == []
    assert list(Charge.objects.order_by("seq").values()) == before
    own = charges_of(tenant.customer.pk, tenant.payer.pk)
    assert all(is_proved(stored, again) for stored, again in recompute_charges(own))
    assert replay_differences(tenant.payer) == []
    use(tenant, 2, first=7, **SENT)
    seal_due(NOW)
    assert misfits(tenant) == []


def test_an_export_after_it_still_fits_heads_kept_before_it(tenant: Tenant, tmp_path: Path) -> None:
    seal_due(NOW)
    heads, path = tmp_path / "heads", tmp_path / "export"
    call_command("export_seals", "--out", str(heads))
    erase(tenant, user="olga", properties=["email"])
    call_command("export_ledger", "--payer", tenant.payer.public_id, "--out", str(path))
    assert '"olga"' not in path.read_text()
    assert check_export.main([str(path), "--heads", str(heads)]) == 0
    first = next(json.loads(line) for line in path.read_text().splitlines() if '"event"' in line)
    assert set(first["erased"]) == {"user", "properties.email"}
    assert set(first["salts"]) == {"properties.tokens", "properties.ip", "properties.region", "properties.n"}


def test_what_was_erased_cannot_be_guessed(tenant: Tenant) -> None:
    """Neither from the hash of the payload, nor from the seal with any salt that is still there."""
    erase(tenant, user="olga", properties=["email"])
    (salts,) = SealSalts.objects.all()
    assert bytes(salts.salts)[:48] == bytes(48)
    assert bytes(salts.salts)[48:64] != bytes(16)
    hashes = [bytes(each) for each in IdempotencyKey.objects.values_list("payload_hash", flat=True)]
    assert hashes.count(b"") == 3
    record = ErasedRecord.objects.order_by("seq")[0]
    left = [bytes.fromhex(part["salt"]) for part in record.parts.values() if "salt" in part]
    erased = record.parts["user"]["hash"]
    assert all(hashlib.sha256(salt + b"olga").hexdigest() != erased for salt in [*left, b"", bytes(16)])


def test_a_retry_gets_its_first_answer_and_another_payload_is_still_a_conflict(tenant: Tenant) -> None:
    first = charge(tenant, "k0", Mode.REPORT, **SENT)
    assert isinstance(first, Charged)
    assert first.is_replay
    erase(tenant, user="olga", properties=["email", "ip"])
    again = charge(tenant, "k0", Mode.REPORT, **SENT)
    assert isinstance(again, Charged)
    assert (again.id, again.amount, again.lines, again.is_replay) == (
        first.id,
        first.amount,
        first.lines,
        True,
    )
    other = charge(tenant, "k0", Mode.REPORT, **SENT | {"properties": {"tokens": 6}})
    assert isinstance(other, Failed)
    assert (other.error.code, other.error.param) == ("idempotency_conflict", "properties.tokens")
    assert UsageEvent.objects.count() == 5


def test_what_money_depends_on_stays_and_the_erasure_says_why(tenant: Tenant) -> None:
    CostRate.objects.create(
        vendor="v",
        event="completion",
        property_path="size.kb",
        unit_cost=1,
        currency="USD",
        starts_at=START,
        created_at=START,
        filter=[{"property": "tier", "op": "eq", "value": "x"}],
    )
    erasure = erase(tenant, user="olga", properties=["tokens", "region", "size", "tier", "model", "email"])
    assert erasure.kept == {
        "completion.tokens": "the meter tokens reads it",
        "completion.region": "the meter tokens reads it",
    }
    assert events()["k0"].properties == {"tokens": 5, "ip": "10.0.0.1", "region": "eu", "n": 1.5}


def test_a_value_that_money_depends_on_stays(tenant: Tenant) -> None:
    erasure = erase(tenant, values=["eu", "1.50"])
    assert erasure.kept == {"completion.region": "the meter tokens reads it"}
    assert (erasure.events, erasure.parts) == (3, 3)
    assert "n" not in events()["k0"].properties


def test_a_second_erasure_takes_more_of_the_same_events(tenant: Tenant) -> None:
    erase(tenant, user="olga")
    assert events()["k0"].properties["email"] == "olga@example.com"
    second = erase(tenant, values=["olga@example.com", "10.0.0.1"])
    assert (second.events, second.parts) == (4, 7)
    assert misfits(tenant) == []
    assert "olga" not in everything()


def test_nothing_to_erase_is_done_at_once(tenant: Tenant) -> None:
    erasure = erase(tenant, user="nobody", values=["x@example.com"])
    assert (erasure.status, erasure.events, erasure.parts, erasure.others) == ("done", 0, 0, 0)


def test_another_customers_person_of_the_same_name_is_left_alone(tenant: Tenant) -> None:
    other = make_tenant(None, balance="5")
    charge(other, "o", Mode.REPORT, **SENT)
    erase(tenant, user="olga")
    assert UsageEvent.objects.get(idempotency_key="o").user == "olga"


def test_authorizations_and_quarantine_are_erased_too(tenant: Tenant) -> None:
    held = charge(tenant, "held", Mode.HOLD, **SENT)
    assert isinstance(held, Authorized)
    lost = charge(tenant, "lost", Mode.REPORT, **SENT | {"occurred_at": "2020-01-01T00:00:00Z"})
    assert QuarantinedEvent.objects.filter(customer_id=tenant.customer.pk).count() == 1, lost
    erasure = erase(tenant, user="olga", properties=["email", "ip", "tokens"], values=["olga@example.com"])
    assert erasure.others == 2
    assert "olga" not in everything()
    properties = {"tokens": 5, "region": "eu", "n": 1.5}
    assert Authorization.objects.get().payload["properties"] == properties
    assert QuarantinedEvent.objects.get().payload["properties"] == properties
    again = charge(tenant, "held", Mode.HOLD, **SENT)
    assert isinstance(again, Authorized)
    assert (again.id, again.is_replay) == (held.id, True)
    differs = charge(tenant, "held", Mode.HOLD, **SENT | {"properties": {"tokens": 6}})
    assert isinstance(differs, Failed)


def test_a_hold_that_is_captured_meanwhile_brings_nothing_back(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = charge(tenant, "held", Mode.HOLD, **SENT)
    assert isinstance(held, Authorized)

    def ended(payers: Any, now: datetime) -> Any:
        rows = Authorization.objects.annotate(payload_text=Cast("payload", TextField()))
        hold = rows.get(customer_id=held.customer_id, id=held.id)
        (outcome,) = charge_many([capture_request({"properties": {"tokens": 5}}, hold, now)])
        assert isinstance(outcome, Charged), outcome
        return seal_payers(payers, now)

    monkeypatch.setattr(verbs, "seal_payers", ended)
    assert erase(tenant, user="olga", values=["olga@example.com"]).others == 1
    assert UsageEvent.objects.latest("seq").properties == {"tokens": 5}
    assert "olga" not in everything()


def test_it_goes_on_where_it_was_stopped(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "EVENTS_AT_ONCE", 1)
    erasure = request_erasure(tenant.customer, user="olga", reason="r")
    real, calls = rows.erase_from_events, []

    def stopping(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(verbs, "erase_from_events", stopping)
    with pytest.raises(KeyboardInterrupt):
        run_erasure(erasure.pk, NOW)
    erasure.refresh_from_db()
    assert (erasure.status, erasure.events, erasure.user) == ("waiting", 2, "olga")
    assert run_erasure(erasure.pk, NOW)
    erasure.refresh_from_db()
    assert (erasure.status, erasure.events) == ("done", 3)
    assert not run_erasure(erasure.pk, NOW)
    assert misfits(tenant) == []


def test_events_under_many_seals_are_erased(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 2)
    erase(tenant, user="olga", properties=["ip"])
    assert SealSalts.objects.count() == 3
    assert misfits(tenant) == []


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({}, "user"),
        ({"user": ""}, "user"),
        ({"properties": ["email"]}, "user"),
        ({"values": ["x"], "properties": ["email"]}, "user"),
        ({"user": "olga", "properties": [""]}, "properties"),
        ({"values": [""]}, "values"),
        ({"values": [str(number) for number in range(101)]}, "values"),
        ({"user": "olga", "reason": " "}, "reason"),
    ],
)
def test_a_wish_must_say_whose_and_why(tenant: Tenant, wish: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        request_erasure(tenant.customer, **{"reason": "r"} | wish)
    assert refused.value.param == param


def refused(statement: str) -> str:
    with pytest.raises(DatabaseError) as error, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    return str(error.value)


def test_nothing_else_can_be_done_by_the_way_round_the_triggers(tenant: Tenant) -> None:
    erase(tenant, user="olga", properties=["email"])
    for statement in (
        'UPDATE metering_usageevent SET "user" = NULL WHERE "user" = \'bob\'',  # not erased
        "UPDATE metering_usageevent SET \"user\" = 'eve' WHERE idempotency_key = 'k0'",
        "UPDATE metering_usageevent SET properties = properties - 'tokens' WHERE idempotency_key = 'k0'",
        "UPDATE metering_usageevent SET properties = properties - 'ip' WHERE idempotency_key = 'k0'",
        "UPDATE metering_usageevent SET properties = properties || '{\"email\": 1}'",
        "UPDATE metering_usageevent SET properties = properties || '{\"n\": 1.5}'",
        "UPDATE metering_usageevent SET cost = 1 WHERE idempotency_key = 'k0'",
        "UPDATE metering_usageevent SET occurred_at = occurred_at + interval '1 s'",
        "DELETE FROM metering_usageevent WHERE idempotency_key = 'k0'",
        "UPDATE metering_idempotencykey SET payload_hash = 'x' WHERE key = 'k0'",
        "UPDATE metering_idempotencykey SET key = 'x', payload_hash = '' WHERE key = 'k0'",
        "UPDATE metering_idempotencykey SET payload_hash = '' WHERE key = 'k3'",
        "DELETE FROM metering_idempotencykey WHERE key = 'k0'",
    ):
        assert "append-only" in refused(statement), statement


def test_authorizations_keep_what_was_not_erased(tenant: Tenant) -> None:
    charge(tenant, "held", Mode.HOLD, **SENT)
    assert "append-only" in refused("UPDATE billing_authorization SET payload = payload - 'user'")
    erase(tenant, user="olga")
    assert "append-only" in refused("UPDATE billing_authorization SET payload = payload - 'properties'")
    assert "append-only" in refused(
        "UPDATE billing_authorization SET payload = jsonb_set(payload, '{properties,tokens}', '6')"
    )
    assert "Cannot update" in refused("UPDATE billing_authorization SET amount = 9")


def test_what_was_asked_and_done_stays_on_record(tenant: Tenant) -> None:
    erasure = erase(tenant, user="olga", properties=["email"])
    for statement in (
        "DELETE FROM billing_erasure",
        "UPDATE billing_erasure SET reason = 'x'",
        "UPDATE billing_erasure SET events = 0",
        "UPDATE billing_erasure SET \"user\" = 'eve'",
        "UPDATE billing_erasure SET status = 'waiting', done_at = NULL",
        "DELETE FROM billing_erasedrecord",
        "UPDATE billing_erasedrecord SET record_id = erased_at::text::uuid",
    ):
        assert refused(statement), statement
    created, done = changes_of(erasure)[::-1]
    assert (created.kind, done.kind) == ("created", "changed")
    assert [(field.field, field.new) for field in done.fields][:2] == [("status", "done"), ("events", 3)]
    assert "olga" not in str([created, done])


def test_the_command_erases_and_tells(tenant: Tenant, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "erase_person",
        *("--customer", tenant.customer.public_id, "--user", "olga", "--property", "email"),
        *("--property", "tokens", "--value", "olga@example.com", "--reason", "she asked"),
    )
    told = capsys.readouterr().out
    assert "4 events" in told
    assert "completion.tokens stays: the meter tokens reads it" in told
    assert Erasure.objects.get().reason == "she asked"
    assert "olga" not in everything()
    assert Decimal(events()["k0"].properties["tokens"]) == 5
