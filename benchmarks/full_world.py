"""The world of `charge_full`: payers for whom a charge has to look at everything.

`python -m benchmarks.full_world PAYERS` adds them to the installation of its environment, beside those of
`benchmarks.world`, and prints the names of their workspaces as JSON. Each has two meters that hear its calls,
a quota, a margin floor, three grants, and hard limits of its workspace, organization and payer.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import BillingEntity, Customer, Organization, PayerAssignment, Workspace  # noqa: E402
from benchmarks.world import BALANCE, TIERS, subscribe  # noqa: E402
from billing.models import SpendLimit  # noqa: E402
from core import clock  # noqa: E402
from metering.models import Meter  # noqa: E402
from pricing.models import PlanVersion  # noqa: E402
from pricing.plans import apply_plan, publish_version  # noqa: E402

EVENT: Final = "completion_full"
GRANTS: Final = 3


def fill(payers: int) -> list[str]:
    """Make the payers; the names of their workspaces."""
    now = clock.now()
    version = _version(now)
    customers = Customer.objects.bulk_create(
        Customer(name=f"Full {number}", external_id=f"full-{number}", created_at=now)
        for number in range(payers)
    )
    organizations = Organization.objects.bulk_create(
        Organization(customer=customer, name="Group", created_at=now) for customer in customers
    )
    entities = BillingEntity.objects.bulk_create(
        BillingEntity(
            customer=customer, name=customer.name, currency="USD", overdraft=Decimal(0), created_at=now
        )
        for customer in customers
    )
    workspaces = Workspace.objects.bulk_create(
        Workspace(
            customer=organization.customer,
            organization=organization,
            name="Main",
            external_id=f"full-workspace-{number}",
            created_at=now,
        )
        for number, organization in enumerate(organizations)
    )
    PayerAssignment.objects.bulk_create(
        PayerAssignment(customer=entity.customer, workspace=workspace, billing_entity=entity, created_at=now)
        for entity, workspace in zip(entities, workspaces, strict=True)
    )
    subscribe(entities, version, now, grants=GRANTS)
    _bound(workspaces, entities, now)
    return [str(workspace.external_id) for workspace in workspaces]


def _version(now: datetime) -> PlanVersion:
    for key in ("full_tokens", "full_calls"):
        aggregation = "count" if key == "full_calls" else "sum"
        path = None if key == "full_calls" else "tokens"
        Meter.objects.create(
            key=key, name=key, event=EVENT, aggregation=aggregation, property_path=path, created_at=now
        )
    components = [
        {"key": "tok", "meter": "full_tokens", "model": "graduated", "tiers": TIERS},
        {"key": "calls", "meter": "full_calls", "model": "per_unit", "unit_price": "0.0001"},
    ]
    plan: dict[str, Any] = {"plan": "full", "name": "Full", "currency": "USD", "interval": "month"}
    quota = {"feature": "tokens", "type": "metered", "meter": "full_tokens", "limit": "1000000000000"}
    floor = {"min_margin": "0.20", "min_volume": "50", "action": "deny"}
    return publish_version(
        apply_plan(plan | {"components": components, "entitlements": [quota], "margin_floor": floor})
    )


def _bound(workspaces: list[Workspace], entities: list[BillingEntity], now: datetime) -> None:
    common: dict[str, Any] = {
        "amount": BALANCE,
        "currency": "USD",
        "time_zone": "UTC",
        "created_at": now,
    }
    for workspace, entity in zip(workspaces, entities, strict=True):
        customer_id = workspace.customer_id
        SpendLimit.objects.bulk_create(
            [
                SpendLimit(
                    customer_id=customer_id, level="workspace", workspace=workspace, window="day", **common
                ),
                SpendLimit(
                    customer_id=customer_id,
                    level="organization",
                    organization_id=workspace.organization_id,
                    **common,
                ),
                SpendLimit(
                    customer_id=customer_id,
                    level="billing_entity",
                    billing_entity=entity,
                    window="rolling",
                    hours=24,
                    **common,
                ),
            ]
        )


if __name__ == "__main__":
    print(json.dumps(fill(int(sys.argv[1]))))
