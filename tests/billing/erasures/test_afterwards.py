"""What goes on after a person's data was erased: taking back, charging again, correcting costs, closing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Charged, Mode
from billing.closing import close_periods
from billing.costs import correct_cost
from billing.erasures import request_erasure, run_erasures
from billing.models import Charge, ErasedRecord
from billing.periods import book_base_fees
from billing.rerating import rerate_events
from billing.reversals import rerate_charges, reverse_event
from billing.seals import seal_due
from billing.verification import Difference, Verified, verify
from core import clock
from core.sql import driver
from metering.event_values import CostPart
from metering.models import UsageEvent
from pricing.models import Subscription
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
CLOSED_AT = datetime(2026, 2, 4, tzinfo=UTC)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
COMPONENT: dict[str, Any] = {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}
SENT: dict[str, Any] = {"properties": {"tokens": 8, "mail": "o@example.com"}, "user": "olga"}


@pytest.fixture
def tenant(db: None) -> Iterator[Tenant]:
    """Olga used 8 twice, and her address and name were erased."""
    clock.use(lambda: NOW)
    make_meter()
    made = make_tenant(make_version([COMPONENT]), balance="100")
    for key in ("a", "b"):
        charge(made, key, Mode.REPORT, **SENT)
    erase(made)
    yield made
    clock.use(None)


def erase(tenant: Tenant) -> None:
    request_erasure(tenant.customer, user="olga", properties=["mail"], reason="r")
    assert run_erasures(clock.now()) == 1


def differences(tenant: Tenant) -> list[Difference]:
    """After sealing, everything recomputed; and the books agree."""
    seal_due(clock.now())
    assert broken_invariants(driver()) == []
    return list(verify([tenant.payer], Verified()))


def event(key: str) -> UsageEvent:
    return UsageEvent.objects.get(idempotency_key=key)


def test_an_erased_call_is_taken_back_like_any_other(tenant: Tenant) -> None:
    assert balance(tenant) == 100 - 8 - 5
    reversal = reverse_event(event("a"), reason="wrong")
    assert reversal.amount == -5  # eight of sixteen, from the second tier and the first
    assert balance(tenant) == 92
    assert differences(tenant) == []


def test_an_erased_call_is_charged_again_at_the_same_price(tenant: Tenant) -> None:
    charges = list(Charge.objects.filter(event_id=event("b").id))
    done = rerate_charges(tenant.payer, charges, clock.now(), "again")
    assert (done.reversed, done.charged, done.difference) == (1, 1, 0)
    assert differences(tenant) == []


def test_the_next_call_of_the_person_begins_where_the_erased_ones_ended(tenant: Tenant) -> None:
    outcome = charge(tenant, "c", Mode.REPORT, **SENT)
    assert isinstance(outcome, Charged)
    assert outcome.lines[0]["position"] == {"from": "16", "to": "24"}
    assert (outcome.amount, event("c").user) == (4, "olga")
    assert differences(tenant) == []


def test_a_cost_of_an_erased_call_is_corrected(tenant: Tenant) -> None:
    correct_cost(event("a"), (CostPart("v", Decimal("0.5"), "USD"),))
    assert differences(tenant) == []


def test_a_period_with_erased_calls_closes_as_it_would_have(tenant: Tenant) -> None:
    clock.use(lambda: CLOSED_AT)
    book_base_fees(CLOSED_AT)
    assert close_periods(CLOSED_AT) == 1
    late = charge(tenant, "late", Mode.REPORT, **SENT, occurred_at=NOW.isoformat())
    assert isinstance(late, Charged)
    assert late.amount == 4
    erase(tenant)
    assert differences(tenant) == []


def test_calls_that_nothing_priced_are_erased_and_priced_later(tenant: Tenant) -> None:
    other = make_tenant(None, balance="50")
    charge(other, "x", Mode.REPORT, **SENT)
    erase(other)
    assert event("x").properties == {"tokens": 8}
    assert tenant.subscription is not None
    Subscription.objects.create(
        customer=other.customer,
        billing_entity=other.payer,
        version=tenant.subscription.version,
        starts_at=START,
        anchor_at=START,
        created_at=START,
    )
    assert rerate_events(other.payer).amount == 8
    assert differences(other) == []


def test_people_of_a_unique_meter_stay_counted(tenant: Tenant) -> None:
    make_meter("people", aggregation="unique", property_path="who")
    other = make_tenant(make_version([COMPONENT | {"meter": "people"}]), balance="50")
    for number, who in enumerate(("olga", "ben", "olga")):
        sent = {"properties": {"who": who, "tokens": 1}, "user": who}
        charge(other, f"p{number}", Mode.REPORT, **sent)
    wish = request_erasure(other.customer, user="olga", values=["olga"], properties=["who"], reason="r")
    assert run_erasures(NOW) == 1
    wish.refresh_from_db()
    assert wish.kept == {"completion.who": "the meter people reads it"}
    again = charge(other, "p3", Mode.REPORT, properties={"who": "olga", "tokens": 1})
    assert isinstance(again, Charged)
    assert again.amount == 0
    assert differences(other) == []


def test_an_erasure_a_year_later_still_finds_the_seals_of_then(tenant: Tenant) -> None:
    charge(tenant, "c", Mode.REPORT, properties={"tokens": 1, "ip": "10.0.0.1"}, user="ben")
    seal_due(NOW)
    later = NOW + timedelta(days=360)
    clock.use(lambda: later)
    request_erasure(tenant.customer, values=["10.0.0.1"], reason="r")
    assert run_erasures(later) == 1
    assert event("c").properties == {"tokens": 1}
    assert ErasedRecord.objects.get(record_id=event("c").id).erased_at == later
    assert differences(tenant) == []
