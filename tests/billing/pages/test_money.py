"""Moving money from a page: a form, a question with effect and amount, and then exactly once."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import BillingEntity
from billing.models import Adjustment, CreditGrant, TopUp
from pricing.models import PlanVersion
from tests.billing.pages.reading import read, words
from tests.billing.world import Tenant, balance, make_tenant

pytestmark = pytest.mark.django_db
Posted = dict[str, str]


def url(tenant: Tenant, operation: str) -> str:
    return f"/customers/{tenant.customer.public_id}/payers/{tenant.payer.public_id}/{operation}"


def question(client: Client, address: str, values: Posted) -> Posted:
    """Fill in the form; what the question that follows would send."""
    response = client.post(address, values)
    assert response.status_code == 200, words(response.content.decode())
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', response.content.decode())
    return {name: value for name, value in hidden if name != "csrfmiddlewaretoken"}


def test_a_top_up_states_its_effect_before_it_happens(staff: Client, acme: Tenant) -> None:
    response = staff.post(url(acme, "top-up"), {"amount": "5.25", "reference": "wire <7>"})
    text = words(response.content.decode())
    assert "The wallet rises at once, as value that was paid in." in text
    assert f"Payer {acme.payer.name} Wallet now USD 20.00 Amount USD 5.25 Reference wire <7>" in text
    assert balance(acme) == 20


def test_a_confirmed_top_up_is_booked_once_however_often_it_is_sent(staff: Client, acme: Tenant) -> None:
    address = url(acme, "top-up")
    sent = question(staff, address, {"amount": "5.25", "reference": "wire 7", "expires_on": "2026-02-01"})
    for _ in range(3):
        response = staff.post(address, sent)
        assert response["Location"] == f"/customers/{acme.customer.public_id}/payers"
    made = TopUp.objects.get(reference="wire 7")
    assert (made.amount, made.created_by, balance(acme)) == (
        Decimal("5.25"),
        "finance@operator.example",
        Decimal("25.25"),
    )
    grant = CreditGrant.objects.get(pk=made.grant_id)
    assert grant.expires_at == datetime(2026, 2, 2, 5, tzinfo=UTC)  # midnight in New York
    assert "Top up: USD 5.25 for" in read(staff, f"/customers/{acme.customer.public_id}/payers")


def test_the_same_key_with_another_amount_is_refused(staff: Client, acme: Tenant) -> None:
    address = url(acme, "top-up")
    sent = question(staff, address, {"amount": "5"})
    staff.post(address, sent)
    response = staff.post(address, sent | {"amount": "6"})
    assert response.status_code == 422
    assert "was used for another request" in words(response.content.decode())
    assert balance(acme) == 25


def test_credit_is_granted_with_its_limits(staff: Client, acme: Tenant) -> None:
    address = url(acme, "grant")
    values = {"amount": "3", "name": "Sorry", "priority": "7", "components": " tok  img "}
    staff.post(address, question(staff, address, values))
    grant = CreditGrant.objects.get(name="Sorry")
    assert (grant.kind, grant.priority, grant.components) == ("promotional", 7, ["tok", "img"])
    assert balance(acme) == 23


def test_an_adjustment_takes_out_as_well(staff: Client, acme: Tenant) -> None:
    address = url(acme, "adjustment")
    response = staff.post(address, {"amount": "-4.5", "reason": "paid twice"})
    assert b"is-danger" in response.content
    staff.post(address, question(staff, address, {"amount": "-4.5", "reason": "paid twice"}))
    made = Adjustment.objects.get()
    assert (made.amount, made.reason, balance(acme)) == (Decimal("-4.5"), "paid twice", Decimal("15.5"))


@pytest.mark.parametrize(
    ("operation", "values"),
    [
        ("top-up", {}),
        ("top-up", {"amount": "abc"}),
        ("top-up", {"amount": "NaN"}),
        ("top-up", {"amount": "-1"}),
        ("top-up", {"amount": "1e400"}),
        ("top-up", {"amount": "9" * 40}),
        ("top-up", {"amount": "0.0000000000000000001"}),
        ("top-up", {"amount": "1", "expires_on": "tomorrow"}),
        ("top-up", {"amount": "1", "reference": "x" * 201}),
        ("grant", {"amount": "1", "priority": "2000"}),
        ("grant", {"amount": "1", "priority": "50", "components": "x" * 101}),
        ("adjustment", {"amount": "0", "reason": "x"}),
        ("adjustment", {"amount": "1", "reason": ""}),
        ("adjustment", {"amount": "1", "reason": "a\x00b"}),
    ],
)
def test_a_form_with_a_mistake_is_shown_again_and_nothing_happens(
    staff: Client, acme: Tenant, operation: str, values: Posted
) -> None:
    for key in ({}, {"key": "k"}):
        response = staff.post(url(acme, operation), values | key)
        assert response.status_code == 422
        assert b"errorlist" in response.content
    assert balance(acme) == 20


@pytest.mark.parametrize("values", [{"amount": "0"}, {"amount": "1", "expires_on": "2026-01-01"}])
def test_what_the_verb_refuses_is_said_on_the_form(staff: Client, acme: Tenant, values: Posted) -> None:
    address = url(acme, "top-up")
    response = staff.post(address, question(staff, address, values))
    assert response.status_code == 422
    assert b"errorlist" in response.content
    assert balance(acme) == 20


def test_money_moves_only_for_a_payer_of_that_customer(
    staff: Client, acme: Tenant, version: PlanVersion
) -> None:
    other = make_tenant(version)
    address = f"/customers/{acme.customer.public_id}/payers/{other.payer.public_id}/top-up"
    assert staff.post(address, {"amount": "5", "key": "k"}).status_code == 404
    assert staff.get(url(acme, "refund")).status_code == 404
    assert balance(other) == 0


def test_a_closed_payer_takes_nothing(staff: Client, acme: Tenant) -> None:
    BillingEntity.objects.filter(pk=acme.payer.pk).update(status="closed")
    assert "Top up" not in read(staff, f"/customers/{acme.customer.public_id}/payers")
    address = url(acme, "top-up")
    response = staff.post(address, question(staff, address, {"amount": "5"}))
    assert "This billing entity is closed." in words(response.content.decode())


def test_a_form_from_elsewhere_is_refused(acme: Tenant, staff: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = staff.cookies
    response = strict.post(url(acme, "top-up"), {"amount": "5", "key": "k"})
    assert response.status_code == 403
    assert balance(acme) == 20
