"""What members see of their own customer, and nobody else."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.payers import create_billing_entity
from accounts.scoping import OPERATOR
from accounts.users import add_member, create_user
from billing.reports.running import running_periods
from billing.subscriptions import start_subscription
from billing.wallets import grant_credit
from core import clock
from pricing.models import PlanVersion
from tests.billing.pages.conftest import signed
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(version: PlanVersion) -> Tenant:
    """A customer with USD 10 that calls in New York."""
    return make_tenant(version, balance="10", time_zone="America/New_York")


def member_of(*tenants: Tenant, role: str = "member") -> User:
    user = create_user(email=f"{role}@acme.example")
    for tenant in tenants:
        add_member(user, tenant.customer, role)
    return user


def text(client: Client, address: str = "/") -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("role", ["owner", "billing", "member"])
def test_every_role_sees_balance_running_cost_and_the_end_of_the_period(acme: Tenant, role: str) -> None:
    charge(acme, "a", properties={"tokens": 300})
    shown = text(signed(member_of(acme, role=role)))
    assert ">8.00<" in shown  # 10 less 200 units at 0.01
    assert ">2.00<" in shown
    assert "1 Feb 2026" in shown


def test_what_a_call_costs_the_operator_is_never_shown(acme: Tenant) -> None:
    costs = [{"vendor": "openai", "amount": "0.777", "currency": "USD"}]
    charge(acme, "a", properties={"tokens": 300}, costs=costs)
    client = signed(member_of(acme))
    for address in ("/", "/usage"):
        shown = text(client, address)
        assert "777" not in shown
        assert "openai" not in shown
        assert "argin" not in shown


def test_another_customer_is_never_shown(acme: Tenant, version: PlanVersion) -> None:
    other = make_tenant(version, balance="55")
    charge(other, "a", properties={"tokens": 5000})
    client = signed(member_of(acme))
    for address in (
        "/",
        "/usage",
        f"/?customer={other.customer.public_id}",
        f"/usage?customer={other.customer.pk}",
    ):
        shown = text(client, address)
        assert other.customer.name not in shown
        assert other.payer.name not in shown


def test_a_member_of_two_customers_chooses_between_them(acme: Tenant, version: PlanVersion) -> None:
    other = make_tenant(version, balance="55")
    client = signed(member_of(acme, other))
    assert ">55.00<" in text(client, f"/?customer={other.customer.public_id}")
    assert ">10.00<" in text(client, f"/?customer={acme.customer.public_id}")


def test_a_person_without_a_customer_is_told_so() -> None:
    assert "not a member of a customer" in text(signed(create_user(email="no@where.example")))


def test_staff_are_sent_home_and_strangers_to_sign_in(staff: Client, client: Client) -> None:
    assert staff.get("/usage")["Location"] == "/"
    assert "/accounts/login" in client.get("/usage")["Location"]


def test_usage_is_drawn_for_each_meter(acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 300})
    shown = text(signed(member_of(acme)), "/usage")
    assert "300" in shown
    assert shown.count("<canvas") == 1


def test_without_usage_the_page_says_so(acme: Tenant) -> None:
    assert "Nothing was counted" in text(signed(member_of(acme)), "/usage?period=last_month")


def test_credit_is_listed_with_what_is_left_and_until_when(acme: Tenant) -> None:
    grant_credit(acme.payer, Decimal(7), name="Welcome", expires_at=clock.now() + timedelta(days=16))
    shown = text(signed(member_of(acme)))
    assert "Welcome" in shown
    assert "31 Jan 2026" in shown


def test_running_cost_is_f_of_the_counters_and_the_fees_of_the_period() -> None:
    make_meter()
    make_meter("calls", aggregation="count")
    version = make_version(
        [
            {
                "key": "tok",
                "meter": "tokens",
                "model": "matrix",
                "dimensions": ["model"],
                "cells": [{"match": {"model": "a"}, "unit_price": "0.02"}],
                "default_unit_price": "0.01",
                "discount_percent": "10",
            },
            {
                "key": "calls",
                "meter": "calls",
                "model": "package",
                "package_size": "10",
                "package_price": "3",
            },
        ],
        base_fees=[{"key": "platform", "amount": "49.00", "timing": "in_advance"}],
    )
    tenant = make_tenant(version, balance="1000")
    for key, model in (("a", "a"), ("b", "b")):
        charge(tenant, key, properties={"tokens": 100, "model": model})
    (period,) = running_periods(OPERATOR, [tenant.payer], clock.now())
    assert [(line.key, line.quantity, line.amount) for line in period.lines] == [
        ("platform", None, Decimal(49)),
        ("tok", Decimal(200), Decimal("2.7")),
        ("calls", Decimal(2), Decimal(3)),
    ]
    assert period.total == Decimal("54.7")


def test_every_payer_has_its_own_period(acme: Tenant, version: PlanVersion) -> None:
    second = create_billing_entity(customer=acme.customer, name="Second", currency="USD")
    start_subscription(second, version)
    found = running_periods(OPERATOR, [acme.payer, second], clock.now())
    assert {period.payer.name for period in found} >= {"Second"}
    assert "Second" in text(signed(member_of(acme)))


@pytest.mark.parametrize(("address", "queries"), [("/", 20), ("/usage", 10)])
def test_the_pages_cost_a_bounded_number_of_statements(
    acme: Tenant, address: str, queries: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(20):
        charge(acme, f"k{number}", properties={"tokens": 1})
    client = signed(member_of(acme))
    with django_assert_max_num_queries(queries):
        text(client, address)
