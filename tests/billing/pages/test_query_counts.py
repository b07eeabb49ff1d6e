"""Every page has a budget of statements, which does not grow with what it shows.

The budgets stand in tests/query_counts.json, the login session and the reader's groups (three) included.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest
from django.test import Client

from accounts.keys import issue_api_key
from billing.charging import Mode, charge_many
from billing.models import CreditGrant
from billing.wallets import grant_credit
from core.ids import hot_id
from metering.models import UsageEvent
from pricing.models import PlanVersion
from tests.billing.world import Tenant, charge, make_tenant, request
from tests.statements import budgets, statements_of

pytestmark = pytest.mark.django_db
BUDGETS: Final = budgets("staff pages")
PAGES: Final = {
    "customers": "/customers",
    "customers (fragment)": "/customers",
    "customer": "/customers/{customer}",
    "customer latest": "/customers/{customer}/latest",
    "customer charges": "/customers/{customer}/charges",
    "customer payers": "/customers/{customer}/payers",
    "customer workspaces": "/customers/{customer}/workspaces",
    "customer keys": "/customers/{customer}/keys",
    "customer grants": "/customers/{customer}/grants",
    "customer grant": "/customers/{customer}/grants/{grant}",
    "customer denials": "/customers/{customer}/denials",
    "customer audit": "/customers/{customer}/audit",
    "charges": "/charges",
    "charges of one": "/charges?customer={customer}",
    "charge": "/charges/{charge}",
    "events": "/events",
    "events of one": "/events?customer={customer}",
    "event": "/events/{event}",
    "trace": "/traces/{customer}/job",
}


def test_every_page_has_a_budget() -> None:
    assert set(BUDGETS) == set(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_keeps_its_budget_whatever_it_shows(
    staff: Client, acme: Tenant, version: PlanVersion, name: str
) -> None:
    _grow(acme, 1, version)
    address = _address(acme, name)
    headers = {"hx-request": "true", "hx-target": "customers-table"} if "fragment" in name else {}
    few = statements_of(staff, address, headers)
    _grow(acme, 12, version)
    many = statements_of(staff, address, headers)
    assert (few, many) == (BUDGETS[name], BUDGETS[name])


def _grow(tenant: Tenant, more: int, version: PlanVersion) -> None:
    """More of everything that pages list, whose size must not show in the number of statements."""
    mark = UsageEvent.objects.count()
    for n in range(mark, mark + more):
        issue_api_key(workspace=tenant.workspace, name=f"key {n}", user=None)
        grant_credit(tenant.payer, Decimal(1), name=f"grant {n}")
        charge(tenant, f"denied {n}", properties={"tokens": 10**7})
        charge_many([request(make_tenant(version), f"other {n}", Mode.REPORT, properties={"tokens": 200})])
    requests = [
        request(tenant, f"{mark} {n}", Mode.REPORT, trace="job", properties={"tokens": 2000})
        for n in range(more)
    ]
    unheard = [request(tenant, f"{mark} u{n}", Mode.REPORT, event="misspelt") for n in range(more)]
    charge_many([*requests, *unheard])


def _address(tenant: Tenant, name: str) -> str:
    event = UsageEvent.objects.filter(customer_id=tenant.customer.pk, unmatched=False).latest("seq")
    grant = CreditGrant.objects.filter(billing_entity_id=tenant.payer.pk).earliest("pk")
    return PAGES[name].format(
        customer=tenant.customer.public_id,
        charge=hot_id("ch", event.customer_id, event.id),
        event=event.public_id,
        grant=grant.public_id,
    )
