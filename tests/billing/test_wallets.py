"""Money put into wallets and taken out by people: grants, transfers, accounts and numbers exactly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from accounts.models import BillingEntity
from billing.charging import Charged, Denied
from billing.models import Adjustment, Charge, CreditGrant, LedgerAccount, TopUp, Transfer
from billing.wallets import adjust, grant_credit, top_up
from core import clock
from core.errors import InvalidRequest, PermissionDenied
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
PER_IMAGE = {"key": "img", "meter": "images", "model": "per_unit", "unit_price": "1"}


class Watch:
    """A clock that a test puts on."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def watch() -> Iterator[Watch]:
    """The clock; and after each test the books agree."""
    watch = Watch()
    clock.use(watch)
    yield watch
    clock.use(None)
    assert broken_invariants(driver()) == []


@pytest.fixture
def tenant() -> Tenant:
    make_meter(), make_meter("images")
    return make_tenant(make_version([PER_TOKEN, PER_IMAGE]))


def use(tenant: Tenant, key: str, cents: int, **fields: Any) -> Any:
    """A call that costs so many cents."""
    return charge(tenant, key, properties={"tokens": cents}, **fields)


def accounts(tenant: Tenant) -> dict[str, Decimal]:
    rows = LedgerAccount.objects.filter(billing_entity_id=tenant.payer.pk)
    return {row.kind: row.balance for row in rows}


def moves(tenant: Tenant) -> list[tuple[int, str, str, str, Decimal]]:
    rows = Transfer.objects.filter(billing_entity_id=tenant.payer.pk).order_by("seq", "position")
    return [(row.seq, row.reason, row.source, row.destination, row.amount) for row in rows]


def last_seq(tenant: Tenant) -> int:
    return LedgerAccount.objects.get(billing_entity_id=tenant.payer.pk, kind="wallet").seq


def left(*grants: CreditGrant) -> list[Decimal]:
    return [CreditGrant.objects.get(pk=grant.pk).remaining for grant in grants]


def test_a_top_up_is_a_paid_grant_out_of_cash(tenant: Tenant) -> None:
    paid = top_up(tenant.payer, Decimal("12.34"), reference="PO-7", by="ik_1")
    row = TopUp.objects.get()
    assert row == paid
    assert (row.seq, row.amount, row.reference, row.created_by) == (1, Decimal("12.34"), "PO-7", "ik_1")
    assert (row.created_at, row.price, row.price_currency) == (NOW, None, "")
    grant = CreditGrant.objects.get(pk=row.grant_id)
    assert (grant.kind, grant.name, grant.priority, grant.components) == ("paid", "PO-7", 50, [])
    assert (grant.amount, grant.remaining, grant.covered) == (Decimal("12.34"), Decimal("12.34"), 0)
    assert (grant.effective_at, grant.booked_at, grant.expires_at) == (NOW, NOW, None)
    assert moves(tenant) == [(1, "top_up", "cash", "wallet", Decimal("12.34"))]
    assert accounts(tenant) == {"wallet": Decimal("12.34"), "cash": Decimal("-12.34")}
    transfer = Transfer.objects.get()
    assert (transfer.grant_id, transfer.reference) == (grant.pk, grant.public_id)
    assert transfer.recorded_at == NOW


def test_a_top_up_of_credits_says_what_one_cost(tenant: Tenant) -> None:
    paid = top_up(tenant.payer, Decimal(2000), price=Decimal(25), price_currency="EUR")
    grant = CreditGrant.objects.get(pk=paid.grant_id)
    assert (paid.price, paid.price_currency, grant.cost_basis) == (25, "EUR", Decimal("0.0125"))
    third = top_up(tenant.payer, Decimal(3), price=Decimal(1), price_currency="EUR")
    basis = CreditGrant.objects.get(pk=third.grant_id).cost_basis
    assert basis is not None
    assert Decimal("0.333333333333333333") <= basis < Decimal("0.333333333333333334")
    free = top_up(tenant.payer, Decimal(3), price=Decimal(0), price_currency="EUR")
    assert CreditGrant.objects.get(pk=free.grant_id).cost_basis == 0


