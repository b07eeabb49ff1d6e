"""`/traces/<customer>/<trace>`: the events of one job, its price, its costs, its margin."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import BillingEntity, PayerAssignment, Workspace
from billing.charging import Mode, charge_many
from billing.reports.traces import EVENTS_MAX
from billing.rerating import rerate_events
from core import clock
from pricing.models import PlanVersion, Subscription
from tests.billing.pages.conftest import NOW
from tests.billing.pages.reading import page, read
from tests.billing.world import START, Tenant, charge, make_tenant, make_version, request

pytestmark = pytest.mark.django_db


def event(tenant: Tenant, key: str, seconds: int, name: str = "completion", **fields: Any) -> None:
    """One event of the job, some seconds after its beginning."""
    at = (NOW - timedelta(minutes=1) + timedelta(seconds=seconds)).isoformat()
    charge(tenant, key, Mode.REPORT, event=name, occurred_at=at, **({"trace": "job/7"} | fields))


def cost(vendor: str, amount: str, currency: str = "USD") -> list[dict[str, str]]:
    return [{"vendor": vendor, "amount": amount, "currency": currency}]


def url(tenant: Tenant, trace: str = "job/7") -> str:
    return f"/traces/{tenant.customer.public_id}/{trace}"


def test_a_job_has_one_price_its_costs_by_vendor_and_its_margin(staff: Client, acme: Tenant) -> None:
    event(acme, "c", 9, properties={"tokens": 300}, costs=[])
    event(acme, "a", 0, "transcription", costs=cost("whisper", "0.25"))
    event(acme, "b", 4, "encoding", costs=[*cost("aws", "0.1"), *cost("whisper", "0.05")])
    event(acme, "other", 5, properties={"tokens": 100}, trace="job/8")
    text = read(staff, url(acme))
    assert "3 events of" in text
    assert "in 9.0 s" in text
    assert "Price of the job USD 2.00" in text
    assert "Vendor cost USD 0.40 100% of events known" in text
    assert "Margin USD 1.60 80.0% of the price" in text
    assert text.index("transcription") < text.index("encoding") < text.index("completion")
    assert "aws 1 USD 0.10" in text
    assert "whisper 2 USD 0.30" in text


def test_steps_lead_to_their_charge_or_their_event(staff: Client, acme: Tenant) -> None:
    event(acme, "a", 0, "transcription")
    event(acme, "b", 1, properties={"tokens": 300})
    markup = page(staff, url(acme))
    assert markup.count('class="row-link" href="/events/evt_') == 1
    assert markup.count('class="row-link" href="/charges/ch_') == 1


def test_an_unknown_cost_shows_in_the_coverage(staff: Client, acme: Tenant) -> None:
    event(acme, "a", 0, properties={"tokens": 300}, costs=cost("v", "0.5"))
    event(acme, "b", 1, properties={"tokens": 100})
    assert "Vendor cost USD 0.50 50% of events known" in read(staff, url(acme))


def test_a_job_in_two_currencies_is_not_added_up(staff: Client, acme: Tenant) -> None:
    own: dict[str, Any] = {"customer": acme.customer, "created_at": START}
    yen = BillingEntity.objects.create(name="KK", currency="JPY", time_zone="Asia/Tokyo", **own)
    space = Workspace.objects.create(name="Tokyo", external_id="tokyo", **own)
    PayerAssignment.objects.create(workspace=space, billing_entity=yen, **own)
    version = make_version(
        [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "2"}], currency="JPY"
    )
    Subscription.objects.create(billing_entity=yen, version=version, starts_at=START, anchor_at=START, **own)
    event(acme, "a", 0, properties={"tokens": 300}, costs=cost("v", "0.5"))
    event(acme, "b", 1, workspace="tokyo", properties={"tokens": 10}, costs=cost("v", "0.5"))
    text = read(staff, url(acme))
    assert "Price of the job USD 2.00" in text
    assert "Price of the job JPY 20" in text
    assert "which are not added up" in text
    assert "Not comparable." in text  # no rate from dollars to yen


def test_events_that_were_priced_later_show_their_charge(staff: Client, acme: Tenant) -> None:
    subscriptions = Subscription.objects.filter(billing_entity=acme.payer)
    subscriptions.update(starts_at=NOW)
    event(acme, "a", 0, properties={"tokens": 300})
    subscriptions.update(starts_at=START)
    assert "Price of the job USD 0.00" in read(staff, url(acme))
    clock.use(lambda: NOW + timedelta(days=40))
    rerate_events(acme.payer)
    assert "Price of the job USD 2.00" in read(staff, url(acme))


def test_a_trace_is_found_only_at_its_own_customer(staff: Client, acme: Tenant, version: PlanVersion) -> None:
    other = make_tenant(version)
    event(acme, "a", 0)
    read(staff, url(other), status=404)
    read(staff, url(acme, "nothing"), status=404)
    read(staff, url(acme, "%00"), status=404)
    read(staff, "/traces/cus_00000000/job/7", status=404)


def test_a_trace_may_have_any_name(staff: Client, acme: Tenant) -> None:
    event(acme, "a", 0, trace="<b>ä</b> ?&# 1")
    assert "<b>ä</b> ?&# 1" in read(staff, url(acme, "%3Cb%3E%C3%A4%3C/b%3E%20%3F%26%23%201"))


def test_a_trace_longer_than_a_page_says_that_it_is_cut(staff: Client, acme: Tenant) -> None:
    fields: dict[str, Any] = {"trace": "long", "properties": {"tokens": 1}}
    charge_many([request(acme, f"k{n}", Mode.REPORT, **fields) for n in range(EVENTS_MAX + 1)])
    text = read(staff, url(acme, "long"))
    assert "Not whole." in text
    assert f"{EVENTS_MAX} events of" in text


def test_huge_and_tiny_amounts_are_shown_exactly(staff: Client, acme: Tenant) -> None:
    event(acme, "a", 0, properties={"tokens": 300}, costs=cost("v", "0.000000000000000001"))
    text = read(staff, url(acme))
    assert "USD 0.000000000000000001" in text
    assert f"USD {Decimal(2) - Decimal('1e-18')}" in text
