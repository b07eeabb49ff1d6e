"""`/customers`: figures per currency, filters, order, pages, CSV."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import BillingEntity, Currency, Customer, PayerAssignment, Workspace
from billing.charging import Mode
from core import clock
from metering.models import ExchangeRate
from pricing.models import PlanVersion, Subscription
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
COST = [{"vendor": "v", "amount": "1.25", "currency": "USD"}]


def test_a_customer_is_listed_with_usage_revenue_cost_margin_and_balance(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 300}, costs=COST)  # 100 free, 200 at 0.01
    charge(acme, "b", properties={"tokens": 100})  # its cost is not known
    (row,) = rows(staff, "/customers?export=csv")
    assert row == {
        "customer": acme.customer.name,
        "id": acme.customer.public_id,
        "external_id": acme.customer.external_id,
        "status": "active",
        "currency": "USD",
        "events": "2",
        "costed": "1",
        "revenue": "3",
        "cost": "1.25",
        "cost_coverage": "0.5",
        "margin": "1.75",
        "margin_rate": "0.583333333333333333",
        "wallet": "17",
        "owed": "0",
        "balance": "17",
        "payers": "1",
    }
    text = read(staff, "/customers")
    assert "2 USD 3.00 USD 1.25 50% USD 1.75 58.3% USD 17.00" in text
    assert "1 Jan 2026 to 15 Jan 2026" in text


def test_an_event_counts_in_the_month_of_its_payers_clock(staff: Client, version: PlanVersion) -> None:
    late = "2026-01-31T23:30:00-05:00"  # in February by UTC
    clock.use(lambda: datetime(2026, 2, 10, tzinfo=UTC))
    new_york = make_tenant(version, time_zone="America/New_York")
    tokyo = make_tenant(version, time_zone="Asia/Tokyo")
    for tenant in (new_york, tokyo):
        charge(tenant, "a", Mode.REPORT, properties={"tokens": 200}, occurred_at=late)
    january = rows(staff, "/customers?export=csv&period=last_month&sort=name")
    february = rows(staff, "/customers?export=csv&sort=name")
    assert [row["events"] for row in january] == ["1", "0"]
    assert [row["events"] for row in february] == ["0", "1"]


def test_a_customer_with_two_currencies_shows_each_and_no_sum(staff: Client, version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="10")
    euros = make_version([PER_TOKEN], currency="EUR")
    _add_payer(tenant, "EUR", euros)
    charge(tenant, "a", properties={"tokens": 300})
    charge(tenant, "b", Mode.REPORT, workspace="second", properties={"tokens": 50})
    found = rows(staff, "/customers?export=csv")
    assert [(row["currency"], row["revenue"]) for row in found] == [("EUR", "0.5"), ("USD", "2")]
    text = read(staff, "/customers")
    assert "EUR 0.50 USD 2.00" in text
    assert "Currencies are never added up" in text
    assert "2.50" not in text


def test_margins_are_not_comparable_without_an_exchange_rate(staff: Client, version: PlanVersion) -> None:
    dinars = make_version([PER_TOKEN], currency="KWD")
    tenant = make_tenant(dinars, currency="KWD", balance="5")
    charge(tenant, "a", properties={"tokens": 10}, costs=COST)
    text = read(staff, "/customers")
    assert "KWD 0.100 \u2013 no value 0% \u2013 no value not comparable" in text
    ExchangeRate.objects.create(
        base="USD", quote="KWD", rate=Decimal("0.3"), starts_at=START, created_at=START
    )
    charge(tenant, "b", properties={"tokens": 100}, costs=COST)
    text = read(staff, "/customers")
    assert "not comparable" not in text
    assert "KWD 0.375 50% KWD 0.725" in text


def test_amounts_of_several_currencies_are_ordered_by_what_they_are_worth(
    staff: Client, version: PlanVersion
) -> None:
    ExchangeRate.objects.create(
        base="JPY", quote="USD", rate=Decimal("0.01"), starts_at=START, created_at=START
    )
    yen, dinars = make_version([PER_TOKEN], currency="JPY"), make_version([PER_TOKEN], currency="KWD")
    tenants = {
        "dollars": make_tenant(version),
        "yen": make_tenant(yen, currency="JPY"),
        "dinars": make_tenant(dinars, currency="KWD"),
    }
    for name, tokens in {"dollars": 1100, "yen": 5000, "dinars": 9000}.items():
        Customer.objects.filter(pk=tenants[name].customer.pk).update(name=name)
        charge(tenants[name], "a", Mode.REPORT, properties={"tokens": tokens})
    order = [row["customer"] for row in rows(staff, "/customers?export=csv")]
    assert order == ["dollars", "yen", "dinars"]  # USD 10, JPY 50 = USD 0.50, and one without a rate


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=suspended", ["beta"]),
        ("status=no_such", ["alpha", "beta", "gamma"]),
        ("currency=EUR", ["gamma"]),
        ("settlement=invoice_only", ["gamma"]),
        ("below_cost=on", ["beta"]),
        ("q=ALPH", ["alpha"]),
        ("q=crm-2", ["beta"]),
        ("q=nobody", []),
        ("q=%00", ["alpha", "beta", "gamma"]),
    ],
)
def test_customers_are_searched_and_filtered(
    staff: Client, version: PlanVersion, query: str, expected: list[str]
) -> None:
    _cast(version)
    found = rows(staff, f"/customers?export=csv&sort=name&{query}")
    assert [row["customer"] for row in found] == expected


def test_totals_follow_the_filter_when_htmx_asks(staff: Client, version: PlanVersion) -> None:
    _cast(version)
    whole = page(staff, "/customers?status=suspended")
    assert "<!doctype html>" in whole.lower()
    part = page(staff, "/customers?status=suspended", htmx="customers-table")
    assert part.lstrip().startswith('<div class="listing-region"')
    assert 'id="customers-totals" aria-label="Totals by currency" hx-swap-oob="true"' in part
    assert "alpha" not in part


def test_a_page_has_fifty_customers_and_leads_on(staff: Client) -> None:
    Customer.objects.bulk_create(
        Customer(name=f"Customer {n:03}", external_id=f"x{n}", created_at=START) for n in range(60)
    )
    first, second = read(staff, "/customers?sort=name"), read(staff, "/customers?sort=name&page=2")
    assert "1 to 50 of 60" in first
    assert "Customer 059" not in first
    assert "Customer 059" in second


def test_dates_that_are_not_used_leave_the_address(staff: Client, acme: Tenant) -> None:
    found = page(staff, "/customers?period=last_month&start=2026-01-02&end=2026-01-03")
    assert 'href="?period=last_month&amp;export=csv"' in found
    custom = read(staff, "/customers?period=custom&start=2026-01-03&end=2026-01-02")
    assert "2 Jan 2026 to 3 Jan 2026" in custom


@pytest.mark.parametrize("dates", ["start=x&end=y", "start=0001-01-01", "end=9999-12-31", "start=&end="])
def test_dates_that_make_no_sense_do_no_harm(staff: Client, acme: Tenant, dates: str) -> None:
    assert "Customers" in read(staff, f"/customers?period=custom&{dates}")


def test_an_installation_without_customers_says_so(staff: Client) -> None:
    assert "No customers yet" in read(staff, "/customers")
    assert rows(staff, "/customers?export=csv") == []


def test_names_with_html_and_formulas_are_harmless(staff: Client) -> None:
    Customer.objects.create(name="<script>alert(1)</script>", created_at=START)
    Customer.objects.create(name="=1+1", created_at=START)
    assert "<script>alert(1)" not in page(staff, "/customers")
    assert [row["customer"] for row in rows(staff, "/customers?export=csv&sort=name")] == [
        "<script>alert(1)</script>",
        "'=1+1",
    ]


def test_huge_amounts_and_credits_are_shown_whole(staff: Client) -> None:
    Currency.objects.create(
        code="CREDITS", name="c", decimals=0, price=Decimal(1), price_currency="USD", created_at=START
    )
    make_tenant(currency="CREDITS", balance="12345678901234567890.5")
    make_meter("other")
    assert "CREDITS 12,345,678,901,234,567,891" in read(staff, "/customers")


def _add_payer(tenant: Tenant, currency: str, version: PlanVersion) -> None:
    """A second payer of the tenant's customer, who pays for the workspace `second`."""
    own: dict[str, Any] = {"customer": tenant.customer, "created_at": START}
    payer = BillingEntity.objects.create(name="Second", currency=currency, **own)
    space = Workspace.objects.create(name="Second", external_id="second", **own)
    PayerAssignment.objects.create(workspace=space, billing_entity=payer, **own)
    Subscription.objects.create(
        billing_entity=payer, version=version, starts_at=START, anchor_at=START, **own
    )


def _cast(version: PlanVersion) -> None:
    euros = make_version([PER_TOKEN], currency="EUR")
    alpha, beta = make_tenant(version, balance="10"), make_tenant(version)
    gamma = make_tenant(euros, currency="EUR", settlement="invoice_only")
    for number, (tenant, name) in enumerate(((alpha, "alpha"), (beta, "beta"), (gamma, "gamma")), start=1):
        Customer.objects.filter(pk=tenant.customer.pk).update(name=name, external_id=f"crm-{number}")
    charge(alpha, "a", properties={"tokens": 300}, costs=COST)
    charge(beta, "b", Mode.REPORT, properties={"tokens": 110}, costs=COST)
    BillingEntity.objects.filter(pk=beta.payer.pk).update(status="suspended")