def test_a_promotional_grant_comes_out_of_promotional(tenant: Tenant) -> None:
    grant = grant_credit(tenant.payer, Decimal(5), name="Welcome", cost_basis=Decimal("0.5"))
    grant.refresh_from_db()
    assert (grant.kind, grant.name, grant.cost_basis) == ("promotional", "Welcome", Decimal("0.5"))
    assert moves(tenant) == [(1, "grant", "promotional", "wallet", Decimal(5))]
    assert accounts(tenant) == {"wallet": 5, "promotional": -5}


def test_a_paid_grant_comes_out_of_cash(tenant: Tenant) -> None:
    grant_credit(tenant.payer, Decimal(5), kind="paid")
    assert accounts(tenant) == {"wallet": 5, "cash": -5}


def test_the_smallest_and_the_largest_amount_are_kept_exactly(tenant: Tenant) -> None:
    least, most = Decimal("0.000000000000000001"), Decimal("99999999999999999999.999999999999999999")
    top_up(tenant.payer, most)
    assert balance(tenant) == most
    adjust(tenant.payer, most.copy_negate(), reason="Back")  # a bare minus would round
    top_up(tenant.payer, least)
    assert balance(tenant) == least
    assert accounts(tenant)["adjustments"] == most
    assert accounts(tenant)["cash"] == Decimal("-100000000000000000000")


def test_numbers_run_on_through_all_verbs_and_charges(tenant: Tenant) -> None:
    paid = top_up(tenant.payer, Decimal(10))
    use(tenant, "a", 100)
    grant_credit(tenant.payer, Decimal(1))
    taken = adjust(tenant.payer, Decimal(-2), reason="Wrong")
    given = adjust(tenant.payer, Decimal(3), reason="Right")
    assert (paid.seq, Charge.objects.get().seq, taken.seq, given.seq) == (1, 2, 4, 5)
    assert [(move[0], move[1]) for move in moves(tenant)] == [
        (1, "top_up"),
        (2, "usage"),
        (3, "grant"),
        (4, "adjustment"),  # out of the promotional grant
        (4, "adjustment"),  # out of the paid one
        (5, "adjustment"),
    ]
    assert last_seq(tenant) == 5
    assert balance(tenant) == 11


def test_two_payers_have_numbers_of_their_own(tenant: Tenant) -> None:
    other = make_tenant(None)
    top_up(tenant.payer, Decimal(1))
    assert [top_up(other.payer, Decimal(1)).seq, top_up(tenant.payer, Decimal(1)).seq] == [1, 2]


def test_a_grant_for_later_moves_nothing_until_it_is_due(tenant: Tenant, watch: Watch) -> None:
    grant = grant_credit(tenant.payer, Decimal(5), effective_at=NOW + DAY)
    grant.refresh_from_db()
    assert (grant.booked_at, grant.remaining, moves(tenant)) == (None, 5, [])
    assert (balance(tenant), last_seq(tenant)) == (0, 0)
    watch.now = NOW + DAY - timedelta(microseconds=1)
    top_up(tenant.payer, Decimal(1))
    assert balance(tenant) == 1
    watch.now = NOW + DAY
    top_up(tenant.payer, Decimal(1))
    assert balance(tenant) == 7
    assert [move[:2] for move in moves(tenant)] == [(1, "top_up"), (2, "grant"), (3, "top_up")]
    grant.refresh_from_db()
    assert grant.booked_at == NOW + DAY


def test_a_charge_books_a_due_grant_and_is_paid_by_it(tenant: Tenant, watch: Watch) -> None:
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(overdraft=0)
    grant = grant_credit(tenant.payer, Decimal(5), effective_at=NOW + DAY)
    assert isinstance(use(tenant, "a", 100), Denied)
    watch.now = NOW + DAY
    outcome = use(tenant, "a", 100)
    assert isinstance(outcome, Charged)
    assert (outcome.seq, outcome.settled, left(grant)) == (2, 4, [4])


