"""The endpoints of holds and of margins, with bodies that they take."""

from __future__ import annotations

from typing import Any

from accounts.keys import issue_api_key

INSTANT = "2026-01-05T09:30:00Z"
Bodies = dict[tuple[str, str], dict[str, Any]]


def hold_bodies(world: Any) -> Bodies:
    """Authorizations and leases of a `tests.api.doors.World`."""
    address = f"/v1/authorizations/{world.hold}"
    usage = {
        "occurred_at": INSTANT,
        "properties": {"tokens": 100},
        "user": "u",
        "trace": "t",
        "costs": [{"vendor": "v", "amount": "0.1", "currency": "USD"}],
    }
    return {
        ("POST", "/v1/authorizations"): world.event("door-hold") | usage | {"amount": "1", "expires_in": 60},
        ("POST", f"{address}/capture"): {"idempotency_key": "door-capture", "over": "cap"} | usage,
        ("POST", f"{address}/extend"): {"expires_in": 60},
        ("POST", f"{address}/void"): {},
        ("POST", "/v1/leases"): {
            "idempotency_key": "door-lease",
            "workspace": world.workspace,
            "billing_entity": world.payer,
            "amount": "1",
            "expires_in": 60,
        },
        ("POST", f"/v1/leases/{world.lease}/report"): {"events": [world.event("door-lease-call")]},
        ("POST", f"/v1/leases/{world.lease}/return"): {},
    }


def margin_bodies(world: Any) -> Bodies:
    """What a margin is made of and held against."""
    payer = world.payer
    return {
        ("POST", f"/v1/charges/{world.unheard}/costs"): {
            "costs": [{"vendor": "v", "amount": "0.1", "currency": "USD"}],
            "reason": "r",
        },
        ("POST", "/v1/margin-floors"): {
            "billing_entity": payer,
            "min_margin": "0.2",
            "min_volume": "50",
            "action": "notify",
        },
        ("POST", "/v1/margin-rules"): {"scope": "model", "subject": "m", "points": "5", "days": 7},
        ("POST", "/v1/vendor-bills"): {
            "vendor": "v",
            "month": "2026-01",
            "currency": "USD",
            "total": "12",
            "model": "m",
            "not_usage": "1",
            "max_uplift": "0.5",
            "reference": "r",
        },
    }


def outside_bodies(world: Any) -> Bodies:
    """What gateways counted and payment providers list."""
    key = issue_api_key(workspace=world.tenant.workspace, name="counted").key.public_id
    return {
        ("POST", "/v1/gateway-counts"): {
            "counts": [{"api_key": key, "hour": "2026-01-05T09:00:00Z", "calls": 3, "event": "completion"}],
            "source": "edge",
            "counted_until": INSTANT,
        },
        ("POST", "/v1/payment-statements"): {
            "provider": "stripe",
            "name": "January",
            "covers_from": "2026-01-01T00:00:00Z",
            "covers_until": "2026-02-01T00:00:00Z",
            "payments": [
                {
                    "id": "pi_1",
                    "kind": "payment",
                    "amount": "5",
                    "currency": "USD",
                    "at": INSTANT,
                    "reference": "r",
                    "billing_entity": world.payer,
                }
            ],
        },
    }


def job_bodies(world: Any) -> Bodies:
    """What asks for a run of a job, and what becomes of a parked message."""
    parked = f"/v1/parked-messages/{world.parked.public_id}"
    return {
        ("POST", "/v1/jobs/billing.tasks.close_periods/run"): {},
        ("POST", f"{parked}/send-again"): {},
        ("POST", f"{parked}/drop"): {},
    }


def proof_bodies(world: Any) -> Bodies:
    """What rates a charge again, and what erases a person's data while everything stays proved."""
    return {
        ("POST", f"/v1/charges/{world.unheard}/recompute"): {},
        ("POST", "/v1/erasures"): {
            "customer": world.tenant.customer.public_id,
            "user": "u",
            "properties": ["note"],
            "values": ["u@example.com"],
            "reason": "r",
        },
    }
