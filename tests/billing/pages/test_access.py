"""Who may open the pages of staff: nobody signs in for them, members find nothing, readers only look."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.charging import Charged
from core.ids import hot_id
from tests.billing.pages.conftest import Sign, signed
from tests.billing.world import Tenant, charge

pytestmark = pytest.mark.django_db
TABS = ("", "/latest", "/charges", "/payers", "/workspaces", "/keys", "/grants", "/denials", "/audit")


@pytest.fixture
def addresses(acme: Tenant) -> list[str]:
    """Every page of staff about a customer."""
    outcome = charge(acme, "a", properties={"tokens": 300}, trace="job")
    assert isinstance(outcome, Charged)
    customer = acme.customer.public_id
    return [
        "/customers",
        "/events",
        "/charges",
        f"/charges/{hot_id('ch', outcome.customer_id, outcome.id)}",
        f"/events/{hot_id('evt', outcome.customer_id, outcome.id)}",
        f"/traces/{customer}/job",
        f"/customers/{customer}/grants/grt_00000001",
        *(f"/customers/{customer}{tab}" for tab in TABS),
    ]


def test_who_has_not_signed_in_is_sent_to_do_so(client: Client, addresses: list[str]) -> None:
    for address in addresses:
        response = client.get(address)
        assert response.status_code == 302, address
        assert response["Location"] == f"/accounts/login/?next={address}"


def test_htmx_is_sent_to_the_login_page_as_a_whole(client: Client) -> None:
    response = client.get("/customers", headers={"hx-request": "true"})
    assert (response.status_code, response["HX-Redirect"]) == (204, "/accounts/login/?next=/customers")


@pytest.mark.parametrize("role", ["owner", "billing", "member"])
def test_a_member_finds_no_page_of_staff_not_even_about_its_own_customer(
    acme: Tenant, addresses: list[str], role: str
) -> None:
    user = create_user(email="member@acme.example")
    add_member(user, acme.customer, role)
    member = signed(user)
    assert {member.get(address).status_code for address in addresses} == {404}


def test_staff_without_a_group_may_not_look(addresses: list[str]) -> None:
    user = create_user(email="new@operator.example")
    user.is_staff = True
    user.save()
    fresh = signed(user)
    assert {fresh.get(address).status_code for address in addresses} == {403}


@pytest.mark.parametrize("group", ["admin", "finance", "ops", "read_only"])
def test_every_group_of_staff_may_look(sign_in: Sign, addresses: list[str], group: str) -> None:
    reader = sign_in(group)
    addresses = [address for address in addresses if "grt_" not in address]
    assert {reader.get(address).status_code for address in addresses} == {200}


@pytest.mark.parametrize(
    ("group", "may"), [("admin", True), ("finance", True), ("ops", False), ("read_only", False)]
)
def test_only_those_who_may_move_money_see_how(sign_in: Sign, acme: Tenant, group: str, may: bool) -> None:
    person = sign_in(group)
    payers = f"/customers/{acme.customer.public_id}/payers"
    assert (b"Top up" in person.get(payers).content) is may
    form = f"{payers}/{acme.payer.public_id}/top-up"
    assert person.get(form).status_code == (200 if may else 403)
    assert person.post(form, {"amount": "5"}).status_code == (200 if may else 403)
