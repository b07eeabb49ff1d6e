"""A customer with two divisions and a payer for each, under limits at three levels.

`python -m tests.faults.limits_world` makes it in the installation of its environment, beside what is there,
and prints what callers need as JSON.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.customers import create_customer  # noqa: E402
from accounts.integration_keys import issue_integration_key  # noqa: E402
from accounts.keys import issue_api_key  # noqa: E402
from accounts.organizations import create_organization  # noqa: E402
from accounts.payers import assign_payer, create_billing_entity  # noqa: E402
from accounts.workspaces import create_workspace  # noqa: E402
from billing.limits.verbs import create_limit, owner_of  # noqa: E402
from billing.wallets import top_up  # noqa: E402
from core import clock  # noqa: E402
from metering.models import Meter  # noqa: E402
from pricing.models import Subscription  # noqa: E402
from pricing.plans import apply_plan, publish_version  # noqa: E402

KEY_LIMIT, WORKSPACE_LIMIT, ORGANIZATION_LIMIT = 60, 150, 240
"""In units of what one call costs."""


def make() -> dict[str, Any]:
    """The world: two workspaces, `north` with an API key, each paid for by its division's payer."""
    now = clock.now()
    Meter.objects.create(key="calls", name="Calls", event="call", aggregation="count", created_at=now)
    component = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "1"}
    plan: dict[str, Any] = {"plan": "bounded", "name": "Bounded", "currency": "USD", "interval": "month"}
    version = publish_version(apply_plan(plan | {"components": [component]}))
    customer = create_customer(name="Group", external_id="group")
    group = create_organization(customer=customer, name="Group")
    made: dict[str, Any] = {"limits": {}, "payers": {}}
    made["version"] = version.public_id
    for name in ("north", "south"):
        division = create_organization(customer=customer, name=name, parent=group)
        payer = create_billing_entity(
            customer=customer, name=name, currency="USD", organization=division, overdraft=Decimal(0)
        )
        workspace = create_workspace(customer=customer, name=name, external_id=name, organization=division)
        assign_payer(workspace, payer, from_=None)
        start = datetime(now.year, now.month, 1, tzinfo=UTC)
        Subscription.objects.create(
            customer=customer,
            billing_entity=payer,
            version=version,
            starts_at=start,
            anchor_at=start,
            created_at=now,
        )
        top_up(payer, Decimal(100_000))
        made["payers"][name] = payer.public_id
        if name == "north":
            key = issue_api_key(workspace=workspace, name="north")
            made |= {"secret": key.secret, "key": key.key.public_id}
            made["limits"]["api_key"] = create_limit(
                owner_of(api_key=key.key), Decimal(KEY_LIMIT), window="rolling", hours=24
            ).public_id
            made["limits"]["workspace"] = create_limit(
                owner_of(workspace=workspace), Decimal(WORKSPACE_LIMIT), window="billing_period"
            ).public_id
    made["limits"]["organization"] = create_limit(
        owner_of(organization=group), Decimal(ORGANIZATION_LIMIT)
    ).public_id
    made["admin"] = issue_integration_key(name="limits", scopes=["admin"]).secret
    return made


if __name__ == "__main__":
    print(json.dumps(make()))
