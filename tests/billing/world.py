"""A small world for tests of the charge path: one plan, and payers on it, made with a few words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from accounts.models import BillingEntity, Customer, PayerAssignment, Workspace
from billing.charging import ChargeRequest, HoldTerms, Mode, Outcome, charge_many
from billing.models import LedgerAccount
from billing.wallets import top_up
from core import clock
from metering.events import parse_event
from metering.models import Meter
from pricing.models import PlanVersion, Subscription
from pricing.plans import apply_plan, publish_version

START = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = count(1)


@dataclass
class Tenant:
    """A customer with one payer, one workspace and perhaps one subscription."""

    customer: Customer
    payer: BillingEntity
    workspace: Workspace
    subscription: Subscription | None


def make_meter(key: str = "tokens", **fields: Any) -> Meter:
    defaults = {
        "name": key,
        "event": "completion",
        "aggregation": "sum",
        "property_path": None if fields.get("aggregation") == "count" else key,
        "created_at": START,
    }
    return Meter.objects.create(key=key, **(defaults | fields))


def make_version(components: list[dict[str, Any]], **terms: Any) -> PlanVersion:
    """A published version of a plan of its own; its meters exist already."""
    number = next(_numbers)
    document = {"plan": f"plan-{number}", "name": "Plan", "currency": "USD", "interval": "month"}
    return publish_version(apply_plan({**document, "components": components, **terms}))


def make_tenant(
    version: PlanVersion | None = None,
    *,
    starts_at: datetime = START,
    balance: str | None = None,
    **payer: Any,
) -> Tenant:
    number = next(_numbers)
    customer = Customer.objects.create(name=f"Customer {number}", external_id=f"c{number}", created_at=START)
    fields: dict[str, Any] = {"currency": "USD", "name": f"Payer {number}", "external_id": f"p{number}"}
    entity = BillingEntity.objects.create(customer=customer, created_at=START, **(fields | payer))
    workspace = Workspace.objects.create(
        customer=customer, name=f"Workspace {number}", external_id=f"w{number}", created_at=START
    )
    PayerAssignment.objects.create(
        customer=customer, workspace=workspace, billing_entity=entity, created_at=START
    )
    subscription = None
    if version is not None:
        subscription = Subscription.objects.create(
            customer=customer,
            billing_entity=entity,
            version=version,
            starts_at=starts_at,
            anchor_at=starts_at,
            created_at=START,
        )
    if balance is not None:
        top_up(entity, Decimal(balance))
    return Tenant(customer, entity, workspace, subscription)


def request(tenant: Tenant, key: str, mode: Mode = Mode.ASK, **fields: Any) -> ChargeRequest:
    raw = {"idempotency_key": key, "event": "completion", "workspace": tenant.workspace.external_id} | fields
    hold = HoldTerms(timedelta(minutes=10)) if mode is Mode.HOLD else None
    return ChargeRequest(parse_event(raw, clock.now()), mode, hold=hold)


def charge(tenant: Tenant, key: str, mode: Mode = Mode.ASK, **fields: Any) -> Outcome:
    (outcome,) = charge_many([request(tenant, key, mode, **fields)])
    return outcome


def balance(tenant: Tenant, kind: str = "wallet") -> Decimal:
    account = LedgerAccount.objects.filter(billing_entity_id=tenant.payer.pk, kind=kind).first()
    return account.balance if account else Decimal(0)
