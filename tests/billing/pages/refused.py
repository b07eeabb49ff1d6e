"""Denials at every level that there is, for pages that name them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.keys import issue_api_key
from accounts.models import Organization
from billing.models import Denial
from metering.models import Meter
from tests.billing.pages.conftest import NOW
from tests.billing.world import Tenant


def deny_at_every_level(tenant: Tenant, at: datetime = NOW) -> dict[str, str]:
    """A denial at each level, as the charge path writes them; gives the ids of whose they are, by level."""
    own: dict[str, Any] = {"customer": tenant.customer, "created_at": at}
    key = issue_api_key(workspace=tenant.workspace, name="ci").key
    assert tenant.subscription is not None
    ids = {
        "billing_entity": tenant.payer.public_id,
        "workspace": tenant.workspace.public_id,
        "api_key": key.public_id,
        "organization": Organization.objects.create(name="Research", **own).public_id,
        "meter": Meter.objects.get(key="tokens").public_id,
        "subscription": tenant.subscription.public_id,
        "entitlement": "tokens_a_month",
    }
    whose = {
        "customer_id": tenant.customer.pk,
        "billing_entity_id": tenant.payer.pk,
        "workspace_id": tenant.workspace.pk,
    }
    for level, level_id in ids.items():
        reason = level if level == "entitlement" else "spend_limit"
        call = {"event": "completion", "idempotency_key": level, "occurred_at": at, "denied_at": at}
        bound = {"expected_amount": 3, "available": 9, "limit": Decimal("5.5"), "used": 4}
        Denial.objects.create(level=level, level_id=level_id, reason=reason, **whose, **call, **bound)
    return ids