def test_usage_from_before_a_grant_was_effective_is_not_paid_by_it(tenant: Tenant) -> None:
    grant = grant_credit(tenant.payer, Decimal(5))
    outcome = use(tenant, "a", 100, occurred_at=(NOW - timedelta(seconds=1)).isoformat())
    assert isinstance(outcome, Charged)
    assert (left(grant), outcome.settled) == ([5], 4)  # it overdraws the wallet beside the grant
    backdated = grant_credit(tenant.payer, Decimal(2), effective_at=NOW - DAY)
    backdated.refresh_from_db()
    assert (backdated.covered, backdated.remaining, balance(tenant)) == (1, 1, 6)


def test_what_is_left_of_an_expired_grant_is_breakage(tenant: Tenant, watch: Watch) -> None:
    grant = grant_credit(tenant.payer, Decimal(5), expires_at=NOW + DAY)
    use(tenant, "a", 120)
    watch.now = NOW + DAY - timedelta(microseconds=1)
    use(tenant, "b", 30)
    assert left(grant) == [Decimal("3.5")]
    watch.now = NOW + DAY
    top_up(tenant.payer, Decimal(1))
    grant.refresh_from_db()
    assert (grant.remaining, grant.expired_at, grant.is_open) == (0, NOW + DAY, False)
    assert moves(tenant)[-2:] == [
        (4, "expiry", "wallet", "breakage", Decimal("3.5")),
        (5, "top_up", "cash", "wallet", Decimal(1)),
    ]
    assert accounts(tenant)["breakage"] == Decimal("3.5")
    assert balance(tenant) == 1


def test_a_grant_expires_once(tenant: Tenant, watch: Watch) -> None:
    grant_credit(tenant.payer, Decimal(5), expires_at=NOW + DAY)
    watch.now = NOW + DAY
    for number in range(3):
        use(tenant, str(number), 1)
    assert [move[1] for move in moves(tenant)].count("expiry") == 1
    assert accounts(tenant)["breakage"] == 5
    assert balance(tenant) == Decimal("-0.03")


def test_a_grant_that_began_and_ended_between_two_calls_is_never_booked_as_money(
    tenant: Tenant, watch: Watch
) -> None:
    grant_credit(tenant.payer, Decimal(5), effective_at=NOW + DAY, expires_at=NOW + 2 * DAY)
    watch.now = NOW + 3 * DAY
    top_up(tenant.payer, Decimal(1))
    assert balance(tenant) == 1
    assert accounts(tenant).get("breakage", 0) == -accounts(tenant).get("promotional", Decimal(0))


def test_lower_priority_numbers_burn_first(tenant: Tenant) -> None:
    late, early = (grant_credit(tenant.payer, Decimal(1), priority=priority) for priority in (60, 40))
    paid = CreditGrant.objects.get(pk=top_up(tenant.payer, Decimal(1)).grant_id)
    use(tenant, "a", 50)
    assert left(early, paid, late) == [Decimal("0.5"), 1, 1]
    use(tenant, "b", 100)
    assert left(early, paid, late) == [0, Decimal("0.5"), 1]
    use(tenant, "c", 130)
    assert left(early, paid, late) == [0, 0, Decimal("0.2")]


def test_at_one_priority_the_earlier_expiry_then_promotional_then_age_burns_first(tenant: Tenant) -> None:
    payer = tenant.payer
    paid = grant_credit(payer, Decimal(1), kind="paid")
    older = grant_credit(payer, Decimal(1))
    newer = grant_credit(payer, Decimal(1))
    lasting = grant_credit(payer, Decimal(1), kind="paid", expires_at=NOW + 2 * DAY)
    ending = grant_credit(payer, Decimal(1), kind="paid", expires_at=NOW + DAY)
    order = [ending, lasting, older, newer, paid]
    for number in range(5):
        use(tenant, str(number), 100)
        assert left(*order) == [Decimal(0)] * (number + 1) + [Decimal(1)] * (4 - number)


