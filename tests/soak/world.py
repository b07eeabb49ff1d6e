"""Who the soak's clients call for: 20 payers with hard stops, of 6 customers, in three currencies.

`python -m tests.soak.world` makes them in the empty installation of its environment, and prints what clients
need as JSON. Strict customers only ever ask; of the open ones usage is reported, too.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.customers import create_customer  # noqa: E402
from accounts.integration_keys import issue_integration_key  # noqa: E402
from accounts.keys import issue_api_key  # noqa: E402
from accounts.models import Customer, Organization  # noqa: E402
from accounts.organizations import create_organization  # noqa: E402
from accounts.payers import assign_payer, create_billing_entity  # noqa: E402
from accounts.workspaces import create_workspace  # noqa: E402
from billing.limits.verbs import create_limit, owner_of  # noqa: E402
from billing.models import SpendLimit  # noqa: E402
from billing.subscriptions import start_subscription  # noqa: E402
from billing.wallets import grant_credit  # noqa: E402
from core import clock  # noqa: E402
from core.numbers import plain  # noqa: E402
from metering.models import Meter  # noqa: E402
from pricing.models import PlanVersion  # noqa: E402
from pricing.plans import apply_plan, publish_version  # noqa: E402

UNITS: Final = {"USD": Decimal(1), "JPY": Decimal(100), "KWD": Decimal("0.3")}
"""What a call of a thousand tokens costs about."""
CUSTOMERS: Final = [
    ("alpha", "USD", 4, True),
    ("beta", "JPY", 3, True),
    ("gamma", "KWD", 3, True),
    ("delta", "USD", 4, False),
    ("epsilon", "JPY", 3, False),
    ("zeta", "KWD", 3, False),
]
"""(name, currency, payers, whether it is strict)"""
SETTLEMENTS: Final = ["prepaid", "prepaid", "wallet_then_invoice", "invoice_only"]
METERS: Final = {
    "tokens": ("completion", "sum", "tokens"),
    "calls": ("completion", "count", None),
    "peak": ("completion", "max", "tokens"),
    "people": ("completion", "unique", "person"),
    "images": ("image", "sum", "images"),
}
PLANS: Final = ("one", "two")
SUBSCRIBED_DAYS: Final = 50
"""Longer than events may be late."""


def make() -> dict[str, Any]:
    """All of it."""
    now = clock.now()
    for key, (event, aggregation, path) in METERS.items():
        Meter.objects.create(
            key=key, name=key, event=event, aggregation=aggregation, property_path=path, created_at=now
        )
    versions = {
        (currency, is_strict): [_version(currency, plan, is_strict=is_strict) for plan in PLANS]
        for currency in UNITS
        for is_strict in (True, False)
    }
    return {
        "secret": issue_integration_key(name="soak", scopes=["admin"]).secret,
        "customers": [
            _customer(name, currency, payers, versions[currency, is_strict], is_strict=is_strict)
            for name, currency, payers, is_strict in CUSTOMERS
        ],
    }


def _version(currency: str, plan: str, *, is_strict: bool) -> PlanVersion:
    """A price list; the second one is dearer, and has other tiers. Open customers pay a fee, too."""
    unit, is_dear = UNITS[currency], plan == "two"
    price = unit / 1000 * (2 if is_dear else 1)
    tiers = [{"up_to": "5000", "unit_price": plain(price)}, {"up_to": None, "unit_price": plain(price / 2)}]
    volume = [
        {"up_to": "30", "unit_price": plain(unit / 20)},
        {"up_to": None, "unit_price": plain(unit / 25)},
    ]
    components: list[dict[str, Any]] = [
        {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": tiers, "included": "2000"},
        {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": plain(unit / 50)},
        {"key": "images", "meter": "images", "model": "volume", "tiers": volume},
        {"key": "people", "meter": "people", "model": "per_unit", "unit_price": plain(unit / 10)},
    ]
    if is_dear:
        components.append(
            {"key": "peak", "meter": "peak", "model": "per_unit", "unit_price": plain(unit / 10000)}
        )
    name = f"{'strict' if is_strict else 'open'}-{currency.lower()}-{plan}"
    document = {
        "plan": name,
        "name": name,
        "currency": currency,
        "interval": "month",
        "components": components,
    }
    if not is_strict:
        fee = {"key": "platform", "amount": plain(unit), "timing": "in_advance", "prorate": True}
        document["base_fees"] = [fee]
    return publish_version(apply_plan(document))


def _customer(
    name: str, currency: str, payers: int, versions: list[PlanVersion], *, is_strict: bool
) -> dict[str, Any]:
    customer, unit = create_customer(name=name, external_id=name), UNITS[currency]
    group = create_organization(customer=customer, name=name)
    divisions = [
        create_organization(customer=customer, name=side, parent=group) for side in ("north", "south")
    ]
    made = [
        _payer(
            customer, divisions[number % 2], f"{name}-{number}", currency, SETTLEMENTS[number], versions[0]
        )
        for number in range(payers)
    ]
    return {
        "id": customer.pk,
        "name": name,
        "currency": currency,
        "unit": plain(unit),
        "is_strict": is_strict,
        "plans": [version.public_id for version in versions],
        "payers": [payer for payer, _ in made],
        "places": [place for _, place in made],
        "limits": _limits(unit, group, divisions, made),
    }


def _payer(
    customer: Customer,
    division: Organization,
    name: str,
    currency: str,
    settlement: str,
    version: PlanVersion,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A payer with its subscription and money, and the workspace that it pays for at first."""
    now, unit = clock.now(), UNITS[currency]
    start = datetime(now.year, now.month, now.day, tzinfo=UTC) - timedelta(days=SUBSCRIBED_DAYS)
    bounds: dict[str, Any] = {"overdraft": Decimal(0)}
    if settlement != "prepaid":
        bounds = {"settlement": settlement, "credit_limit": unit * 15}
    payer = create_billing_entity(
        customer=customer, name=name, external_id=name, currency=currency, organization=division, **bounds
    )
    grant_credit(payer, unit * 15, kind="paid", effective_at=start)
    subscription = start_subscription(payer, version, starts_at=start)
    workspace = create_workspace(
        customer=customer, name=name, external_id=f"ws-{name}", organization=division
    )
    assign_payer(workspace, payer, from_=None)
    key = issue_api_key(workspace=workspace, name=name)
    made = {
        "id": payer.public_id,
        "row": payer.pk,
        "organizations": [division.pk, division.parent_id],
        "settlement": settlement,
        "credit_limit": None if settlement == "prepaid" else plain(unit * 15),
        "subscription": subscription.public_id,
    }
    place = {
        "workspace": workspace.external_id,
        "row": workspace.pk,
        "api_key": key.secret,
        "key_row": key.key.pk,
        "organizations": [division.pk, division.parent_id],
        "key": key.key,
        "entity": payer,
        "space": workspace,
    }
    return made, place


def _limits(
    unit: Decimal, group: Organization, divisions: list[Organization], made: list[tuple[Any, dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Limits at four levels: some are raised only, others moved up and down."""
    first, second = made[0][1], made[1][1]
    limits = [
        (create_limit(owner_of(api_key=first["key"]), unit * 10, window="rolling", hours=24), "moved"),
        (create_limit(owner_of(workspace=second["space"]), unit * 20), "raised"),
        (create_limit(owner_of(organization=group), unit * 50), "raised"),
        (create_limit(owner_of(organization=divisions[0]), unit * 40, window="day"), "moved"),
        (create_limit(owner_of(billing_entity=first["entity"]), unit * 30), "moved"),
    ]
    for _, place in made:
        for name in ("key", "entity", "space"):
            del place[name]
    return [_limit(limit, how) for limit, how in limits]


def _limit(limit: SpendLimit, how: str) -> dict[str, Any]:
    owner = limit.api_key_id or limit.workspace_id or limit.organization_id or limit.billing_entity_id
    return {
        "id": limit.public_id,
        "level": limit.level,
        "owner": owner,
        "window": limit.window,
        "amount": plain(limit.amount),
        "how": how,
    }


if __name__ == "__main__":
    print(json.dumps(make()))
