"""Every page on prices has a budget of statements, which does not grow with what it shows.

The budgets stand in tests/query_counts.json, the login session and the reader's groups (three) included.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from pricing.models import PlanVersion
from pricing.plans import apply_plan
from tests.billing.world import make_tenant

pytestmark = pytest.mark.django_db
BUDGETS: Final[dict[str, int]] = json.loads(
    (Path(__file__).resolve().parents[2] / "query_counts.json").read_text()
)["pricing pages"]
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
    few = counted(staff, address)
    for number in range(6):
        apply_plan({"plan": f"more-{number}", "currency": "USD"})
        make_tenant(version)
    assert (few, counted(staff, address)) == (BUDGETS[name], BUDGETS[name])


def counted(client: Client, address: str) -> int:
    """How many statements a page takes, with what a process keeps filled."""
    response: Any = client.get(address)
    assert response.status_code == 200
    with CaptureQueriesContext(connection) as captured:
        client.get(address)
    return len(captured)