def test_a_grant_for_a_component_pays_for_nothing_else(tenant: Tenant) -> None:
    scoped = grant_credit(tenant.payer, Decimal(3), components=["img"], priority=1)
    paid = CreditGrant.objects.get(pk=top_up(tenant.payer, Decimal(1)).grant_id)
    charge(tenant, "a", properties={"tokens": 40, "images": 2})
    assert left(scoped, paid) == [1, Decimal("0.6")]
    charge(tenant, "b", properties={"images": 2})
    assert left(scoped, paid) == [0, 0]
    assert balance(tenant) == Decimal("-0.4")


def test_a_top_up_covers_the_overdraft_first_and_says_by_how_much(tenant: Tenant) -> None:
    use(tenant, "a", 250)
    small = CreditGrant.objects.get(pk=top_up(tenant.payer, Decimal(1)).grant_id)
    assert (small.covered, small.remaining, small.is_open) == (1, 0, False)
    large = CreditGrant.objects.get(pk=top_up(tenant.payer, Decimal(2)).grant_id)
    assert (large.covered, large.remaining, large.is_open) == (Decimal("1.5"), Decimal("0.5"), True)
    assert balance(tenant) == Decimal("0.5")


def test_a_grant_for_a_component_covers_no_overdraft_of_others(tenant: Tenant) -> None:
    use(tenant, "a", 250)
    scoped = grant_credit(tenant.payer, Decimal(4), components=["img"])
    scoped.refresh_from_db()
    assert (scoped.covered, scoped.remaining, balance(tenant)) == (0, 4, Decimal("1.5"))
    charge(tenant, "b", properties={"images": 4})
    assert (left(scoped), balance(tenant)) == ([0], Decimal("-2.5"))


def test_a_positive_adjustment_is_a_promotional_grant_with_its_reason(tenant: Tenant) -> None:
    row = adjust(tenant.payer, Decimal("1.25"), reason="An outage " + "x" * 400, by="staff")
    assert Adjustment.objects.get() == row
    assert (row.seq, row.amount, row.created_by, row.created_at) == (1, Decimal("1.25"), "staff", NOW)
    assert len(row.reason) == 410
    grant = CreditGrant.objects.get()
    assert (grant.kind, len(grant.name), grant.remaining) == ("promotional", 200, Decimal("1.25"))
    assert moves(tenant) == [(1, "adjustment", "promotional", "wallet", Decimal("1.25"))]


def test_a_negative_adjustment_burns_grants_in_their_order_and_then_overdraws(tenant: Tenant) -> None:
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(overdraft=0)
    paid = CreditGrant.objects.get(pk=top_up(tenant.payer, Decimal(2)).grant_id)
    promotional = grant_credit(tenant.payer, Decimal(1))
    row = adjust(tenant.payer, Decimal("-3.5"), reason="Charged back")
    assert (row.seq, row.amount) == (3, Decimal("-3.5"))
    assert left(paid, promotional) == [0, 0]
    assert moves(tenant)[2:] == [
        (3, "adjustment", "wallet", "adjustments", Decimal(1)),
        (3, "adjustment", "wallet", "adjustments", Decimal(2)),
        (3, "adjustment", "wallet", "adjustments", Decimal("0.5")),
    ]
    assert accounts(tenant) == {
        "wallet": Decimal("-0.5"),
        "cash": -2,
        "promotional": -1,
        "adjustments": Decimal("3.5"),
    }


def test_a_negative_adjustment_leaves_grants_for_a_component_alone(tenant: Tenant) -> None:
    scoped = grant_credit(tenant.payer, Decimal(3), components=["img"], priority=1)
    adjust(tenant.payer, Decimal(-2), reason="Wrong")
    assert (left(scoped), balance(tenant)) == ([3], 1)
    cover = grant_credit(tenant.payer, Decimal(5))
    cover.refresh_from_db()
    assert (cover.covered, cover.remaining, balance(tenant)) == (2, 3, 6)


