"""Pages of limits, holds, denials and overspend keep to a number of statements, whatever they show.

The budgets stand in tests/query_counts.json, the login session and the reader's groups (three) included.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.authorizations import authorization_request
from billing.charging import Mode, charge_many
from billing.limits.verbs import create_limit, owner_of
from billing.models import Authorization
from core import clock
from pricing.models import PlanVersion
from tests.billing.pages.conftest import GRADUATED, signed
from tests.billing.pages.refused import deny_at_every_level
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.statements import budgets, statements_of

pytestmark = pytest.mark.django_db
BUDGETS: Final = budgets("bound pages")
PAGES: Final = {
    "denials": "/denials",
    "denials of a customer": "/customers/{customer}/denials",
    "overspend": "/overspend",
    "hold": "/holds/{hold}",
    "holds": "/holds",
    "limits": "/spend-limits",
    "limits by fill": "/spend-limits?sort=-filled&full=0.8",
    "limits of a customer": "/customers/{customer}/limits",
    "new limit": "/customers/{customer}/limits/new",
    "own limits": "/limits",
    "own refused calls": "/refused-calls",
}


@pytest.fixture
def version() -> PlanVersion:
    """With a quota on its meter."""
    make_meter()
    quota = {"feature": "many", "type": "metered", "meter": "tokens", "limit": "100000", "reset": "month"}
    return make_version([GRADUATED], entitlements=[quota])


def test_every_page_has_a_budget() -> None:
    assert set(BUDGETS) == set(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_keeps_its_budget_whatever_it_shows(
    staff: Client, acme: Tenant, version: PlanVersion, name: str
) -> None:
    client = staff
    if name.startswith("own "):
        user = create_user(email="mo@acme.example")
        add_member(user, acme.customer, "owner")
        client = signed(user)
    _fill(acme, "first")
    hold = Authorization.objects.get(customer_id=acme.customer.pk).public_id
    address = PAGES[name].format(customer=acme.customer.public_id, hold=hold)
    few = statements_of(client, address)
    for number in range(4):
        _fill(make_tenant(version, balance="20", overdraft=Decimal(0)), f"more {number}")
    many = statements_of(client, address)
    assert (few, many) == (BUDGETS[name], BUDGETS[name])


def _fill(tenant: Tenant, key: str) -> None:
    """A limit, an alert, a hold, a denial at each level and an overspend of one customer."""
    create_limit(owner_of(billing_entity=tenant.payer), Decimal(10))
    create_limit(owner_of(workspace=tenant.workspace), Decimal(50), window="day")
    charge(tenant, f"{key} charged", properties={"tokens": 900})
    body = {"idempotency_key": f"{key} held", "workspace": tenant.workspace.external_id, "amount": "1"}
    charge_many([authorization_request(body, clock.now())])
    charge(tenant, f"{key} refused", properties={"tokens": 9000})
    deny_at_every_level(tenant)
    charge(tenant, f"{key} below", Mode.REPORT, properties={"tokens": 9000})
