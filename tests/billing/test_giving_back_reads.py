"""Giving back reads what may concern it, under the payer's lock: its segment, mostly only what is recent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from billing import store_paid
from billing.charging import Charged, Mode
from billing.funding import Part, give_back
from billing.ledger import LEAKAGE, RECEIVABLE, WALLET
from billing.models import Charge, CreditGrant, LedgerAccount
from billing.store_paid import RECENT, Payers, merge_paid
from billing.wallets import open_book, top_up
from core import clock
from core.numbers import ZERO
from core.partitions import ensure_partitions
from core.sql import driver
from tests.billing.reversing import check, reverse, use
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.statements import rows_read_straight

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
OLD, LATELY = 3000, 2500
FEW = 10
_may = standing_at(NOW)
CHARGES = """
    WITH rows AS (
        SELECT n, %(first)s::timestamptz + n * %(step)s::interval AS at FROM generate_series(1, %(many)s) n),
    made AS (
        SELECT *, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
                   || '7' || lpad(to_hex(%(after)s + n), 19, '0'))::uuid AS id
        FROM rows)
    INSERT INTO billing_charge (customer_id, id, recorded_at, seq, billing_entity_id, event_id,
        event_recorded_at, occurred_at, amount, currency, lines, funding, settled_after, held_after,
        available_after)
    SELECT %(customer)s, id, at, %(after)s + n, %(payer)s, id, at, at, 1, 'USD', '[]', jsonb_build_array(
        jsonb_build_object('component', 'c', 'segment', %(segment)s::bigint, 'account', 'wallet',
                           'amount', '1', 'grant', %(grant)s::bigint)), 0, 0, 0
    FROM made"""


def fill(tenant: Tenant, segment: int, first: datetime, last: datetime, many: int) -> None:
    """That many charges of 1 in a segment (0: one that is long over), paid by the tenant's grant, with the
    running numbers that follow."""
    wallet = LedgerAccount.objects.get(billing_entity_id=tenant.payer.pk, kind=WALLET)
    values: Mapping[str, Any] = {
        "first": first,
        "step": (last - first) / (many + 1),
        "many": many,
        "customer": tenant.customer.pk,
        "payer": tenant.payer.pk,
        "after": wallet.seq,
        "segment": segment,
        "grant": CreditGrant.objects.get(billing_entity_id=tenant.payer.pk).pk,
    }
    with connection.cursor() as cursor:
        cursor.execute(CHARGES, values)
    LedgerAccount.objects.filter(pk=wallet.pk).update(seq=wallet.seq + many)


@pytest.fixture
def busy(db: None) -> Tenant:
    """A payer with charges of February to April, and many in May; and another one, with as many."""
    ensure_partitions(datetime(2026, 2, 1, tzinfo=UTC), NOW)
    make_meter("m", property_path="tokens")
    tiers = [{"up_to": "10000", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
    version = make_version([{"key": "c", "meter": "m", "model": "volume", "tiers": tiers}])
    payer, other = (make_tenant(version, balance="20000") for _ in range(2))
    for tenant in (payer, other):
        fill(tenant, 0, NOW - timedelta(days=90), NOW - timedelta(days=20), OLD)
        use(tenant, f"first {tenant.payer.pk}", tokens=10)
        segment = Charge.objects.get(billing_entity_id=tenant.payer.pk, amount=10).lines[0]["segment"]
        fill(tenant, segment, NOW - timedelta(days=10), NOW, LATELY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_charge")
    return payer


def test_what_the_latest_payer_has_paid_lately_is_all_that_a_reversal_reads(busy: Tenant) -> None:
    use(busy, "mistake", tokens=7)
    with rows_read_straight("billing_charge") as found:
        assert reverse("mistake") == -7
    assert 0 < sum(found) <= RECENT + FEW
    assert balance(busy) == 20000 - 10


def test_what_takes_more_reads_the_segment_and_nothing_before_it(busy: Tenant) -> None:
    use(busy, "a day's work", tokens=RECENT * 2 + LATELY)  # before the thousand that follow
    fill(busy, 0, NOW - timedelta(hours=1), NOW, RECENT)
    with rows_read_straight("billing_charge") as found:
        assert reverse("a day's work") == -RECENT * 2 - LATELY
    assert LATELY < sum(found) <= RECENT + LATELY + RECENT + FEW
    assert balance(busy) == 20000 - 10


def test_usage_of_a_month_that_was_recorded_before_or_after_it_returns_to_who_paid(db: None) -> None:
    april, may, june = (datetime(2026, month, 1, tzinfo=UTC) for month in (4, 5, 6))
    ensure_partitions(april, june)
    clock.use(lambda: april)
    make_meter("m", property_path="tokens")
    version = make_version([{"key": "c", "meter": "m", "model": "per_unit", "unit_price": "1"}])
    tenant = make_tenant(version, starts_at=april, settlement="invoice_only")
    clock.use(lambda: may - timedelta(hours=23))
    early = charge(tenant, "early", Mode.REPORT, occurred_at=may.isoformat(), properties={"tokens": 3})
    clock.use(lambda: june + timedelta(days=2))
    last = (june - timedelta(minutes=1)).isoformat()
    late = charge(tenant, "late", Mode.REPORT, occurred_at=last, properties={"tokens": 4})
    assert isinstance(early, Charged)
    assert isinstance(late, Charged)
    assert early.lines[0]["segment"] == late.lines[0]["segment"]
    assert balance(tenant, "receivable") == -7
    reverse("late")
    assert (balance(tenant, "receivable"), balance(tenant)) == (-3, 0)
    reverse("early")
    assert (balance(tenant, "receivable"), balance(tenant)) == (0, 0)
    check(tenant)


@pytest.mark.parametrize("recent", [0, 1, 2, RECENT])
def test_each_payer_gets_back_what_it_paid_however_far_back_is_looked_first(
    db: None, monkeypatch: pytest.MonkeyPatch, recent: int
) -> None:
    monkeypatch.setattr(store_paid, "RECENT", recent)
    make_meter("m", property_path="tokens")
    version = make_version([{"key": "c", "meter": "m", "model": "per_unit", "unit_price": "1"}])
    tenant = make_tenant(version, starts_at=datetime(2026, 5, 1, tzinfo=UTC), balance="5")
    top_up(tenant.payer, Decimal(10))
    for number, tokens in enumerate((4, 3, 2, 1, 2)):  # the first grant pays 4 and 1
        use(tenant, f"call {number}", tokens=tokens)
    grants = CreditGrant.objects.order_by("pk")

    def left() -> list[Decimal]:
        return list(grants.values_list("remaining", flat=True))

    assert left() == [0, 3]
    reverse("call 0")  # by the second grant, which paid last
    assert left() == [0, 7]
    reverse("call 1")
    assert left() == [0, 10]
    reverse("call 2")  # it has got back all that it paid
    assert left() == [2, 10]
    check(tenant)


def test_of_a_payer_of_whom_nothing_was_absorbed_no_charge_is_read_for_it(busy: Tenant) -> None:
    (segment,) = {line["segment"] for one in Charge.objects.filter(amount=10) for line in one.lines} - {
        one.lines[0]["segment"]
        for one in Charge.objects.filter(amount=10).exclude(billing_entity_id=busy.payer.pk)
    }
    with rows_read_straight("billing_charge") as found, open_book(busy.payer, NOW) as book:
        assert store_paid.read_borne(driver(), book, ("c", segment)) == 0
    assert found == [0]


PAYER = st.sampled_from([(WALLET, 1), (WALLET, 2), (WALLET, None), (RECEIVABLE, None), (LEAKAGE, None)])
MOVES = st.lists(st.tuples(PAYER, st.integers(-9, 9)), max_size=12)


@given(moves=MOVES, cut=st.integers(0, 12), fall=st.integers(1, 9))
def test_what_was_paid_lately_gives_back_to_whom_all_of_it_does(
    moves: list[tuple[tuple[str, int | None], int]], cut: int, fall: int
) -> None:
    """Charges and falls in any order; below 0, so much falls, and goes to whom it goes by all before it."""
    parts: list[Part] = []
    for (account, grant_id), amount in moves:
        if amount > 0:
            parts.append(Part("c", account, Decimal(amount), grant_id, 1))
        elif amount < 0:
            parts += give_back("c", Decimal(-amount), merge_paid([], parts), 1)
    lately, whole = Payers(merge_paid([], parts[cut:]), False), merge_paid([], parts)
    if not lately.suffices(Decimal(fall)):
        return
    assert sum((max(ZERO, part.amount) for part in whole), ZERO) >= fall
    assert give_back("c", Decimal(fall), lately.parts, 1) == give_back("c", Decimal(fall), whole, 1)
