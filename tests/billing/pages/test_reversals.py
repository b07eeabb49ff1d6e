"""What a page of a charge says of a reversal: on what was taken back, and on what took it back."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.test import Client

from billing.charging import Charged, Mode
from billing.models import Charge, Reversal
from billing.reversals import rerate_charges, reverse_event
from core import clock
from metering.models import UsageEvent
from tests.billing.pages.reading import read
from tests.billing.world import START, Tenant, charge

pytestmark = pytest.mark.django_db


def charged(tenant: Tenant, key: str, tokens: int = 200) -> UsageEvent:
    """An event that was charged."""
    outcome = charge(tenant, key, Mode.REPORT, properties={"tokens": tokens})
    assert isinstance(outcome, Charged)
    return UsageEvent.objects.get(id=outcome.id)


def page_of(staff: Client, charge_id: UUID) -> str:
    return read(staff, f"/charges/{Charge.objects.get(id=charge_id).public_id}")


def test_both_charges_name_each_other_and_why(staff: Client, acme: Tenant) -> None:
    event = charged(acme, "a")
    reversal = reverse_event(event, reason="Sent twice by <the> gateway", by="ada@acme.example")
    taken = Charge.objects.get(id=event.id)
    before = page_of(staff, taken.id)
    assert f"Taken back by {reversal.charge_public_id}. Sent twice by <the> gateway" in before
    assert "This is a reversal" not in before
    after = page_of(staff, reversal.charge_id)
    assert f"This is a reversal. It takes back {taken.public_id}. Sent twice by <the> gateway" in after
    assert "Taken back by" not in after
    assert "Charged later, by choice" not in after


def test_a_charge_that_was_made_again_leads_on(staff: Client, acme: Tenant) -> None:
    event = charged(acme, "a")
    rerate_charges(acme.payer, [Charge.objects.get(id=event.id)], clock.now(), "The price was backdated")
    reversal = Reversal.objects.get()
    text = page_of(staff, event.id)
    again = f"and charged again as {reversal.replaced_by_public_id}. The price was backdated"
    assert again in text
    assert reversal.replaced_by is not None
    assert "Taken back" not in page_of(staff, reversal.replaced_by)


def test_an_event_that_cost_nothing_is_reversed_too(staff: Client, acme: Tenant) -> None:
    assert acme.subscription is not None
    charge(
        acme,
        "early",
        Mode.REPORT,
        event="unheard",
        occurred_at=(START - timedelta(days=1)).isoformat(),
    )
    reversal = reverse_event(UsageEvent.objects.get(), reason="A mistake")
    text = page_of(staff, reversal.charge_id)
    assert "It takes back nothing: the event cost nothing. A mistake" in text


def test_the_proof_of_a_reversal_holds(staff: Client, acme: Tenant) -> None:
    for key in "ab":
        charged(acme, key, 900)
    reversal = reverse_event(UsageEvent.objects.get(idempotency_key="a"), reason="A mistake")
    assert Charge.objects.get(id=reversal.charge_id).amount < 0
    text = read(staff, f"/charges/{reversal.charge_public_id}?proof")
    assert "Proved." in text
    assert "Not what is stored" not in text


def test_a_trace_costs_what_stands_of_it(staff: Client, acme: Tenant) -> None:
    for key, tokens in (("a", 1100), ("b", 100), ("c", 100)):
        charge(acme, key, Mode.REPORT, properties={"tokens": tokens}, trace="podcast")
    assert "Price of the job USD 11.00" in job(staff, acme)  # 1000 not free at 0.01, then 200 at 0.005
    reverse_event(UsageEvent.objects.get(idempotency_key="c"), reason="A mistake")
    assert "Price of the job USD 10.50" in job(staff, acme)
    rerate_charges(acme.payer, list(Charge.objects.all()), clock.now(), "The price was backdated")
    assert "Price of the job USD 10.50" in job(staff, acme)


def job(staff: Client, tenant: Tenant) -> str:
    """The page of the trace."""
    return read(staff, f"/traces/{tenant.customer.public_id}/podcast")