@pytest.mark.parametrize("settlement", ["wallet_then_invoice", "invoice_only"])
def test_a_negative_adjustment_is_the_wallets_whoever_settles_how(tenant: Tenant, settlement: str) -> None:
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(settlement=settlement)
    tenant.payer.refresh_from_db()
    paid = CreditGrant.objects.get(pk=top_up(tenant.payer, Decimal(1)).grant_id)
    adjust(tenant.payer, Decimal(-3), reason="Wrong")
    assert left(paid) == [0]
    assert accounts(tenant) == {"wallet": -2, "cash": -1, "adjustments": 3}


@pytest.mark.parametrize("amount", ["0", "-1", "-0.000000000000000001"])
def test_no_credit_of_nothing_or_less(tenant: Tenant, amount: str) -> None:
    for verb in (top_up, grant_credit):
        with pytest.raises(InvalidRequest) as caught:
            verb(tenant.payer, Decimal(amount))
        assert (caught.value.code, caught.value.param) == ("invalid_amount", "amount")
    assert not CreditGrant.objects.exists()
    assert not LedgerAccount.objects.exists()


def test_no_adjustment_of_nothing(tenant: Tenant) -> None:
    with pytest.raises(InvalidRequest):
        adjust(tenant.payer, Decimal("0.00"), reason="Nothing")
    assert not Adjustment.objects.exists()


def test_a_closed_payer_gets_and_loses_nothing(tenant: Tenant) -> None:
    top_up(tenant.payer, Decimal(1))
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status="closed")
    tenant.payer.refresh_from_db()
    for move in (
        lambda: top_up(tenant.payer, Decimal(1)),
        lambda: grant_credit(tenant.payer, Decimal(1)),
        lambda: adjust(tenant.payer, Decimal(1), reason="x"),
        lambda: adjust(tenant.payer, Decimal(-1), reason="x"),
    ):
        with pytest.raises(PermissionDenied) as caught:
            move()
        assert (caught.value.code, caught.value.param) == ("closed", "billing_entity")
    assert (balance(tenant), last_seq(tenant), CreditGrant.objects.count()) == (1, 1, 1)


@pytest.mark.parametrize(
    ("effective_at", "expires_at"),
    [
        (None, NOW),
        (None, NOW - DAY),
        (NOW + DAY, NOW + DAY),
        (NOW + 2 * DAY, NOW + DAY),
        (NOW - 2 * DAY, NOW - DAY),
    ],
)
def test_a_grant_ends_after_it_begins_and_after_now(
    tenant: Tenant, effective_at: datetime | None, expires_at: datetime
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        grant_credit(tenant.payer, Decimal(1), effective_at=effective_at, expires_at=expires_at)
    assert (caught.value.code, caught.value.param) == ("invalid_expiry", "expires_at")
    assert not CreditGrant.objects.exists()


def test_a_top_up_does_not_end_before_it_begins(tenant: Tenant) -> None:
    with pytest.raises(InvalidRequest):
        top_up(tenant.payer, Decimal(1), expires_at=NOW)
    paid = top_up(tenant.payer, Decimal(1), expires_at=NOW + timedelta(microseconds=1))
    assert CreditGrant.objects.get(pk=paid.grant_id).expires_at == NOW + timedelta(microseconds=1)


@pytest.mark.parametrize("change", [{"amount": Decimal(2)}, {"created_by": "somebody else"}])
def test_what_people_moved_is_never_changed(tenant: Tenant, change: dict[str, Any]) -> None:
    top_up(tenant.payer, Decimal(1))
    adjust(tenant.payer, Decimal(1), reason="x")
    for rows in (TopUp.objects.all(), Adjustment.objects.all()):
        with pytest.raises(DatabaseError, match="update or delete"), transaction.atomic():
            rows.update(**change)
        with pytest.raises(DatabaseError, match="update or delete"), transaction.atomic():
            rows.delete()
