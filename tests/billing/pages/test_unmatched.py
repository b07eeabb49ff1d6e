"""The page of names that nobody hears, and re-rating from it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.models import Charge
from billing.subscriptions import start_subscription
from pricing.models import PlanVersion
from tests.billing.pages.conftest import Sign, signed
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def misspelt(acme: Tenant) -> Tenant:
    """Acme has sent three events under a name that no meter hears."""
    for number in range(3):
        charge(acme, f"x{number}", Mode.REPORT, event="compltion", properties={"tokens": 200})
    return acme


def text(client: Client, address: str = "/unmatched") -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def test_members_find_no_such_page(misspelt: Tenant) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, misspelt.customer, "owner")
    client = signed(user)
    assert client.get("/unmatched").status_code == 404
    assert client.post("/unmatched/rerate", {"event": "compltion"}).status_code == 404


def test_a_name_is_shown_within_one_page_load_with_what_it_may_mean(staff: Client, misspelt: Tenant) -> None:
    shown = text(staff)
    assert "compltion" in shown
    assert "A meter hears completion." in shown
    assert misspelt.payer.name in shown
    assert "&quot;tokens&quot;: 200" in shown


def test_when_every_name_is_heard_it_says_so(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 1})
    assert "Every name is heard" in text(staff)


def test_re_rating_is_asked_about_with_payer_name_and_number(staff: Client, misspelt: Tenant) -> None:
    shown = text(staff, f"/unmatched/rerate/ask?payer={misspelt.payer.public_id}&event=compltion")
    assert misspelt.payer.name in shown
    assert "<dd>3</dd>" in shown


def test_re_rating_what_nothing_prices_charges_nothing(staff: Client, misspelt: Tenant) -> None:
    form = {"payer": misspelt.payer.public_id, "event": "compltion"}
    answer = staff.post("/unmatched/rerate", form, follow=True)
    assert "Nothing prices these 3 events yet" in answer.content.decode()
    assert not Charge.objects.exists()


def test_a_backdated_price_charges_each_event_once_and_leaves_nothing_to_re_rate(
    staff: Client, misspelt: Tenant
) -> None:
    make_meter("typos", event="compltion", property_path="tokens")
    version = make_version([{"key": "t", "meter": "typos", "model": "per_unit", "unit_price": "0.01"}])
    start_subscription(misspelt.payer, version, starts_at=START)
    form = {"payer": misspelt.payer.public_id, "event": "compltion"}
    answer = staff.post("/unmatched/rerate", form, follow=True)
    assert "are charged already" in answer.content.decode()
    assert list(Charge.objects.values_list("amount", flat=True)) == [Decimal(2)] * 3
    assert "compltion" not in text(staff)


def test_who_may_only_look_sees_no_button_and_may_not_re_rate(sign_in: Sign, misspelt: Tenant) -> None:
    client = sign_in("read_only")
    assert "Re-rate" not in text(client)
    form = {"payer": misspelt.payer.public_id, "event": "compltion"}
    assert client.post("/unmatched/rerate", form).status_code == 403


@pytest.mark.parametrize("payer", ["", "be_00000zzz", "nonsense"])
def test_a_payer_that_is_not_there_is_not_found(staff: Client, misspelt: Tenant, payer: str) -> None:
    assert staff.post("/unmatched/rerate", {"payer": payer, "event": "x"}).status_code == 404
    assert staff.get(f"/unmatched/rerate/ask?payer={payer}&event=x").status_code == 404


def test_a_name_with_markup_is_shown_as_it_is(staff: Client, acme: Tenant) -> None:
    charge(acme, "x", Mode.REPORT, event="<b>&\"'/?#", properties={"tokens": 1})
    shown = text(staff)
    assert '<b>&"' not in shown
    assert "event=%3Cb%3E%26%22%27/%3F%23" in shown


def test_payers_do_not_cost_statements_of_their_own(
    staff: Client,
    misspelt: Tenant,
    version: PlanVersion,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(5):
        charge(make_tenant(version), f"y{number}", Mode.REPORT, event="compltion")
    with django_assert_max_num_queries(10):
        text(staff)
