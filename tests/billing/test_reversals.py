"""Reversals: new entries beside the old ones, and then it is as if the event had never come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing.charging import Charged, Mode
from billing.models import Charge, CreditGrant, MarginBucket, Reversal, ReversedCharge
from billing.rerating import rerate_events
from billing.reversals import reverse_event
from billing.wallets import grant_credit
from core import clock
from core.errors import Conflict
from metering.models import UniqueValue, UsageBucket
from pricing.models import Counter
from tests.billing.reversing import check, event, reverse, subscribe, use
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
PER_UNIT = {"model": "per_unit", "unit_price": "1"}
DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/reversals.md"
_january = standing_at(NOW)


def priced(
    model: dict[str, Any], aggregation: str = "sum", path: str | None = "tokens", **fields: Any
) -> Tenant:
    """A payer on one component, with 100 in its wallet."""
    make_meter("m", aggregation=aggregation, property_path=path, **fields)
    version = make_version([{"key": "c", "meter": "m"} | model])
    return make_tenant(version, balance="100")


MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "per unit": (PER_UNIT, "sum"),
    "graduated": ({"model": "graduated", "tiers": TIERS}, "sum"),
    "volume": ({"model": "volume", "tiers": TIERS}, "sum"),
    "package": ({"model": "package", "package_size": "5", "package_price": "2"}, "sum"),
    "included": (PER_UNIT | {"included": "6"}, "sum"),
    "percentage": (
        {"model": "percentage", "rate": "0.1", "fixed_fee": "1", "min_per_transaction": "1.2"},
        "sum",
    ),
    "percentage, one free": ({"model": "percentage", "rate": "0.1", "free_transactions": 1}, "sum"),
    "cost plus": ({"model": "cost_plus", "markup": "1"}, "sum"),
    "maximum": (PER_UNIT, "max"),
    "count": (PER_UNIT, "count"),
    "unique": (PER_UNIT, "unique"),
    "discount and cap": (PER_UNIT | {"discount_percent": "50", "maximum": "5"}, "sum"),
    "groups": ({"model": "graduated", "tiers": TIERS, "group_by": ["tokens"]}, "sum"),
    "a negative event": (PER_UNIT, "sum"),
}


def worked_table() -> list[tuple[str, list[str], list[str], list[str]]]:
    """(component, events, what they cost, what reversing b and then a comes to) of the document."""
    text = DOCUMENT.read_text().partition("## Worked table")[2].partition("\n## ")[0]
    rows = [row for row in text.splitlines() if row.startswith("| ")][2:]
    found = []
    for row in rows:
        name, *lists = [cell.strip() for cell in row.strip("|").split("|")]
        values, amounts, back = (cell.split(", ") for cell in lists)
        found.append((name, values, amounts, back))
    return found


def test_the_table_has_every_component() -> None:
    assert [name for name, *_ in worked_table()] == list(MODELS)


@pytest.mark.parametrize(("name", "values", "amounts", "back"), worked_table())
def test_a_reversal_leaves_what_the_other_events_cost(
    name: str, values: list[str], amounts: list[str], back: list[str]
) -> None:
    model, aggregation = MODELS[name]
    tenant = priced(model, aggregation, None if aggregation == "count" else "tokens")
    costs = [{"vendor": "v", "amount": "2", "currency": "USD"}]
    charged = [
        charge(tenant, key, Mode.REPORT, properties={"tokens": value}, costs=costs)
        for key, value in zip("abc", values, strict=True)
    ]
    assert [one.amount for one in charged if isinstance(one, Charged)] == list(map(Decimal, amounts))
    assert [reverse(key) for key in "ba"] == list(map(Decimal, back))
    check(tenant)
    bucket = MarginBucket.objects.get()
    assert (bucket.events, bucket.costed, bucket.cost) == (1, 1, 2)
    assert bucket.revenue == 100 - balance(tenant)
    reverse("c")
    assert balance(tenant) == 100
    check(tenant)
    assert {counter.quantity for counter in Counter.objects.all()} == {0}
    assert {counter.transactions for counter in Counter.objects.all()} == {0}
    assert {counter.amount for counter in Counter.objects.all()} == {0}


def test_nothing_that_was_written_is_changed() -> None:
    tenant = priced(PER_UNIT)
    before = use(tenant, "a", tokens=5)
    stored = Charge.objects.values().get()
    reversal = reverse_event(event("a"), reason="Sent by mistake", by="staff")
    assert Charge.objects.values().get(id=before.id) == stored
    taking = Charge.objects.get(id=reversal.charge_id)
    assert (taking.amount, taking.seq, taking.event_id) == (-5, before.seq + 1, before.id)
    (line,) = taking.lines
    assert (line["quantity"], line["amount"], line["reverses"]) == ("-5", "-5", before.id.hex)
    assert line["position"] == {"from": "5", "to": "0"}
    assert (reversal.reason, reversal.created_by, reversal.cause) == ("Sent by mistake", "staff", "event")
    assert [row.charge_id for row in reversal.reversed_charges.all()] == [before.id]


def test_an_event_is_reversed_once() -> None:
    tenant = priced(PER_UNIT)
    use(tenant, "a", tokens=5)
    reverse("a")
    with pytest.raises(Conflict) as refused:
        reverse("a")
    assert (refused.value.code, refused.value.param) == ("already_reversed", "event")
    assert (balance(tenant), Reversal.objects.count()) == (100, 1)
    check(tenant)


def test_the_database_refuses_a_second_reversal_and_a_change_of_the_first() -> None:
    tenant = priced(PER_UNIT)
    use(tenant, "a", tokens=5)
    reverse("a")
    first = Reversal.objects.get()
    taken = ReversedCharge.objects.get()
    for attempt in (
        lambda: Reversal.objects.filter(pk=first.pk).update(reason="another"),
        lambda: ReversedCharge.objects.filter(charge_id=taken.charge_id).delete(),
        lambda: Reversal(
            **{
                f.attname: getattr(first, f.attname)
                for f in Reversal._meta.concrete_fields
                if not f.primary_key
            }
        ).save(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()


def test_a_replay_of_a_reversed_event_gets_the_first_answer() -> None:
    tenant = priced(PER_UNIT)
    first = use(tenant, "a", tokens=5)
    reverse("a")
    again = use(tenant, "a", tokens=5)
    assert (again.is_replay, again.amount, again.id) == (True, 5, first.id)
    assert balance(tenant) == 100


def test_value_returns_to_the_grants_that_paid_the_latest_first() -> None:
    tenant = priced(PER_UNIT)
    grant_credit(tenant.payer, Decimal(4), priority=1)
    use(tenant, "a", tokens=3)
    use(tenant, "b", tokens=5)
    assert reverse("a") == -3
    small, large = CreditGrant.objects.order_by("priority")
    assert (small.remaining, large.remaining) == (0, 99)
    reverse("b")
    small.refresh_from_db()
    assert (small.remaining, balance(tenant)) == (4, 104)
    check(tenant)


def test_value_of_a_grant_that_has_expired_since_is_breakage() -> None:
    tenant = priced(PER_UNIT)
    grant_credit(tenant.payer, Decimal(4), priority=1, expires_at=NOW + timedelta(days=1))
    use(tenant, "a", tokens=3)
    clock.use(lambda: NOW + timedelta(days=2))
    reverse("a")
    assert (balance(tenant), balance(tenant, "breakage")) == (100, 4)
    check(tenant)


def test_an_invoiced_payer_owes_less() -> None:
    make_meter()
    version = make_version([{"key": "c", "meter": "tokens"} | PER_UNIT])
    tenant = make_tenant(version, settlement="invoice_only")
    use(tenant, "a", tokens=3)
    use(tenant, "b", tokens=4)
    reverse("a")
    assert balance(tenant, "receivable") == -4
    check(tenant)


def test_usage_and_cost_leave_the_buckets() -> None:
    tenant = priced(PER_UNIT)
    use(tenant, "a", tokens=3)
    use(tenant, "b", tokens=4)
    reverse("a")
    bucket = UsageBucket.objects.get()
    assert (bucket.quantity, bucket.events) == (4, 1)


@pytest.mark.parametrize(("aggregation", "left"), [("max", 7), ("min", 2), ("avg", 9), ("unique", 2)])
def test_buckets_of_every_aggregation_forget_the_event(aggregation: str, left: int) -> None:
    """avg keeps the sum: 2 + 7 with two events."""
    tenant = priced(PER_UNIT, aggregation)
    for key, tokens in (("a", 2), ("b", 9), ("c", 7)):
        use_any(tenant, key, tokens)
    reverse("b")
    bucket = UsageBucket.objects.get()
    assert (bucket.quantity, bucket.events) == (left, 2)
    for key in "ac":
        reverse(key)
    assert not UsageBucket.objects.filter(events__gt=0).exists()
    check(tenant)


def use_any(tenant: Tenant, key: str, tokens: int) -> None:
    charge(tenant, key, Mode.REPORT, properties={"tokens": tokens})


def test_a_unique_value_is_new_again_after_its_last_reversal() -> None:
    tenant = priced(PER_UNIT, "unique")
    for key in "ab":
        use(tenant, key, tokens="x")
    reverse("a")
    assert UniqueValue.objects.get().occurrences == 1
    reverse("b")
    assert UniqueValue.objects.get().occurrences == 0
    assert use(tenant, "c", tokens="x").amount == 1
    check(tenant)


def test_an_event_that_nothing_priced_is_reversed_and_never_charged() -> None:
    make_meter()
    tenant = make_tenant(None, balance="10")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 5})
    assert reverse("a") == 0
    assert MarginBucket.objects.get().events == 0
    subscribe(tenant, START)
    assert rerate_events(tenant.payer).charged == 0
    check(tenant)


def test_a_charge_that_was_made_later_is_reversed_too() -> None:
    make_meter()
    tenant = make_tenant(None, balance="10")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 5})
    subscribe(tenant, START)
    rerate_events(tenant.payer)
    assert balance(tenant) == 5
    assert reverse("a") == -5
    assert balance(tenant) == 10
    check(tenant)
