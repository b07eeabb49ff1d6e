"""Pages of price changes, simulations and the editor keep to a number of statements, whatever they show.

The budgets stand in tests/query_counts.json, the login session and the reader's groups (three) included.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.rollouts import announce_rollout, draft_rollout
from billing.simulations import request_simulation, run_simulations
from pricing.models import PlanVersion, Rollout, Simulation
from pricing.plans import apply_plan, publish_version
from tests.billing.pages.conftest import GRADUATED, NOW, signed
from tests.billing.world import Tenant, charge, make_tenant
from tests.statements import budgets, statements_of

pytestmark = pytest.mark.django_db
BUDGETS: Final = budgets("price pages")
PAGES: Final = {
    "price changes": "/price-changes",
    "new price change": "/price-changes/new",
    "cohort": "/price-changes/new?version={version}",
    "draft": "/price-changes/{draft}",
    "announce": "/price-changes/{draft}/announce",
    "watch": "/price-changes/{announced}",
    "progress": "/price-changes/{announced}/progress",
    "member of a price change": "/price-changes/{announced}/members/{member}",
    "simulations": "/simulations",
    "new simulation": "/simulations/new",
    "simulation": "/simulations/{simulation}",
    "compare metrics": "/compare-metrics",
    "editor": "/plans/{plan}/edit",
    "price to come": "/customers/{customer}/price-change",
    "own price to come": "/price-change",
}
MARCH: Final = datetime(2026, 3, 1, tzinfo=UTC)


def test_every_page_has_a_budget() -> None:
    assert set(BUDGETS) == set(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_keeps_its_budget_whatever_it_shows(
    staff: Client, acme: Tenant, version: PlanVersion, name: str
) -> None:
    client = staff
    if name == "own price to come":
        user = create_user(email="mo@acme.example")
        add_member(user, acme.customer, "owner")
        client = signed(user)
    few = statements_of(client, _address(acme, version, name, 0))
    many = statements_of(client, _address(acme, version, name, 6))
    assert (few, many) == (BUDGETS[name], BUDGETS[name])


def _address(acme: Tenant, version: PlanVersion, name: str, more: int) -> str:
    """The page, with so many more customers on the old version, and everything there is about them."""
    for number in range(more):
        charge(make_tenant(version), f"{name} {number}", Mode.REPORT, properties={"tokens": 500})
    for row in Rollout.objects.filter(status="announced"):
        Rollout.objects.filter(pk=row.pk).update(status="canceled", canceled_at=NOW)
        row.members.update(state="canceled")
    number = 1000 + more
    dearer = GRADUATED | {"included": str(number)}
    second = publish_version(apply_plan(version.content | {"components": [dearer]}))
    announced = announce_rollout(draft_rollout(second, timing="on_date", effective_at=MARCH))
    draft = draft_rollout(second, timing="on_date", effective_at=datetime(2026, 6, 1, tzinfo=UTC))
    asked = request_simulation([second], starts_at=datetime(2026, 1, 1, tzinfo=UTC), ends_at=NOW)
    run_simulations()
    return PAGES[name].format(
        version=second.public_id,
        plan=second.plan.key,
        draft=draft.public_id,
        announced=announced.public_id,
        member=announced.members.get(customer=acme.customer).public_id,
        simulation=Simulation.objects.get(pk=asked.pk).public_id,
        customer=acme.customer.public_id,
    )
