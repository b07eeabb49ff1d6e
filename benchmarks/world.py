"""The world that is measured: payers with prepaid wallets on one graduated price.

`python -m benchmarks.world PAYERS` fills the installation of its environment, which is empty, by a few
statements, and prints what callers need as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.models import BillingEntity, Customer, IntegrationKey, PayerAssignment, Workspace  # noqa: E402
from accounts.secrets import INTEGRATION, new_secret  # noqa: E402
from benchmarks.calls import Callers  # noqa: E402
from billing.models import CreditGrant  # noqa: E402
from core import clock  # noqa: E402
from metering.models import Meter  # noqa: E402
from pricing.models import PlanVersion, Subscription  # noqa: E402
from pricing.plans import apply_plan, publish_version  # noqa: E402

TIERS: Final = [
    {"up_to": "10000", "unit_price": "0.00001"},
    {"up_to": "1000000", "unit_price": "0.000005"},
    {"up_to": None, "unit_price": "0.000002"},
]
BALANCE: Final = Decimal(1_000_000)


def fill(payers: int) -> Callers:
    """Make the payers; each has a customer, a workspace, a subscription and credit."""
    now = clock.now()
    version = _version(now)
    customers = Customer.objects.bulk_create(
        Customer(name=f"Customer {number}", external_id=f"customer-{number}", created_at=now)
        for number in range(payers)
    )
    entities = BillingEntity.objects.bulk_create(
        BillingEntity(
            customer=customer, name=customer.name, currency="USD", overdraft=Decimal(0), created_at=now
        )
        for customer in customers
    )
    workspaces = Workspace.objects.bulk_create(
        Workspace(customer=customer, name="Main", external_id=f"workspace-{number}", created_at=now)
        for number, customer in enumerate(customers)
    )
    PayerAssignment.objects.bulk_create(
        PayerAssignment(customer=entity.customer, workspace=workspace, billing_entity=entity, created_at=now)
        for entity, workspace in zip(entities, workspaces, strict=True)
    )
    subscribe(entities, version, now)
    return Callers(_key(now), [f"workspace-{number}" for number in range(payers)])


def _version(now: datetime) -> PlanVersion:
    tokens = {"event": "completion", "aggregation": "sum", "property_path": "tokens", "created_at": now}
    Meter.objects.create(key="tokens", name="Tokens", **tokens)
    component = {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}
    plan: dict[str, Any] = {"plan": "pro", "name": "Pro", "currency": "USD", "interval": "month"}
    return publish_version(apply_plan(plan | {"components": [component]}))


def subscribe(entities: list[BillingEntity], version: PlanVersion, now: datetime, *, grants: int = 1) -> None:
    """Subscriptions, and grants that begin a day apart.

    The first charge of each payer makes its segment and books its grants, as in life.
    """
    start = datetime(now.year, now.month, 1, tzinfo=UTC) - timedelta(days=31)
    Subscription.objects.bulk_create(
        Subscription(
            customer_id=entity.customer_id,
            billing_entity=entity,
            version=version,
            starts_at=start,
            anchor_at=start,
            created_at=now,
        )
        for entity in entities
    )
    CreditGrant.objects.bulk_create(
        CreditGrant(
            customer_id=entity.customer_id,
            billing_entity_id=entity.pk,
            kind=CreditGrant.Kind.PAID,
            amount=BALANCE,
            remaining=BALANCE,
            effective_at=start + timedelta(days=number),
            created_at=now,
        )
        for entity in entities
        for number in range(grants)
    )


def _key(now: datetime) -> str:
    secret = new_secret(INTEGRATION)
    IntegrationKey.objects.create(
        name="Benchmark",
        prefix=secret.prefix,
        fingerprint=secret.fingerprint,
        scopes=["charges:write", "events:write"],
        created_at=now,
    )
    return secret.text


if __name__ == "__main__":
    print(json.dumps(asdict(fill(int(sys.argv[1])))))
