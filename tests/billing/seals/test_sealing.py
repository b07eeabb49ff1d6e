"""Sealing: a chain per payer over every row, made beside charging, by several sealers, after a kill."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing import tasks
from billing.models import LedgerAccount, Seal, SealSalts
from billing.seals import sealing
from billing.seals.canonical import GENESIS, SALT_BYTES, unpack
from billing.seals.sealing import Sealed, seal_due, seal_payers
from billing.wallets import adjust
from tests.billing.damage import disarmed
from tests.billing.seals.sealed import NOW, seals, use
from tests.billing.world import Tenant, make_tenant
from tests.statements import counted

pytestmark = pytest.mark.django_db


def test_everything_of_a_payer_is_sealed_once(tenant: Tenant) -> None:
    assert seal_due(NOW) == Sealed(payers=1, seals=1, rows=10)
    assert seal_due(NOW) == Sealed()
    (seal,) = seals(tenant)
    assert (seal.from_seq, seal.to_seq, seal.rows) == (1, 4, 10)
    assert bytes(seal.previous_head) == GENESIS
    assert [entry.place[:2] for entry in unpack(bytes(seal.entries))] == [
        (1, "transfer"),
        *((seq, kind) for seq in (2, 3, 4) for kind in ("event", "charge", "transfer")),
    ]
    assert len(SealSalts.objects.get().salts) == 3 * SALT_BYTES


def test_what_comes_later_goes_into_the_next_seal(tenant: Tenant) -> None:
    seal_due(NOW)
    use(tenant, 2, first=3)
    assert seal_due(NOW).rows == 6
    first, second = seals(tenant)
    assert (second.from_seq, second.to_seq) == (5, 6)
    assert bytes(second.previous_head) == bytes(first.head)


def test_a_long_stretch_is_sealed_in_pieces(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SEAL_NUMBERS", 2)
    monkeypatch.setattr(sealing, "BATCH_NUMBERS", 3)
    other = make_tenant(None, balance="5")
    use(tenant, 6, first=3)
    assert seal_due(NOW).payers == 2
    assert [(seal.from_seq, seal.to_seq) for seal in seals(tenant)] == [
        (1, 2),
        (3, 3),
        (4, 5),
        (6, 6),
        (7, 8),
        (9, 9),
        (10, 10),
    ]
    assert [(seal.from_seq, seal.to_seq) for seal in seals(other)] == [(1, 1)]


def test_a_batch_takes_the_same_statements_however_much_is_in_it(tenant: Tenant) -> None:
    make_tenant(None, balance="1")
    with counted() as few:
        seal_due(NOW)
    for number in range(20):
        make_tenant(None, balance=str(number + 1))
    use(tenant, 5, first=3)
    with counted() as many:
        assert seal_due(NOW).payers == 21
    assert len(few) == len(many) == 9, many.shown


def test_one_payer_is_sealed_without_the_others(tenant: Tenant) -> None:
    other = make_tenant(None, balance="5")
    assert seal_payers([(other.customer.pk, other.payer.pk)], NOW) == Sealed(1, 1, 1)
    assert (len(seals(other)), len(seals(tenant))) == (1, 0)


def test_a_payer_without_a_number_has_no_seal(tenant: Tenant) -> None:
    empty = make_tenant()
    seal_due(NOW)
    assert seals(empty) == []
    assert LedgerAccount.objects.filter(billing_entity_id=empty.payer.pk).count() == 0


def test_what_is_sealed_twice_has_two_salts(tenant: Tenant) -> None:
    """The same rows under the same terms give other hashes of events: their salts are random."""
    seal_due(NOW)
    (first,) = seals(tenant)
    with disarmed() as cursor:
        cursor.execute("DELETE FROM billing_seal; DELETE FROM billing_sealsalts")
    seal_due(NOW)
    (second,) = seals(tenant)
    same = [
        one.place.kind
        for one, other in zip(unpack(bytes(first.entries)), unpack(bytes(second.entries)), strict=True)
        if one.hash == other.hash
    ]
    assert sorted(set(same)) == ["charge", "transfer"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE billing_seal SET rows = 3", "Cannot update"),
        ("DELETE FROM billing_seal", "Cannot update or delete"),
        ("DELETE FROM billing_sealsalts", "Cannot delete"),
        ("UPDATE billing_sealsalts SET salts = ''", "Cannot update"),
        ("UPDATE billing_sealsalts SET to_seq = 9", "Cannot update"),
    ],
)
def test_a_seal_is_never_changed(tenant: Tenant, change: str, message: str) -> None:
    seal_due(NOW)
    with pytest.raises(DatabaseError, match=message), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)


def another(tenant: Tenant, **fields: Any) -> None:
    (seal,) = seals(tenant)
    own = {
        "customer_id": seal.customer_id,
        "billing_entity_id": seal.billing_entity_id,
        "from_seq": seal.to_seq + 1,
        "to_seq": seal.to_seq + 1,
        "rows": 0,
        "previous_head": bytes(seal.head),
        "head": bytes(32),
        "entries": b"",
        "sealed_at": NOW,
    }
    with transaction.atomic():
        Seal.objects.create(**(own | fields))
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_the_database_lets_the_next_seal_of_a_chain_in(tenant: Tenant) -> None:
    seal_due(NOW)
    another(tenant)
    assert [seal.to_seq for seal in Seal.objects.order_by("from_seq")] == [4, 5]


@pytest.mark.parametrize(
    "fields",
    [
        {"from_seq": 6, "to_seq": 6},  # a gap
        {"from_seq": 4, "to_seq": 5},  # a number sealed twice
        {"from_seq": 1, "to_seq": 1, "previous_head": GENESIS},  # a second beginning
        {"previous_head": bytes(32)},  # after another head
        {"from_seq": 5, "to_seq": 4},
        {"rows": 1},  # without its entry
        {"head": b"short"},
        {"from_seq": 0, "to_seq": 1},
    ],
)
def test_the_database_lets_no_gap_and_no_fork_in(tenant: Tenant, fields: dict[str, Any]) -> None:
    seal_due(NOW)
    with pytest.raises(IntegrityError):
        another(tenant, **fields)


def test_the_first_seal_begins_at_nothing(tenant: Tenant) -> None:
    row = {"customer_id": 1, "billing_entity_id": 1, "to_seq": 1, "rows": 0, "entries": b"", "sealed_at": NOW}
    with pytest.raises(IntegrityError), transaction.atomic():
        Seal.objects.create(**row, from_seq=1, previous_head=b"1" * 32, head=bytes(32))


def test_the_due_task_seals(tenant: Tenant) -> None:
    adjust(tenant.payer, Decimal(1), reason="r")
    tasks.seal_books()
    assert [seal.to_seq for seal in seals(tenant)] == [5]
