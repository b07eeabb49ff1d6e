"""The path of a call through `charge_many`."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from billing.charging import Charged, Denied, Failed, Mode, Recorded, charge_many
from billing.models import Charge, CreditGrant, Denial, LedgerEntry, Overspend
from billing.wallets import top_up
from core import clock
from metering.models import IdempotencyKey, UsageBucket, UsageEvent
from pricing.models import Counter, PlanVersion
from tests.billing.world import balance, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


@pytest.fixture(autouse=True)
def _january() -> object:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


def test_a_charge_attributes_records_rates_and_moves_money(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    outcome = charge(tenant, "a", properties={"tokens": 150})
    assert isinstance(outcome, Charged)
    assert outcome.amount == Decimal("1.5")
    assert outcome.available == outcome.settled == Decimal("8.5")
    assert outcome.billing_entity == tenant.payer.public_id
    assert [(line["component"], line["quantity"], line["amount"]) for line in outcome.lines] == [
        ("tok", "150", "1.5")
    ]
    assert outcome.lines[0]["position"] == {"from": "0", "to": "150"}
    event = UsageEvent.objects.get()
    assert (event.seq, event.name, event.properties) == (2, "completion", {"tokens": 150})
    assert Charge.objects.get().amount == Decimal("1.5")
    assert IdempotencyKey.objects.get().key == "a"
    assert UsageBucket.objects.get().quantity == 150
    assert Counter.objects.get().amount == Decimal("1.5")
    assert CreditGrant.objects.get().remaining == Decimal("8.5")
    assert (balance(tenant), balance(tenant, "revenue")) == (Decimal("8.5"), Decimal("1.5"))
    assert sum(entry.amount for entry in LedgerEntry.objects.all()) == 0


def test_the_same_key_again_gets_the_first_answer(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="10")
    first = charge(tenant, "a", properties={"tokens": 5})
    second = charge(tenant, "a", properties={"tokens": "5.0"})
    assert isinstance(first, Charged)
    assert isinstance(second, Charged)
    assert second.is_replay
    assert (second.id, second.amount, second.settled) == (first.id, first.amount, first.settled)
    assert Charge.objects.count() == 1


def test_the_same_key_with_another_payload_is_a_conflict_that_names_the_field(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="10")
    charge(tenant, "a", properties={"tokens": 5})
    outcome = charge(tenant, "a", properties={"tokens": 6})
    assert isinstance(outcome, Failed)
    assert outcome.error.status == 409
    assert "properties.tokens" in outcome.error.message


def test_a_key_twice_in_one_batch_counts_once(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="10")
    first, second, third = charge_many(
        [
            request(tenant, "a", properties={"tokens": 5}),
            request(tenant, "a", properties={"tokens": 5}),
            request(tenant, "a", properties={"tokens": 7}),
        ]
    )
    assert isinstance(first, Charged)
    assert isinstance(second, Charged)
    assert not first.is_replay
    assert second.is_replay
    assert isinstance(third, Failed)


def test_a_hard_stop_refuses_and_consumes_no_key(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    outcome = charge(tenant, "a", properties={"tokens": 101})
    assert isinstance(outcome, Denied)
    assert (outcome.reason, outcome.expected_amount, outcome.available) == (
        "insufficient_funds",
        Decimal("1.01"),
        Decimal(1),
    )
    assert Denial.objects.get().reason == "insufficient_funds"
    assert not IdempotencyKey.objects.exists()
    assert isinstance(charge(tenant, "a", properties={"tokens": 100}), Charged)
    assert balance(tenant) == 0


def test_reported_usage_is_charged_below_zero_as_overspend(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    outcome = charge(tenant, "a", Mode.REPORT, properties={"tokens": 150})
    assert isinstance(outcome, Charged)
    assert balance(tenant) == Decimal("-0.5")
    assert [(row.amount, row.cause) for row in Overspend.objects.all()] == [(Decimal("0.5"), "reported")]


def test_a_straddling_call_is_paid_part_by_grant_part_by_receivable(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="1", settlement="wallet_then_invoice")
    outcome = charge(tenant, "a", properties={"tokens": 150})
    assert isinstance(outcome, Charged)
    assert (balance(tenant), balance(tenant, "receivable"), balance(tenant, "revenue")) == (
        0,
        Decimal("-0.5"),
        Decimal("1.5"),
    )


def test_without_a_subscription_a_charge_is_refused_and_a_report_is_stored(version: PlanVersion) -> None:
    tenant = make_tenant(None)
    refused = charge(tenant, "a", properties={"tokens": 5})
    assert isinstance(refused, Denied)
    assert refused.reason == "no_subscription"
    stored = charge(tenant, "a", Mode.REPORT, properties={"tokens": 5})
    assert isinstance(stored, Recorded)
    assert stored.unpriced
    unheard = charge(tenant, "b", Mode.REPORT, event="misspelt")
    assert isinstance(unheard, Recorded)
    assert unheard.unmatched


def test_a_top_up_first_covers_what_is_overdrawn(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="1")
    charge(tenant, "a", properties={"tokens": 300})
    top_up(tenant.payer, Decimal(5))
    grant = CreditGrant.objects.order_by("-id").first()
    assert grant is not None
    assert (grant.remaining, grant.covered, balance(tenant)) == (3, 2, 3)
