"""Every page on prices has a budget of statements, which does not grow with what it shows.

The budgets stand in tests/query_counts.json, the login session and the reader's groups (three) included.
"""

from __future__ import annotations

from typing import Final

import pytest
from django.test import Client

from pricing.models import PlanVersion
from pricing.plans import apply_plan
from tests.billing.world import make_tenant
from tests.statements import budgets, statements_of

pytestmark = pytest.mark.django_db
BUDGETS: Final = budgets("pricing pages")
PAGES: Final = {
    "plans": "/plans",
    "plan": "/plans/{plan}",
    "version": "/plan-versions/{old}",
    "compare": "/plan-versions/compare?old={old}&new={new}",
    "subscriptions": "/subscriptions",
}


def test_every_page_has_a_budget() -> None:
    assert set(BUDGETS) == set(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_keeps_its_budget_whatever_it_shows(staff: Client, version: PlanVersion, name: str) -> None:
    draft = apply_plan(version.content | {"trial": {"days": 7}})
    address = PAGES[name].format(plan=version.plan.key, old=version.public_id, new=draft.public_id)
    few = statements_of(staff, address)
    for number in range(6):
        apply_plan({"plan": f"more-{number}", "currency": "USD"})
        make_tenant(version)
    assert (few, statements_of(staff, address)) == (BUDGETS[name], BUDGETS[name])
