"""Buckets and events as the charge path writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from core.partitions import ensure_partitions
from metering.models import Meter, UsageBucket, UsageEvent
from tests.metering.conftest import Tenant

WINDOW = "from=2026-03-01T00:00:00Z&to=2026-03-08T00:00:00Z"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_meter(key: str = "tokens", aggregation: str = "sum", **fields: Any) -> Meter:
    values = {"name": key, "event": "call", "property_path": "tokens", "created_at": at("2026-01-01")}
    return Meter.objects.create(key=key, aggregation=aggregation, **(values | fields))


def a_bucket(
    tenant: Tenant, meter: Meter, hour: str, quantity: str, events: int = 1, *dimensions: str | None
) -> None:
    UsageBucket.objects.create(
        customer_id=tenant.customer.pk,
        billing_entity_id=tenant.payer.pk,
        meter_id=meter.pk,
        hour=at(hour),
        workspace_id=tenant.workspace.pk,
        dimensions=json.dumps(dimensions, separators=(",", ":")),
        quantity=Decimal(quantity),
        events=events,
    )


_seq = iter(range(1, 10**9))


def an_event(tenant: Tenant, occurred_at: str, properties: dict[str, Any], **fields: Any) -> None:
    values = {
        "customer_id": tenant.customer.pk,
        "id": uuid4(),
        "recorded_at": at(occurred_at),
        "seq": next(_seq),
        "billing_entity_id": tenant.payer.pk,
        "workspace_id": tenant.workspace.pk,
        "api_key_id": tenant.key.pk,
        "idempotency_key": str(uuid4()),
        "name": "call",
        "occurred_at": at(occurred_at),
        "properties": properties,
        "source": "api",
        "given": 0,
        "unmatched": False,
        "unpriced": False,
    }
    ensure_partitions(at(occurred_at), at(occurred_at))
    UsageEvent.objects.create(**(values | fields))


def only(answer: Any) -> dict[str, Any]:
    (series,) = answer.body["data"]
    found: dict[str, Any] = series
    return found
