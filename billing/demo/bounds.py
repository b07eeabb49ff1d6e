"""What bounds spend in the demo: limits at several levels, some nearly full, and calls that hold money."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from accounts.models import ApiKey
from billing.authorizations import authorization_request
from billing.charging import charge_many
from billing.demo import cast
from billing.demo.clockwork import Hands
from billing.demo.stage import Tenant
from billing.limits.verbs import create_limit, owner_of
from billing.models import SpendLimit

Tenants = Mapping[str, Tenant]
Kind, Window, SetBy = SpendLimit.Kind, SpendLimit.Window, SpendLimit.SetBy
HELD: Final = (("fathom", 3600), ("orchard", 7200), ("atlas", 21_600), ("meridian", 43_200))
"""Who holds money for a long answer that is being written, and for how many seconds."""


def set_limits(tenants: Tenants) -> None:
    """Staff's and customers' limits: hard and soft, of a payer, a division, a workspace and a key."""
    lumen, fathom, quill = tenants[cast.RUNNING_OUT], tenants["fathom"], tenants[cast.MISSPELT]
    create_limit(owner_of(billing_entity=lumen.payers[0]), Decimal(400))
    create_limit(
        owner_of(billing_entity=lumen.payers[0]), Decimal(200), kind=Kind.SOFT, set_by=SetBy.CUSTOMER
    )
    staging = next(one for one in lumen.workspaces if one.external_id == "lumen-staging")
    create_limit(owner_of(workspace=staging), Decimal(5), window=Window.DAY, set_by=SetBy.CUSTOMER)
    retail = tenants[cast.TREE].payers[1].organization
    assert retail is not None
    create_limit(owner_of(organization=retail), Decimal(2500))
    key = ApiKey.objects.filter(workspace=fathom.workspaces[0]).order_by("pk")[0]
    create_limit(owner_of(api_key=key), Decimal(20), window=Window.ROLLING, hours=24, kind=Kind.SOFT)
    create_limit(owner_of(workspace=quill.workspaces[0]), Decimal(12), window=Window.DAY)


def hold_some(tenants: Tenants, hands: Hands) -> None:
    """Calls that are under way: their money is held. At the present instant."""
    requests = [
        authorization_request(_answer(tenants[slug], number, seconds), hands.at)
        for number, (slug, seconds) in enumerate(HELD)
    ]
    charge_many(requests)


def _answer(tenant: Tenant, number: int, seconds: int) -> dict[str, Any]:
    """A long answer of a language model, as it is expected."""
    expected = {"provider": "openai", "model": "gpt-4o", "input_tokens": 90_000, "output_tokens": 12_000}
    return {
        "idempotency_key": f"answer-{tenant.actor.slug}-{number}",
        "event": "completion",
        "workspace": tenant.references[0],
        "properties": expected,
        "expires_in": seconds,
    }
