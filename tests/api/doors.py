"""Every endpoint that writes, with a body that it takes; and a small world in which the body makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from accounts.secrets import fingerprint
from billing.models import Discrepancy
from core.models import ParkedMessage
from metering.models import QuarantinedEvent, UsageEvent
from tests.accounts.caller import Answer, Caller, caller_with
from tests.api.call_doors import hold_bodies, job_bodies, margin_bodies, outside_bodies, proof_bodies
from tests.api.reconciliation_doors import make_discrepancy, make_parked, reconciliation_bodies
from tests.api.rollout_doors import rollout_bodies, rollout_body
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
TYPES = {
    "invalid_request": {400, 405, 406, 415, 422},
    "authentication": {401},
    "permission": {403},
    "payment_required": {402},
    "not_found": {404},
    "conflict": {409},
    "too_large": {413},
    "rate_limited": {429},
}


INSTANT = "2026-01-05T09:30:00Z"
Bodies = dict[tuple[str, str], dict[str, Any]]


@dataclass
class World:
    """One customer who pays in advance, and an admin key."""

    caller: Caller
    tenant: Tenant
    version: str
    waiting: str
    discrepancy: Discrepancy
    parked: ParkedMessage
    rollout: str = ""
    hold: str = ""
    lease: str = ""

    @property
    def workspace(self) -> str:
        return str(self.tenant.workspace.external_id)

    @property
    def payer(self) -> str:
        return self.tenant.payer.public_id

    @property
    def unheard(self) -> str:
        """The event that no meter hears."""
        return UsageEvent.objects.get(idempotency_key="unheard").public_id

    def event(self, key: str, **fields: Any) -> dict[str, Any]:
        """An event that costs 1."""
        body = {"idempotency_key": key, "event": "completion", "workspace": self.workspace}
        return {**body, "properties": {"tokens": 100}} | fields


def make_world() -> World:
    """The world, with one event in quarantine and one that no meter hears, both under keys of their own."""
    make_meter()
    version = make_version([PER_TOKEN])
    tenant = make_tenant(version, balance="1000", overdraft=Decimal(0))
    caller = caller_with("admin")
    lost = {"idempotency_key": "lost", "event": "completion", "workspace": "nowhere"}
    assert caller.post("/v1/events", {"events": [lost]}).json["quarantined"] == 1
    waiting = QuarantinedEvent.objects.get().public_id
    discrepancy = make_discrepancy(tenant.customer.pk)
    world = World(caller, tenant, version.public_id, waiting, discrepancy, make_parked())
    assert tenant.subscription is not None
    change = rollout_body(world.version, tenant.subscription.public_id, tenant.customer.public_id)
    world.rollout = caller.made("/v1/rollouts", change)["id"]
    world.hold = caller.made("/v1/authorizations", world.event("held"))["id"]
    world.lease = caller.made("/v1/leases", {"workspace": world.workspace, "amount": "1"})["id"]
    return world


def bodies(world: World) -> Bodies:
    """(method, path) -> a body, of every door that takes one; there is an event to reverse then."""
    unheard = world.event("unheard") | {"event": "unheard"}
    assert caller_with("events:write").post("/v1/events", {"events": [unheard]}).status == 200
    return (
        _billing(world)
        | hold_bodies(world)
        | proof_bodies(world)
        | _pricing(world)
        | _subscriptions(world)
        | _rollouts(world)
        | _metering()
        | _tenants(world)
        | _accounts(world)
        | margin_bodies(world)
        | outside_bodies(world)
        | job_bodies(world)
        | reconciliation_bodies(world.tenant.customer.public_id, world.discrepancy)
    )


def _billing(world: World) -> Bodies:
    payer = world.payer
    return {
        ("POST", "/v1/charges"): world.event("door")
        | {
            "occurred_at": INSTANT,
            "user": "u",
            "trace": "t",
            "costs": [{"vendor": "v", "amount": "0.1", "currency": "USD"}],
        },
        ("POST", "/v1/events"): {"events": [world.event("door-2")]},
        ("POST", "/v1/top-ups"): {
            "billing_entity": payer,
            "amount": "5",
            "price": "5",
            "price_currency": "USD",
            "reference": "r",
            "expires_at": "2999-01-01T00:00:00Z",
        },
        ("POST", "/v1/credit-grants"): {
            "billing_entity": payer,
            "amount": "5",
            "kind": "paid",
            "name": "n",
            "priority": 5,
            "components": ["tok"],
            "cost_basis": "1",
            "effective_at": INSTANT,
            "expires_at": "2999-01-01T00:00:00Z",
        },
        ("POST", "/v1/adjustments"): {"billing_entity": payer, "amount": "-1", "reason": "r"},
        ("POST", "/v1/backfills"): {
            "billing_entity": payer,
            "event": "completion",
            "from": INSTANT,
            "to": INSTANT,
        },
        ("POST", "/v1/reversals"): {
            "idempotency_key": "door-reversal",
            "event": "unheard",
            "customer": world.tenant.customer.public_id,
            "reason": "r",
        },
        ("POST", "/v1/spend-limits"): {
            "billing_entity": payer,
            "meter": "tokens",
            "amount": "100",
            "currency": "USD",
            "kind": "soft",
            "window": "rolling",
            "hours": 24,
            "time_zone": "UTC",
            "thresholds": [50, 100],
            "set_by": "customer",
        },
        ("POST", f"/v1/quarantine/{world.waiting}/release"): {},
        ("POST", f"/v1/quarantine/{world.waiting}/write-off"): {},
    }


def _subscriptions(world: World) -> Bodies:
    payer, subscription = world.payer, world.tenant.subscription
    assert subscription is not None
    address = f"/v1/subscriptions/{subscription.public_id}"
    change = {"plan_version": world.version, "quantities": {}, "at": "period_end", "reason": "r"}
    cancellation = {"at": "2999-01-01T00:00:00Z", "credit_unused": True, "reason": "r"}
    return {
        ("POST", "/v1/subscriptions"): {
            "billing_entity": payer,
            "plan_version": world.version,
            "external_id": "s",
            "starts_at": INSTANT,
            "ends_at": "2026-02-01T00:00:00Z",
            "anchor_at": INSTANT,
            "quantities": {"seats": "1"},
        },
        ("POST", f"{address}/change"): change,
        ("POST", f"{address}/change/preview"): change,
        ("POST", f"{address}/pause"): {"at": "2998-01-01T00:00:00Z", "reason": "r"},
        ("POST", f"{address}/resume"): {"at": "2999-01-01T00:00:00Z", "reason": "r"},
        ("POST", f"{address}/withdraw"): {"change": "subch_00000001", "reason": "r"},
        ("POST", f"{address}/cancel"): cancellation,
        ("POST", f"{address}/cancel/preview"): cancellation,
    }


def _pricing(world: World) -> Bodies:
    payer = world.payer
    plan = {"plan": "door", "name": "Door", "currency": "USD", "interval": "month", "components": [PER_TOKEN]}
    return {
        ("POST", "/v1/plans"): plan,
        ("POST", "/v1/plan-versions"): plan,
        ("POST", "/v1/plans/validate"): plan,
        ("POST", "/v1/plans/apply"): {"plans": [plan]},
        ("POST", "/v1/plans/diff"): {"yaml": "plan: door\ncurrency: USD\n"},
        ("POST", "/v1/plan-versions?"): {
            "base": world.version,
            "customer": world.tenant.customer.public_id,
            "overrides": {
                "name": "Acme",
                "components": {"tok": {"unit_price": "0.009"}},
                "discounts": [{"percent": "5", "components": ["tok"]}],
            },
        },
        ("POST", f"/v1/plan-versions/{world.version}/publish"): {},
        ("POST", f"/v1/plan-versions/{world.version}/retire"): {},
        ("POST", "/v1/coupons"): {
            "key": "door",
            "name": "n",
            "percent": "10",
            "periods": 3,
            "max_redemptions": 5,
            "redeem_before": "2999-01-01T00:00:00Z",
            "components": ["tok"],
            "plans": ["door"],
        },
        ("POST", f"/v1/billing-entities/{payer}/upcoming"): plan,
        ("POST", "/v1/simulations"): {
            "versions": [world.version],
            "contents": [plan],
            "from": "2026-01-01T00:00:00Z",
            "to": "2026-02-01T00:00:00Z",
            "cohort": {
                "customers": [world.tenant.customer.public_id],
                "billing_entities": [payer],
                "plan": "door",
            },
            "grows_by": "10",
        },
        ("POST", "/v1/pricing/preview"): {
            "currency": "USD",
            "base_fees": [{"key": "platform", "amount": "49.00"}],
            "components": [PER_TOKEN],
            "usage": {"tok": {"quantity": "3"}},
            "previous": {"tok": {"quantity": "2"}},
        },
    }


def _rollouts(world: World) -> Bodies:
    subscription = world.tenant.subscription
    assert subscription is not None
    rollout = rollout_body(world.version, subscription.public_id, world.tenant.customer.public_id)
    return {
        ("POST", "/v1/rollouts"): rollout,
        **rollout_bodies(world.rollout, subscription.public_id),
    }


def _metering() -> Bodies:
    return {
        ("POST", "/v1/meters"): {
            "key": "door",
            "name": "n",
            "event": "call",
            "aggregation": "sum",
            "property": "a.b",
            "filter": [{"property": "region", "op": "in", "value": ["eu"]}],
            "group_by": ["model"],
            "carry_over": False,
            "unit": "t",
            "late_policy": "delta_line",
        },
        ("POST", "/v1/cost-rates"): {
            "vendor": "v",
            "event": "completion",
            "property": "tokens",
            "filter": [{"property": "region", "op": "eq", "value": "eu"}],
            "unit_cost": "0.1",
            "currency": "USD",
            "starts_at": INSTANT,
            "ends_at": "2999-01-01T00:00:00Z",
        },
        ("POST", "/v1/exchange-rates"): {"base": "EUR", "quote": "USD", "rate": "1.1", "starts_at": INSTANT},
    }


def _tenants(world: World) -> Bodies:
    customer, payer = world.tenant.customer.public_id, world.payer
    return {
        ("POST", "/v1/customers"): {"name": "n", "external_id": "x"},
        ("PATCH", f"/v1/customers/{customer}"): {"name": "n", "external_id": "x"},
        ("POST", "/v1/organizations"): {
            "customer": customer,
            "name": "n",
            "external_id": "x",
            "parent": None,
        },
        ("POST", "/v1/workspaces"): {
            "customer": customer,
            "name": "n",
            "external_id": "x",
            "organization": None,
            "billing_entity": payer,
        },
        ("PATCH", f"/v1/workspaces/{world.workspace}"): {"name": "n", "organization": None},
    }


def _accounts(world: World) -> Bodies:
    customer, payer = world.tenant.customer.public_id, world.payer
    return {
        ("POST", "/v1/billing-entities"): {
            "customer": customer,
            "name": "n",
            "external_id": "x",
            "organization": None,
            "currency": "USD",
            "time_zone": "UTC",
            "settlement": "wallet_only",
            "overdraft": "0",
            "credit_limit": "10",
            "low_balance": ["5"],
        },
        ("PATCH", f"/v1/billing-entities/{payer}"): {
            "name": "n",
            "organization": None,
            "status": "past_due",
            "status_reason": "r",
            "suspends_at": "2999-01-01T00:00:00Z",
            "settlement": "wallet_only",
            "overdraft": "0",
            "credit_limit": None,
            "low_balance": ["5"],
        },
        ("POST", "/v1/payer-assignments"): {
            "workspace": world.workspace,
            "billing_entity": payer,
            "starts_at": INSTANT,
        },
        ("POST", "/v1/api-keys"): {
            "workspace": world.workspace,
            "name": "n",
            "user": "u",
            "fingerprint": fingerprint("door"),
            "expires_at": "2999-01-01T00:00:00Z",
        },
        ("POST", "/v1/integration-keys"): {
            "name": "n",
            "scopes": ["read"],
            "expires_at": "2999-01-01T00:00:00Z",
        },
        ("POST", "/v1/currencies"): {
            "code": "CREDITS",
            "name": "n",
            "decimals": 2,
            "price": "0.01",
            "price_currency": "USD",
        },
        ("POST", "/v1/test-clock"): {"now": INSTANT},
    }


LISTS = (  # noqa: SIM905
    "charges authorizations leases wallets top-ups credit-grants adjustments denials quarantine plans"
    " plan-versions subscriptions"
    " customers organizations workspaces billing-entities payer-assignments api-keys integration-keys meters"
    " cost-rates exchange-rates currencies rollouts usage-ceilings reversals closing-lines coupons"
    " simulations spend-limits alerts vendor-bills margin-floors margin-rules margin-alerts"
    " gateway-counts payment-statements provider-payments"
    " seals erasures"
    " job-runs parked-messages"
    " reconciliation-runs discrepancies"
).split()


def is_documented(answer: Answer) -> bool:
    """Whether the answer is a success, or an error with its whole envelope and a fitting type."""
    if answer.status < 400:
        return True
    error = answer.error
    assert isinstance(error["code"], str)
    assert error["code"]
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["param"] is None or isinstance(error["param"], str)
    assert "/v1/docs/errors#" in error["doc_url"]
    return answer.status in TYPES.get(error["type"], ())
